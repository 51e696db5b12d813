package routing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Check returns every broken invariant, joined, or nil:
//
//	(a) no admissible pair of a waiting call and a seat is left;
//	(b) a seat has at most one call;
//	(c) a call is on offer to, or connected to, exactly one seat;
//	(d) per queue, each entry is counted once;
//	(g) who waits where nobody is there is known;
//	(h) no more callers who left are remembered than allowed;
//
// and that the lists which the match uses hold exactly the calls and seats they
// should. That no call is passed by a later one (e) is a property of each
// decision, not of a state. It costs idle seats times waiting calls.
func (s *State) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	live := map[*queue][3]uint64{}
	filed := 0
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		c := s.calls[id]
		n := live[c.q]
		switch c.facts.Phase {
		case PhaseWaiting:
			n[0]++
			filed += s.checkWaiting(c, bad)
		case PhaseOnOffer:
			n[1]++
			s.checkRings(c, bad)
		case PhaseTalking:
			n[2]++
			if c.seat == nil || c.seat.call != c {
				bad("(c) call %s is %s but its seat does not have it", id, c.facts.Phase)
			}
		case PhaseWrapUp:
			if c.seat == nil || c.seat.wrap != c {
				bad("(c) call %s is in wrap-up but its seat does not have it", id)
			}
		}
		if c.facts.Phase != PhaseOnOffer && len(c.rings) > 0 {
			bad("(c) call %s is %s and rings", id, c.facts.Phase)
		}
		live[c.q] = n
	}
	if n := len(s.leavers.order); n > maxLeavers || len(s.leavers.byKey) != n {
		bad("(h) %d callers who left are remembered, %d by number", n, len(s.leavers.byKey))
	}
	s.checkSeats(bad)
	s.checkQueues(live, filed, bad)
	return errors.Join(errs...)
}

// checkRings wants a call on offer to ring where it says, at no more seats than its
// queue's group has.
func (s *State) checkRings(c *call, bad func(string, ...any)) {
	if n := len(c.rings); n == 0 || n > maxRingGroup {
		bad("(c) call %s rings at %d seats", c.facts.ID, n)
	}
	for i, x := range c.rings {
		if x.call != c || x.offer.id == 0 || slices.Contains(c.rings[:i], x) {
			bad("(c) call %s rings at seat %s, which doesn't have it", c.facts.ID, x.id)
		}
		if x.timer.pos < 0 {
			bad("(b) the offer of call %s to seat %s has no lease", c.facts.ID, x.id)
		}
	}
}

// checkWaiting returns 1 if the call is in its queue's line.
func (s *State) checkWaiting(c *call, bad func(string, ...any)) int {
	for _, x := range s.idle {
		if s.admissible(c, x) {
			bad("(a) call %s waits and seat %s is idle, and they are admissible", c.facts.ID, x.id)
		}
	}
	r, wake, ok := s.read(c)
	if r != c.reach || r.leave > 0 {
		bad("(a) call %s has read the plan of queue %s as far as %+v, not %+v", c.facts.ID, c.q.id, c.reach, r)
	}
	if at, _, _, leaves := s.leavesAt(c); leaves && (!ok || at < wake) {
		wake, ok = at, true
	}
	if ok && (c.timer.pos < 0 || c.timer.at > wake) {
		bad("(a) call %s waits in step %s of queue %s without a deadline", c.facts.ID, c.facts.Step, c.q.id)
	}
	if (c.aloneSince != 0) != (c.q.limits.LeaveEmpty > 0 && s.alone(c)) {
		bad("(g) call %s is alone since %d, %d seats are there", c.facts.ID, c.aloneSince, c.q.present)
	}
	if c.q.members[c.member] != c {
		bad("(d) call %s is not among those who wait in queue %s", c.facts.ID, c.q.id)
	}
	for i := range c.q.plan {
		if q := c.q.source(i); c.q.plan[i].Of != "" && q != nil && c.reach.opened&(1<<i) != 0 && !slices.Contains(q.guests[c.facts.Tier].list(), c) {
			bad("(a) call %s is no guest of queue %s", c.facts.ID, q.id)
		}
	}
	if !c.inLine {
		return 0
	}
	if !slices.Contains(c.q.lines[c.facts.Tier].list(), c) {
		bad("(a) call %s is not in the line of queue %s", c.facts.ID, c.q.id)
	}
	return 1
}

func (s *State) checkSeats(bad func(string, ...any)) {
	idle := 0
	for _, x := range s.seatList {
		if x.call != nil && x.wrap != nil {
			bad("(b) seat %s has two calls", x.id)
		}
		for _, c := range []*call{x.call, x.wrap} {
			if c != nil && c.part && c == x.wrap && c.seat == x {
				continue
			}
			if c != nil && (s.calls[c.facts.ID] != c || c.seat != x && !slices.Contains(c.rings, x)) {
				bad("(b) seat %s has call %s, which is not there", x.id, c.facts.ID)
			}
		}
		if x.wrap != nil && x.timer.pos < 0 {
			bad("(b) the wrap-up of seat %s has no deadline", x.id)
		}
		available := x.registered && !x.gone && x.person.status == StatusReady && x.call == nil && x.wrap == nil && !x.resting && !x.ownCall
		if x.category != x.categorise() {
			bad("(a) seat %s is counted in the wrong category", x.id)
		}
		if available != x.available || x.shown.State != x.state() {
			bad("(a) seat %s is out of date", x.id)
		}
		if available {
			idle++
		}
	}
	if idle != len(s.idle) || !slices.IsSortedFunc(s.idle, compareSeats) {
		bad("(a) the list of idle seats is wrong: %d of %d", len(s.idle), idle)
	}
}

func (s *State) checkQueues(live map[*queue][3]uint64, filed int, bad func(string, ...any)) {
	for _, q := range s.queueIDs {
		n := live[q]
		if n != [3]uint64{q.waiting, q.onOffer, q.talking} {
			bad("(d) queue %s counts waiting, on offer, talking %d %d %d but has %v", q.id, q.waiting, q.onOffer, q.talking, n)
		}
		if q.totals.Entered != q.totals.exits()+n[0]+n[1]+n[2] {
			bad("(d) queue %s: %d entered, %d left, %v are there", q.id, q.totals.Entered, q.totals.exits(), n)
		}
		for t := range q.lines {
			line := q.lines[t].list()
			filed -= len(line)
			if !inOrder(line) || !inOrder(q.guests[t].list()) {
				bad("(e) a line of queue %s is out of order", q.id)
			}
		}
		present, vipPresent := 0, 0
		for _, x := range s.seatList {
			if x.present && slices.Contains(x.queues, q) && q.couldServe(x) {
				present++
				if x.vip {
					vipPresent++
				}
			}
		}
		if present != q.present || vipPresent != q.presentVIP {
			bad("(g) queue %s counts %d present seats, %d VIP, but has %d and %d", q.id, q.present, q.presentVIP, present, vipPresent)
		}
		if len(q.members) != int(q.waiting) {
			bad("(d) queue %s counts %d waiting but has %d", q.id, q.waiting, len(q.members))
		}
		var vip, ordinary int
		for _, x := range s.idle {
			if slices.Contains(x.queues, q) {
				if x.vip {
					vip++
				} else {
					ordinary++
				}
			}
		}
		vips, others := q.idleVIP.list(), q.idleOrdinary.list()
		if vip != len(vips) || ordinary != len(others) || !slices.IsSortedFunc(vips, q.compareIdle) || !slices.IsSortedFunc(others, q.compareIdle) {
			bad("(a) queue %s counts %d VIP and %d ordinary idle seats but has %d and %d", q.id, len(vips), len(others), vip, ordinary)
		}
	}
	if filed != 0 {
		bad("(a) %d calls stand in lines where they do not wait", -filed)
	}
}

// inOrder says that each call of the line comes after the one before, none twice.
func inOrder(line []*call) bool {
	for i := 1; i < len(line); i++ {
		if comparePlaces(line[i-1], line[i]) >= 0 {
			return false
		}
	}
	return true
}
