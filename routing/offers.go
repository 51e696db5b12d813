package routing

import "slices"

// lease is how long an offer lives without a word from its owner.
func (s *State) lease() Duration { return s.policy.RingTime + s.policy.OfferLease }

// makeOffer reserves the seat for the call, which waits or is on offer to others.
func (s *State) makeOffer(c *call, x *seat, reasons Reasons) {
	if s.audit != nil {
		s.audit(c, x)
	}
	if s.watch != nil {
		s.watch(s.choice(c, x, reasons))
	}
	if c.facts.Phase == PhaseWaiting {
		s.unlink(c)
		c.facts.Phase = PhaseOnOffer
		c.q.onOffer++
		c.aloneSince = 0
	}
	s.offers++
	c.rings = append(c.rings, x)
	c.facts.Rings++
	x.call, x.offer = c, offer{id: s.offers, at: s.now}
	s.deadlines.set(&x.timer, s.now.Add(s.lease()))
	emit(s, &s.arenas.offers, Offer{Call: c.facts.ID, Seat: x.id, Offer: x.offer.id, RingTime: s.policy.RingTime, Reasons: reasons})
	s.update(x)
	x.lastOffer = x.offer.id // not before: the lists of idle seats go by these
	x.turns++
}

// offered returns the seat if the call is on offer to it by this offer; else it
// counts the event.
func (s *State) offered(node string, id CallID, at SeatID, offer uint64, kind string) *seat {
	c := s.owned(node, id, kind)
	if c == nil {
		return nil
	}
	x := s.seats[at]
	if c.facts.Phase != PhaseOnOffer || x == nil || x.call != c || x.offer.id != offer {
		s.ignore("%s: offer %d of call %q to seat %q is not open", kind, offer, id, at)
		return nil
	}
	return x
}

func (s *State) offerRinging(node string, ev OfferRinging) {
	x := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if x == nil {
		return
	}
	if x.offer.ringing != 0 || x.offer.answered {
		s.ignore("offer_ringing: offer %d rings or was answered already", ev.Offer)
		return
	}
	x.offer.ringing = s.now
	s.deadlines.set(&x.timer, s.now.Add(s.lease()))
	s.update(x)
}

func (s *State) offerAnswered(node string, ev OfferAnswered) {
	x := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if x == nil {
		return
	}
	if x.offer.answered {
		s.ignore("offer_answered: offer %d was answered already", ev.Offer)
		return
	}
	x.offer.answered = true
	// Some time is always left for the bridge, a lease of zero would forbid it.
	s.deadlines.set(&x.timer, s.now.Add(max(s.policy.OfferLease, Second)))
}

func (s *State) talkStarted(node string, ev TalkStarted) {
	x := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind())
	if x == nil {
		return
	}
	c := x.call
	for len(c.rings) > 1 { // the others of the group
		i := 0
		if c.rings[i] == x {
			i = 1
		}
		s.withdraw(c.rings[i], WithdrawTaken)
		s.dropOffer(c.rings[i], OfferWithdrawn, 0)
	}
	s.closeOffer(x, OfferTaken)
	c.q.onOffer--
	c.facts.QueueWait = s.now.Sub(c.facts.Queued)
	s.startTalk(c, x)
	emit(s, &s.arenas.connected, Connected{Call: c.shared(s.now)})
}

func (s *State) offerFailed(node string, ev OfferFailed) {
	if x := s.offered(node, ev.Call, ev.Seat, ev.Offer, ev.Kind()); x != nil {
		s.failOffer(x, ev.Cause)
	}
}

// leaseOver ends an offer whose owner has said nothing for too long.
func (s *State) leaseOver(x *seat) {
	cause, why := OfferNoAnswer, WithdrawRingTime
	if x.offer.answered {
		cause, why = OfferFault, WithdrawNoTalk
	}
	s.withdraw(x, why)
	s.failOffer(x, cause)
}

// withdraw tells the owner to stop ringing x.
func (s *State) withdraw(x *seat, why string) {
	emit(s, &s.arenas.withdrawals, Withdraw{Call: x.call.facts.ID, Seat: x.id, Offer: x.offer.id, Cause: why})
}

// failOffer lets the seat rest, and puts the call back if it rings nowhere else.
// Misses count in a row: an agent who refuses is there, so a refusal ends the row.
func (s *State) failOffer(x *seat, cause string) {
	p := &s.policy
	x.idleSince = s.now
	switch cause {
	case OfferRefused:
		x.person.misses = 0
		s.dropOffer(x, cause, p.RejectDelay)
	case OfferBusy:
		s.dropOffer(x, cause, p.BusyDelay)
	case OfferNoAnswer:
		s.miss(x.person)
		s.dropOffer(x, cause, p.NoAnswerDelay)
	case OfferUnreachable:
		s.dropOffer(x, cause, p.UnreachableDelay)
	default:
		s.dropOffer(x, OfferFault, p.UnreachableDelay)
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

// dropOffer ends the offer to x and returns the call to its old place if that was the
// last one.
func (s *State) dropOffer(x *seat, outcome string, rest Duration) {
	c := x.call
	s.closeOffer(x, outcome)
	x.call = nil
	s.rest(x, rest)
	s.update(x)
	if len(c.rings) == 0 {
		c.q.onOffer--
		s.link(c)
	}
}

// closeOffer writes down how the open offer to x ended.
func (s *State) closeOffer(x *seat, outcome string) {
	c := x.call
	o := OfferView{Offer: x.offer.id, Seat: x.id, Agent: x.person.id, At: x.offer.at, Outcome: outcome, Took: s.now.Sub(x.offer.at)}
	if x.offer.ringing != 0 {
		o.Ring = s.now.Sub(x.offer.ringing)
	}
	c.facts.Offers = append(c.facts.Offers, o)
	x.offer = offer{}
	s.deadlines.stop(&x.timer)
	i := slices.Index(c.rings, x)
	c.rings = slices.Delete(c.rings, i, i+1)
}
