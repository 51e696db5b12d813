package routing

import (
	"cmp"
	"maps"
	"slices"
)

// owned returns the call if it exists and node owns it; else it counts the event.
func (s *State) owned(node string, id CallID, kind string) *call {
	c := s.calls[id]
	switch {
	case c == nil:
		s.ignore("%s: call %q does not exist", kind, id)
		return nil
	case c.facts.Node != node:
		s.ignore("%s: call %q is owned by node %q, not %q", kind, id, c.facts.Node, node)
		return nil
	case c.facts.Phase == PhaseWrapUp:
		s.ignore("%s: call %q is over", kind, id)
		return nil
	}
	return c
}

func (s *State) outOfState(kind string, c *call) {
	s.ignore("%s: call %q is %s", kind, c.facts.ID, c.facts.Phase)
}

func (s *State) callArrived(node string, ev CallArrived) {
	if ev.Call == "" || s.calls[ev.Call] != nil {
		s.ignore("call_arrived: call %q exists already", ev.Call)
		return
	}
	c := s.newCall()
	f := &c.facts
	f.ID, f.Node, f.Number, f.DID, f.Trunk = ev.Call, node, ev.Number, ev.DID, ev.Trunk
	f.Attestation, f.Diversions = ev.Attestation, ev.Diversions
	f.Phase, f.Arrived = PhaseArrived, s.now
	c.band = TierC.Band()
	c.timer = timer{id: string(ev.Call), pos: -1, call: c}
	s.calls[ev.Call] = c
}

// maxSpare bounds how many closed calls are kept to be used again.
const maxSpare = 1024

// newCall returns an empty call: one that was closed before the present entry, if
// there is one, with the room of its lists.
func (s *State) newCall() *call {
	n := len(s.spare)
	if n == 0 {
		return &call{}
	}
	c := s.spare[n-1]
	s.spare[n-1], s.spare = nil, s.spare[:n-1]
	*c = call{facts: CallView{Offers: c.facts.Offers[:0], Moves: c.facts.Moves[:0], Talks: c.facts.Talks[:0]}, rings: c.rings[:0]}
	return c
}

// newSeat returns a seat of whatever contents.
func (s *State) newSeat() *seat {
	n := len(s.spareSeats)
	if n == 0 {
		return &seat{}
	}
	x := s.spareSeats[n-1]
	s.spareSeats = s.spareSeats[:n-1]
	return x
}

func (s *State) callAnswered(node string, ev CallAnswered) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	f := &c.facts
	switch {
	case f.Answered == 0 && f.Phase == PhaseArrived:
		f.Phase = PhaseIVR
	case f.Answered == 0 && (f.Phase == PhaseIVR || f.Phase == PhaseWaiting || f.Phase == PhaseOnOffer || f.Phase == PhaseTalking): // it was early
	default:
		s.outOfState(ev.Kind(), c)
		return
	}
	f.Answered = s.now
}

func (s *State) callIdentified(node string, ev CallIdentified) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	waiting := c.facts.Phase == PhaseWaiting
	if !waiting && c.facts.Phase != PhaseArrived && c.facts.Phase != PhaseIVR {
		s.outOfState(ev.Kind(), c)
		return
	}
	if ev.Tier >= tierCount {
		s.ignore("call_identified: call %q has %s, which does not exist", ev.Call, ev.Tier)
		return
	}
	if waiting {
		s.unlink(c)
	}
	f := &c.facts
	f.Customer, f.Tier, f.Manager, f.Team = ev.Customer, ev.Tier, ev.Manager, ev.Team
	f.Language, f.Source, f.Identified = cmp.Or(ev.Language, f.Language), ev.Source, s.now
	c.band = f.Tier.Band()
	if waiting {
		c.reach = reach{since: c.entered, opened: c.reach.opened & c.q.asked()}
		s.link(c)
	}
}

func (s *State) callQueued(node string, ev CallQueued) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	if c.facts.Phase != PhaseArrived && c.facts.Phase != PhaseIVR && c.facts.Phase != PhaseForwarded {
		s.outOfState(ev.Kind(), c)
		return
	}
	q := s.queues[ev.Queue]
	if q == nil {
		emit(s, &s.arenas.disconnects, Disconnect{Call: c.facts.ID, Cause: CauseUnknownQueue})
		s.endCall(c, CauseUnknownQueue)
		return
	}
	if c.facts.Phase == PhaseForwarded {
		c.noteTalk(c.facts.Forwarded)
	}
	s.places++
	c.placeAt, c.placeSeq, c.facts.Queued = s.now, s.places, s.now
	s.resume(c, q)
	c.facts.Language = cmp.Or(ev.Language, c.facts.Language)
	c.reach = reach{since: s.now}
	c.facts.Expected = q.estimate(c.facts.Tier, s.now)
	s.enter(c, q)
}

func (s *State) holdChanged(node string, ev HoldChanged) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	if c.facts.Phase != PhaseTalking || c.held == ev.Held {
		s.ignore("hold_changed: call %q is %s, held %t already", ev.Call, c.facts.Phase, c.held)
		return
	}
	if c.held {
		c.facts.Hold += s.now.Sub(c.heldAt)
	}
	c.held, c.heldAt = ev.Held, s.now
}

func (s *State) callEnded(node string, ev CallEnded) {
	if c := s.calls[ev.Call]; ev.Cause == CauseLost && c != nil {
		node = c.facts.Node
	}
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	cause := ev.Cause
	switch cause {
	case CauseCallerHungUp, CauseAgentHungUp, CauseFlowEnded, CauseRTPTimeout,
		CauseRejected, CauseFailed, CauseDrained, CauseLost:
	default:
		cause = CauseFailed // a call that is gone must not stay because of a word
	}
	if c.facts.Phase == PhaseOnOffer {
		for _, x := range c.rings {
			s.withdraw(x, WithdrawCallEnded)
		}
	}
	s.endCall(c, cause)
}

// outcome says how a call that ends now for cause went.
func (c *call) outcome(cause string) Outcome {
	talked := c.facts.Phase == PhaseTalking
	switch {
	case c.facts.Phase == PhaseForwarded:
		return OutcomeAnswered
	case cause == CauseNodeStarted:
		return OutcomeCut
	case cause == CauseQueueFull || cause == CauseNobodyThere || cause == CauseWaitedTooLong || cause == CauseOverflow:
		return OutcomeShed
	case talked:
		return OutcomeAnswered
	case cause == CauseLost || cause == CauseDrained:
		return OutcomeCut
	case cause == CauseFailed || cause == CauseUnknownQueue:
		return OutcomeFailed
	case cause == CauseRejected && c.q == nil:
		return OutcomeRejected
	case cause == CauseRejected:
		return OutcomeFailed
	case c.q != nil:
		return OutcomeAbandoned
	default:
		return OutcomeIVR
	}
}

// endCall ends the call wherever it is and frees its seat, with a wrap-up
// if it talked and the seat is still there. The caller has emitted Withdraw or
// Disconnect where the owner must act.
func (s *State) endCall(c *call, cause string) {
	f := &c.facts
	f.Outcome, f.Cause, f.Ended = c.outcome(cause), cause, s.now
	x, talked := c.seat, false
	rung := s.rung[:0]
	switch f.Phase {
	case PhaseWaiting:
		s.unlink(c)
	case PhaseOnOffer:
		rung = append(rung, c.rings...)
		for _, y := range rung {
			s.closeOffer(y, OfferWithdrawn)
		}
		c.q.onOffer--
	case PhaseTalking:
		talked = true
		s.endTalk(c)
	}
	s.deadlines.stop(&c.timer)
	if c.q != nil {
		if !talked {
			f.QueueWait = s.now.Sub(f.Queued)
		}
		c.q.totals.left(f.Outcome)
		s.remember(c)
	}
	f.Phase = PhaseWrapUp
	emit(s, &s.arenas.ended, Ended{Call: c.shared(s.now)})
	for _, y := range rung {
		y.call = nil
		s.update(y)
	}
	s.rung = rung[:0]
	s.freeSeat(c, x, talked && cause != CauseSeatFreed)
	if c.q != nil {
		s.dropEmpty(c.q)
	}
}

// endTalk sums up the talk of c.
func (s *State) endTalk(c *call) {
	f := &c.facts
	if c.held {
		f.Hold += s.now.Sub(c.heldAt)
		c.held = false
	}
	f.Talk = s.now.Sub(f.Connected) - f.Hold
	c.q.talking--
}

// freeSeat takes the ended call c off its seat x and closes c, now or after the
// wrap-up.
func (s *State) freeSeat(c *call, x *seat, wraps bool) {
	if x == nil || !s.release(x, c, wraps) {
		s.closeCall(c)
	}
}

// release takes x off the call of which it talked the part c, and says whether it
// wraps that up now.
func (s *State) release(x *seat, c *call, wraps bool) bool {
	x.call = nil
	wraps = wraps && x.registered && !x.gone && c.q.wrapUp > 0
	if wraps {
		x.wrap = c
		s.deadlines.set(&x.timer, s.now.Add(c.q.wrapUp))
	} else {
		x.idleSince = s.now
		x.busy += s.now.Sub(c.facts.Connected)
	}
	s.update(x)
	return wraps
}

func (s *State) closeCall(c *call) {
	c.facts.Phase = PhaseClosed
	delete(s.calls, c.facts.ID)
	if len(s.spare)+len(s.closed) < maxSpare {
		s.closed = append(s.closed, c)
	}
	emit(s, &s.arenas.closed, Closed{Call: c.shared(s.now)})
}

// nodeStarted ends what the old process of node held, at the last known time.
func (s *State) nodeStarted(node string) {
	for _, x := range slices.Clone(s.seatList) {
		if x.registered && x.node == node {
			s.unregister(x)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		c := s.calls[id]
		if c.facts.Node == node && c.facts.Phase != PhaseWrapUp {
			s.endCall(c, CauseNodeStarted)
		}
	}
}
