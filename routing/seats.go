package routing

import (
	"cmp"
	"slices"
)

// state returns what the system knows about the seat.
func (x *seat) state() SeatState {
	switch {
	case x.call != nil && x.call.facts.Phase == PhaseTalking:
		return SeatTalking
	case x.call != nil && x.offer.ringing != 0:
		return SeatRinging
	case x.call != nil:
		return SeatOffered
	case x.wrap != nil:
		return SeatWrapUp
	case x.gone:
		return SeatGone
	case !x.registered:
		return SeatOffline
	case x.ownCall:
		return SeatOwnCall
	default:
		return SeatIdle
	}
}

// update brings everything that is derived from the seat up to date. It must
// follow every change of a seat or of its agent.
func (s *State) update(x *seat) {
	now := SeatChanged{Seat: x.id, Agent: x.person.id, State: x.state(), Status: x.person.status, Reason: x.person.reason, Since: x.shown.Since}
	if now != x.shown {
		now.Since = s.now
		x.shown = now
		emit(s, &s.arenas.seatsChanged, now)
	}
	s.count(x)
	was := x.present
	x.present = x.registered && !x.gone && x.person.status == StatusReady
	if x.present && !was {
		x.idleSince = s.now
		s.catchUp(x)
	}
	s.setAvailable(x, x.present && x.free())
	if was != x.present {
		s.countPresent(x)
		s.recheck(x)
	}
	if x.gone && x.call == nil && x.wrap == nil {
		s.removeSeat(x)
	}
}

// free says that the seat has nothing to do.
func (x *seat) free() bool { return x.call == nil && x.wrap == nil && !x.resting && !x.ownCall }

func compareSeats(a, b *seat) int { return cmp.Compare(a.id, b.id) }

// setAvailable keeps the list of idle seats and the queues' counts of them.
func (s *State) setAvailable(x *seat, available bool) {
	if x.available == available {
		return
	}
	x.available = available
	i, _ := slices.BinarySearchFunc(s.idle, x, compareSeats)
	if available {
		s.idle = slices.Insert(s.idle, i, x)
		s.freed = append(s.freed, x)
	} else {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
	for _, q := range x.queues {
		q.changeIdle(x, available)
	}
}

// recheck looks again at the calls that may wait for x alone.
func (s *State) recheck(x *seat) {
	again := func(l *lines) {
		for t := range l.tiers() {
			for _, c := range l[t].list() {
				s.advance(c)
			}
		}
	}
	again(s.byManager.at(x.person.id))
	if x.team != "" {
		again(s.byTeam.at(x.team))
	}
}

func (s *State) removeSeat(x *seat) {
	s.states[x.category]--
	s.deadlines.stop(&x.timer)
	delete(s.seats, x.id)
	if i, ok := slices.BinarySearchFunc(s.seatList, x, compareSeats); ok && s.seatList[i] == x {
		s.seatList = slices.Delete(s.seatList, i, i+1)
	}
	// The policy may hold a new agent of the same name, at another seat.
	if s.agents[x.person.id] == x.person && x.person.seat == x {
		delete(s.agents, x.person.id)
	}
}

func (s *State) seatRegistered(node string, ev SeatRegistered) {
	x := s.seats[ev.Seat]
	if x == nil || x.gone {
		s.ignore("seat_registered: seat %q is not in the policy", ev.Seat)
		return
	}
	if x.registered && x.node == node {
		s.ignore("seat_registered: seat %q is registered at node %q already", ev.Seat, node)
		return
	}
	if !x.registered {
		x.busy, x.turns = 0, 0
	}
	x.registered, x.node = true, node
	s.update(x)
}

func (s *State) seatUnregistered(node string, ev SeatUnregistered) {
	x := s.seats[ev.Seat]
	if x == nil || !x.registered || x.node != node {
		s.ignore("seat_unregistered: seat %q is not registered at node %q", ev.Seat, node)
		return
	}
	s.unregister(x)
}

func (s *State) unregister(x *seat) {
	x.registered, x.node, x.ownCall = false, "", false
	if x.wrap != nil {
		s.endWrapUp(x)
		return
	}
	s.update(x)
}

func (s *State) agentStatusChanged(ev AgentStatusChanged) {
	p := s.agents[ev.Agent]
	if p == nil {
		s.ignore("agent_status_changed: agent %q is not in the policy", ev.Agent)
		return
	}
	switch ev.Status {
	case StatusReady, StatusBreak, StatusLoggedOut:
	default:
		s.ignore("agent_status_changed: status %q does not exist", ev.Status)
		return
	}
	x := p.seat
	renewed := ev.Status == StatusReady && (p.misses > 0 || x.resting)
	if p.status == ev.Status && p.reason == ev.Reason && !renewed {
		s.ignore("agent_status_changed: agent %q is %s already", ev.Agent, ev.Status)
		return
	}
	p.status, p.reason = ev.Status, ev.Reason
	if ev.Status == StatusReady {
		p.misses = 0
		s.endRest(x)
	}
	s.update(x)
}

// endRest ends a rest before its time, if there is one.
func (s *State) endRest(x *seat) {
	if x.resting {
		x.resting = false
		s.deadlines.stop(&x.timer)
	}
}

// rest keeps the seat from being rung for d.
func (s *State) rest(x *seat, d Duration) {
	if d > 0 {
		x.resting, x.restUntil = true, s.now.Add(d)
		s.deadlines.set(&x.timer, x.restUntil)
	}
}

func (s *State) wrapUpEnded(ev WrapUpEnded) {
	x := s.seats[ev.Seat]
	if x == nil || x.wrap == nil {
		s.ignore("wrap_up_ended: seat %q is not in wrap-up", ev.Seat)
		return
	}
	s.endWrapUp(x)
}

// wrapUpExtended gives the seat more time in its wrap-up, by the rule that the
// policy now has for the call's queue; a queue that is gone allows nothing.
func (s *State) wrapUpExtended(ev WrapUpExtended) {
	x := s.seats[ev.Seat]
	if x == nil || x.wrap == nil {
		s.ignore("wrap_up_extended: seat %q is not in wrap-up", ev.Seat)
		return
	}
	// Not x.wrap.q: that may be a queue which is forgotten already.
	var rule Extension
	if q := s.queues[x.wrap.facts.Queue]; q != nil && q.extend.WrapUpExtension > 0 {
		rule = q.extend
	}
	if x.wrap.extended >= rule.MaxExtensions {
		s.ignore("wrap_up_extended: seat %q has had %d extensions, %d are allowed", ev.Seat, x.wrap.extended, rule.MaxExtensions)
		return
	}
	x.wrap.extended++
	// However often: a snapshot with a deadline further away would be refused.
	s.deadlines.set(&x.timer, min(x.timer.at.Add(rule.WrapUpExtension), s.now.Add(maxDuration)))
}

func (s *State) endWrapUp(x *seat) {
	c := x.wrap
	c.facts.WrapUp = s.now.Sub(c.facts.Ended)
	x.wrap = nil
	x.idleSince = s.now
	x.busy += s.now.Sub(c.facts.Connected)
	s.deadlines.stop(&x.timer)
	s.update(x)
	if c.part {
		s.closePart(c, x)
		return
	}
	s.closeCall(c)
}

func (s *State) seatFreed(ev SeatFreed) {
	x := s.seats[ev.Seat]
	switch {
	case x == nil:
		s.ignore("seat_freed: seat %q does not exist", ev.Seat)
	case x.wrap != nil:
		s.endWrapUp(x)
	case x.call != nil && x.call.facts.Phase == PhaseTalking:
		emit(s, &s.arenas.disconnects, Disconnect{Call: x.call.facts.ID, Cause: CauseSeatFreed})
		s.endCall(x.call, CauseSeatFreed)
	case x.call != nil:
		s.withdraw(x, WithdrawSeatFreed)
		s.dropOffer(x, OfferWithdrawn, 0)
	case x.resting:
		s.endRest(x)
		s.update(x)
	case x.ownCall:
		x.ownCall = false
		s.update(x)
	default:
		s.ignore("seat_freed: seat %q is free already", ev.Seat)
	}
}
