package routing

import (
	"slices"
	"sort"
)

// changeIdle adds x to q's idle seats of its kind or removes it. They are in the
// order of compareIdle.
func (q *queue) changeIdle(x *seat, add bool) {
	l := q.idleLike(x.vip)
	i, _ := slices.BinarySearchFunc(l.list(), x, q.compareIdle)
	if add {
		l.insert(i, x)
	} else {
		l.remove(i)
	}
}

// idleLike are the queue's idle seats of one kind.
func (q *queue) idleLike(vip bool) *row[*seat] {
	if vip {
		return &q.idleVIP
	}
	return &q.idleOrdinary
}

// category is why a seat can't be rung, the first rule that says so.
type category uint8

const (
	unknownSeat category = iota // new, not counted yet
	offlineSeat
	notReadySeat
	busySeat
	restingSeat
	idleSeat
	categoryCount
)

func (x *seat) categorise() category {
	switch {
	case !x.registered || x.gone:
		return offlineSeat
	case x.person.status != StatusReady:
		return notReadySeat
	case x.call != nil || x.wrap != nil:
		return busySeat
	case x.resting:
		return restingSeat
	default:
		return idleSeat
	}
}

// count keeps the number of seats by category.
func (s *State) count(x *seat) {
	if x.category != unknownSeat {
		s.states[x.category]--
	}
	x.category = x.categorise()
	s.states[x.category]++
}

// pair are the best seat for a call and the next best.
type pair struct{ best, second *seat }

func (p *pair) full() bool { return p.second != nil }

func (p *pair) add(x *seat) {
	switch {
	case p.best == nil:
		p.best = x
	case p.second == nil && p.best != x:
		p.second = x
	}
}

// seatsFor finds the best two seats that the waiting call may be offered to, in
// the order of compareSeatsFor: the manager, the team, the seats of the queue.
func (s *State) seatsFor(c *call) pair {
	var p pair
	if m := s.agents[c.facts.Manager]; c.facts.Manager != "" && m != nil && s.admissible(c, m.seat) {
		p.add(m.seat)
	}
	if c.facts.Team != "" && c.step >= stepTeam {
		s.addTeam(c, &p)
	}
	if c.step < stepQueue {
		return p
	}
	preferred := c.band != BandC
	for step := stepQueue; step <= c.step; step++ {
		for _, l := range [...]*row[*seat]{c.q.idleLike(preferred), c.q.idleLike(!preferred)} {
			for _, x := range c.q.atStep(l.list(), step) {
				if p.full() {
					return p
				}
				if c.circle(x) == step && s.admissible(c, x) {
					p.add(x)
				}
			}
		}
	}
	return p
}

// atStep returns the part of l that a call reaches with this step: those at the
// queue's level, or those below it.
func (q *queue) atStep(l []*seat, step int) []*seat {
	fit := len(l)
	if q.minLevel > 0 {
		fit = sort.Search(len(l), func(i int) bool { return !q.fits(l[i]) })
	}
	if step == stepQueue {
		return l[:fit]
	}
	return l[fit:]
}

// addTeam adds the best two of the team.
func (s *State) addTeam(c *call, p *pair) {
	var t pair
	for _, x := range s.teams[c.facts.Team] {
		switch {
		case c.circle(x) != stepTeam || !s.admissible(c, x):
		case t.best == nil || compareSeatsFor(c, x, t.best) < 0:
			t.best, t.second = x, t.best
		case t.second == nil || compareSeatsFor(c, x, t.second) < 0:
			t.second = x
		}
	}
	for _, x := range []*seat{t.best, t.second} {
		if x != nil {
			p.add(x)
		}
	}
}
