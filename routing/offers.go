package routing

// lease is how long an offer lives without a word from its owner.
func (s *State) lease() Duration { return s.policy.RingTime + s.policy.OfferLease }

// makeOffer reserves the seat for the call.
func (s *State) makeOffer(c *call, x *seat, reasons Reasons) {
	if s.audit != nil {
		s.audit(c, x)
	}
	if s.watch != nil {
		s.watch(s.choice(c, x, reasons))
	}
	s.unlink(c)
	s.offers++
	c.facts.Phase = PhaseOnOffer
	c.q.onOffer++
	c.seat, c.offer, c.offeredAt, c.ringingAt, c.answered = x, s.offers, s.now, 0, false
	c.aloneSince = 0
	c.facts.Rings++
	x.call = c
	s.deadlines.set(&c.timer, s.now.Add(s.lease()))
	emit(s, &s.arenas.offers, Offer{Call: c.facts.ID, Seat: x.id, Offer: c.offer, RingTime: s.policy.RingTime, Reasons: reasons})
	s.update(x)
	x.lastOffer = c.offer
}

// offered returns the call if it is on offer to seat by this offer; else it
// counts the event.
func (s *State) offered(node string, id CallID, at SeatID, offer uint64, kind string) *call {
	c := s.owned(node, id, kind)
	if c == nil {
		return nil
	}
	if c.facts.Phase != PhaseOnOffer || c.offer != offer || c.seat.id != at {
		s.ignore("%s: offer %d of call %q to seat %q is not open", kind, offer, id, at)
		return nil
	}
	return c
}

func (s *State) offerRinging(node string, ev OfferRinging) {
	c := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if c == nil {
		return
	}
	if c.ringingAt != 0 || c.answered {
		s.ignore("offer_ringing: offer %d rings or was answered already", ev.Offer)
		return
	}
	c.ringingAt = s.now
	s.deadlines.set(&c.timer, s.now.Add(s.lease()))
	s.update(c.seat)
}

func (s *State) offerAnswered(node string, ev OfferAnswered) {
	c := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if c == nil {
		return
	}
	if c.answered {
		s.ignore("offer_answered: offer %d was answered already", ev.Offer)
		return
	}
	c.answered = true
	// Some time is always left for the bridge, a lease of zero would forbid it.
	s.deadlines.set(&c.timer, s.now.Add(max(s.policy.OfferLease, Second)))
}

func (s *State) talkStarted(node string, ev TalkStarted) {
	c := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if c == nil {
		return
	}
	s.closeOffer(c, OfferTaken)
	s.deadlines.stop(&c.timer)
	c.seat.person.misses = 0
	c.q.onOffer--
	c.q.talking++
	f := &c.facts
	f.Phase, f.Connected = PhaseTalking, s.now
	f.Seat, f.Agent = c.seat.id, c.seat.person.id
	f.QueueWait = s.now.Sub(f.Queued)
	s.update(c.seat)
	emit(s, &s.arenas.connected, Connected{Call: c.shared(s.now)})
}

func (s *State) offerFailed(node string, ev OfferFailed) {
	c := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if c == nil {
		return
	}
	s.failOffer(c, ev.Cause)
}

// leaseOver ends an offer whose owner has said nothing for too long.
func (s *State) leaseOver(c *call) {
	cause, why := OfferNoAnswer, WithdrawRingTime
	if c.answered {
		cause, why = OfferFault, WithdrawNoTalk
	}
	emit(s, &s.arenas.withdrawals, Withdraw{Call: c.facts.ID, Seat: c.seat.id, Offer: c.offer, Cause: why})
	s.failOffer(c, cause)
}

// failOffer puts the call back and lets the seat rest. Misses count in a row:
// an agent who refuses is there, so a refusal ends the row.
func (s *State) failOffer(c *call, cause string) {
	x, p := c.seat, &s.policy
	x.idleSince = s.now
	switch cause {
	case OfferRefused:
		x.person.misses = 0
		s.putBack(c, cause, p.RejectDelay)
	case OfferBusy:
		s.putBack(c, cause, p.BusyDelay)
	case OfferNoAnswer:
		s.miss(x.person)
		s.putBack(c, cause, p.NoAnswerDelay)
	case OfferUnreachable:
		s.putBack(c, cause, p.UnreachableDelay)
	default:
		s.putBack(c, OfferFault, p.UnreachableDelay)
	}
}

func (s *State) miss(p *agent) {
	p.misses++
	if s.policy.MaxMisses > 0 && p.misses >= s.policy.MaxMisses {
		p.misses = 0
		if p.status == StatusReady {
			p.status, p.reason = StatusBreak, ReasonMissedCalls
		}
	}
}

// putBack ends the offer and returns the call to its old place.
func (s *State) putBack(c *call, outcome string, rest Duration) {
	x := c.seat
	s.closeOffer(c, outcome)
	c.q.onOffer--
	c.seat, x.call = nil, nil
	s.rest(x, rest)
	s.update(x)
	s.link(c)
}

// closeOffer writes down how the open offer ended.
func (s *State) closeOffer(c *call, outcome string) {
	o := OfferView{Offer: c.offer, Seat: c.seat.id, Agent: c.seat.person.id, At: c.offeredAt, Outcome: outcome, Took: s.now.Sub(c.offeredAt)}
	if c.ringingAt != 0 {
		o.Ring = s.now.Sub(c.ringingAt)
	}
	c.facts.Offers = append(c.facts.Offers, o)
}
