package routing

import (
	"cmp"
	"slices"
)

// The steps as numbers, so that they compare.
const (
	stepManager = iota
	stepTeam
	stepQueue
	stepNever
)

var steps = [...]Step{StepManager, StepTeam, StepQueue}

// compareCalls is the order of serving, over all queues: the band, then the
// place in the line. It is total. Other orders than strict belong here, and in
// where link files a call.
func compareCalls(a, b *call) int {
	return cmp.Or(
		cmp.Compare(a.band, b.band),
		cmp.Compare(a.placeAt, b.placeAt),
		cmp.Compare(a.placeSeq, b.placeSeq),
		cmp.Compare(a.facts.ID, b.facts.ID),
	)
}

// compareSeatsFor is the order in which seats are rung for c: manager, team,
// then VIP seats for A and B but ordinary ones for C, longest idle, id.
func compareSeatsFor(c *call, a, b *seat) int {
	wrong := func(x *seat) int {
		if x.vip == (c.band == BandC) {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(c.circle(a), c.circle(b)),
		cmp.Compare(wrong(a), wrong(b)),
		cmp.Compare(a.idleSince, b.idleSince),
		cmp.Compare(a.id, b.id),
	)
}

// circle returns the first step of c whose candidates hold x. The manager and
// the team take their customer's call whichever queue it is in.
func (c *call) circle(x *seat) int {
	switch {
	case c.facts.Manager != "" && x.person.id == c.facts.Manager:
		return stepManager
	case c.facts.Team != "" && x.team == c.facts.Team:
		return stepTeam
	case slices.Contains(x.queues, c.q):
		return stepQueue
	default:
		return stepNever
	}
}

func (c *call) speaks(x *seat) bool {
	return c.facts.Language == "" || len(x.languages) == 0 || slices.Contains(x.languages, c.facts.Language)
}

// reserved says that c may not have x because x is a VIP seat and c is C. That
// no call of A or B is admissible to x needs no look: those come first in the
// order, and after each match none of them is left.
func (s *State) reserved(c *call, x *seat) bool {
	return x.vip && c.band == BandC && c.q.idleVIP <= s.policy.KeepIdle
}

// admissible says whether the waiting call c may be offered to x now.
func (s *State) admissible(c *call, x *seat) bool {
	return x.available && c.circle(x) <= c.step && c.speaks(x) && !s.reserved(c, x)
}

// link files a waiting call where match finds it and starts its step.
func (s *State) link(c *call) {
	c.facts.Phase = PhaseWaiting
	c.q.waiting++
	if m := c.facts.Manager; m != "" {
		s.byManager[m] = file(s.byManager[m], c)
	}
	if t := c.facts.Team; t != "" {
		s.byTeam[t] = file(s.byTeam[t], c)
	}
	if c.step == stepQueue {
		c.q.bands[c.band] = file(c.q.bands[c.band], c)
	}
	s.callsDirty = append(s.callsDirty, c)
	s.advance(c)
}

func (s *State) unlink(c *call) {
	c.q.waiting--
	s.deadlines.stop(&c.timer)
	if m := c.facts.Manager; m != "" {
		if s.byManager[m] = unfile(s.byManager[m], c); len(s.byManager[m]) == 0 {
			delete(s.byManager, m)
		}
	}
	if t := c.facts.Team; t != "" {
		if s.byTeam[t] = unfile(s.byTeam[t], c); len(s.byTeam[t]) == 0 {
			delete(s.byTeam, t)
		}
	}
	if c.step == stepQueue {
		c.q.bands[c.band] = unfile(c.q.bands[c.band], c)
	}
}

func file(list []*call, c *call) []*call {
	i, _ := slices.BinarySearchFunc(list, c, compareCalls)
	return slices.Insert(list, i, c)
}

func unfile(list []*call, c *call) []*call {
	i, _ := slices.BinarySearchFunc(list, c, compareCalls)
	return slices.Delete(list, i, i+1)
}

// advance moves the waiting call to the step it has reached: a step ends with
// its time, or at once when nobody is present to wait for. It never goes back.
func (s *State) advance(c *call) {
	for ; c.step < stepQueue; c.since = s.now {
		end := c.since
		switch {
		case c.step == stepManager && s.managerPresent(c):
			end = end.Add(s.policy.ManagerTime)
		case c.step == stepTeam && s.teamPresent(c):
			end = end.Add(s.policy.TeamTime)
		}
		if s.now < end {
			s.deadlines.set(&c.timer, end)
			return
		}
		c.step++
		s.callsDirty = append(s.callsDirty, c)
		if c.step == stepQueue {
			c.q.bands[c.band] = file(c.q.bands[c.band], c)
		}
	}
	s.deadlines.stop(&c.timer)
}

func (s *State) managerPresent(c *call) bool {
	p := s.agents[c.facts.Manager]
	return p != nil && p.seat.present && c.speaks(p.seat)
}

// teamPresent looks for somebody besides the manager: waiting for the manager
// has had its own step.
func (s *State) teamPresent(c *call) bool {
	if c.facts.Team == "" {
		return false
	}
	for _, x := range s.teams[c.facts.Team] {
		if x.present && x.person.id != c.facts.Manager && c.speaks(x) {
			return true
		}
	}
	return false
}

// match makes offers until no admissible pair is left. When no seat came free,
// only the calls that came or widened their circle can have become part of one.
func (s *State) match() {
	if s.seatsDirty {
		s.seatsDirty = false
		for s.matchFirst() {
		}
	} else if len(s.idle) > 0 {
		slices.SortFunc(s.callsDirty, compareCalls)
		for _, c := range s.callsDirty {
			if c.facts.Phase == PhaseWaiting {
				s.tryOffer(c)
			}
		}
	}
	clear(s.callsDirty)
	s.callsDirty = s.callsDirty[:0]
}

// matchFirst serves the first call in the order that has a seat.
func (s *State) matchFirst() bool {
	if len(s.idle) == 0 {
		return false
	}
	s.cursors = s.cursors[:0]
	for _, x := range s.idle {
		s.look(s.byManager[x.person.id])
		if x.team != "" {
			s.look(s.byTeam[x.team])
		}
	}
	for _, q := range s.queueIDs {
		if q.idleVIP+q.idleOrdinary > 0 {
			s.look(q.bands[BandA])
			s.look(q.bands[BandB])
		}
		if q.idleOrdinary > 0 || q.idleVIP > s.policy.KeepIdle {
			s.look(q.bands[BandC])
		}
	}
	for c := s.nextCall(); c != nil; c = s.nextCall() {
		if s.tryOffer(c) {
			return true
		}
	}
	return false
}

// tryOffer offers the waiting call c to the best seat, if it has one.
func (s *State) tryOffer(c *call) bool {
	var best, second *seat
	for _, x := range s.idle {
		switch {
		case !s.admissible(c, x):
		case best == nil || compareSeatsFor(c, x, best) < 0:
			best, second = x, best
		case second == nil || compareSeatsFor(c, x, second) < 0:
			second = x
		}
	}
	if best == nil {
		return false
	}
	s.makeOffer(c, best, s.reasons(c, best, second))
	return true
}

// cursor walks along one list of calls in the order of serving.
type cursor struct{ rest []*call }

// look adds a list to those that nextCall walks along; idle seats of one team
// share theirs.
func (s *State) look(list []*call) {
	if len(list) == 0 {
		return
	}
	for i := range s.cursors {
		if &s.cursors[i].rest[0] == &list[0] {
			return
		}
	}
	s.cursors = append(s.cursors, cursor{list})
}

// nextCall returns the next call of all the lists in s.cursors, each once.
func (s *State) nextCall() *call {
	var first *call
	for i := range s.cursors {
		if rest := s.cursors[i].rest; len(rest) > 0 && (first == nil || compareCalls(rest[0], first) < 0) {
			first = rest[0]
		}
	}
	if first == nil {
		return nil
	}
	for i := range s.cursors {
		if rest := s.cursors[i].rest; len(rest) > 0 && rest[0] == first {
			s.cursors[i].rest = rest[1:]
		}
	}
	return first
}
