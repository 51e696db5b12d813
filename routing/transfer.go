package routing

// callTaken gives the call to the agent at a seat without an offer: a talk that is
// transferred to a colleague, or a call that is picked up while it waits or rings
// elsewhere.
func (s *State) callTaken(node string, ev CallTaken) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	y := s.seats[ev.Seat]
	if y == nil || y.gone || !y.registered || y.call != nil {
		s.ignore("call_taken: seat %q is not there or has another call", ev.Seat)
		return
	}
	waited := false
	switch c.facts.Phase {
	case PhaseWaiting, PhaseOnOffer:
		waited = true
		s.takeFromLine(c)
	case PhaseTalking:
		x := c.seat
		s.closeTalk(c)
		s.leaveSeat(c, x)
		c.extended = 0
	case PhaseForwarded:
		if !s.takeBack(c) {
			s.ignore("call_taken: queue %q of call %q does not exist any more", c.facts.Queue, ev.Call)
			return
		}
	default:
		s.outOfState(ev.Kind(), c)
		return
	}
	if y.wrap != nil {
		s.endWrapUp(y)
	}
	s.endRest(y)
	s.startTalk(c, y)
	if waited {
		c.facts.QueueWait = s.now.Sub(c.facts.Queued)
		emit(s, &s.arenas.connected, Connected{Call: c.shared(s.now)})
	}
}

// takeFromLine takes a call that waits or is on offer out of its queue's line.
func (s *State) takeFromLine(c *call) {
	for len(c.rings) > 0 {
		s.withdraw(c.rings[0], WithdrawTaken)
		s.dropOffer(c.rings[0], OfferWithdrawn, 0)
	}
	s.unlink(c)
}

// startTalk lets the agent at x talk with c, which is in no line.
func (s *State) startTalk(c *call, x *seat) {
	c.seat, x.call = x, c
	x.person.misses = 0
	c.q.talking++
	f := &c.facts
	f.Phase, f.Connected, f.Seat, f.Agent, f.Talk, f.Hold = PhaseTalking, s.now, x.id, x.person.id, 0, 0
	s.update(x)
}

// callForwarded lets the agent go while the call goes on without a seat.
func (s *State) callForwarded(node string, ev CallForwarded) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	if c.facts.Phase != PhaseTalking {
		s.outOfState(ev.Kind(), c)
		return
	}
	q, x := c.q, c.seat
	s.endTalk(c)
	q.totals.left(OutcomeAnswered)
	s.leaveSeat(c, x)
	f := &c.facts
	f.Phase, f.Forwarded, f.ForwardedTo = PhaseForwarded, s.now, ev.To
	c.q = nil // it has left, and been counted
	s.dropEmpty(q)
}

// takeBack lets a forwarded call be one of its queue's again, where it was counted
// as answered; false when the queue is gone.
func (s *State) takeBack(c *call) bool {
	q := s.queues[c.facts.Queue]
	if q == nil {
		return false
	}
	if q.totals.Answered > 0 {
		q.totals.Answered--
	} else {
		q.totals.Entered++ // a queue of the same name that a reload has brought since
	}
	c.q = q
	c.noteTalk(c.facts.Forwarded)
	return true
}

// ownCallChanged notes that the seat's phone is in a call that isn't routing's.
func (s *State) ownCallChanged(node string, ev OwnCallChanged) {
	x := s.seats[ev.Seat]
	if x == nil || x.node != node || x.ownCall == ev.Busy {
		s.ignore("own_call_changed: seat %q is not there, not at node %q, or busy %t already", ev.Seat, node, ev.Busy)
		return
	}
	x.ownCall = ev.Busy
	if !ev.Busy {
		x.idleSince = s.now
	}
	s.update(x)
}
