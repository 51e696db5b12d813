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
	case x.call != nil || x.wrap != nil || x.ownCall:
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
// the order of compareSeatsFor: step by step of its plan.
func (s *State) seatsFor(c *call) pair {
	var p pair
	for i := range c.q.plan {
		if c.reach.opened&(1<<i) == 0 {
			continue
		}
		switch c.q.plan[i].Ring {
		case StepManager:
			if m := s.agents[c.facts.Manager]; c.facts.Manager != "" && m != nil && c.circle(m.seat) == i && s.admissible(c, m.seat) {
				p.add(m.seat)
			}
		case StepTeam:
			if c.facts.Team != "" {
				s.addTeam(c, i, &p)
			}
		default:
			s.addIdle(c, i, &p)
		}
		if p.full() {
			return p
		}
	}
	return p
}

// addIdle adds seats that step i rings as seats of a queue.
func (s *State) addIdle(c *call, i int, p *pair) {
	q := c.q.source(i)
	if q == nil {
		return
	}
	ring, preferred := c.q.plan[i].Ring, c.band != BandC
	for k, l := range [...]*row[*seat]{q.idleLike(preferred), q.idleLike(!preferred)} {
		if ring == StepVIP && (k == 0) != preferred {
			continue
		}
		list := l.list()
		if ring != StepRelaxed {
			list = q.fit(list)
		}
		for _, x := range list {
			if c.circle(x) == i && s.admissible(c, x) {
				if p.add(x); p.full() {
					return
				}
			}
		}
	}
}

// fit returns the part of l that has the level which q asks for: the first.
func (q *queue) fit(l []*seat) []*seat {
	if q.minLevel == 0 {
		return l
	}
	return l[:sort.Search(len(l), func(i int) bool { return !q.fits(l[i]) })]
}

// addTeam adds the best two of the team, whom step i rings.
func (s *State) addTeam(c *call, i int, p *pair) {
	var t pair
	for _, x := range s.teams[c.facts.Team] {
		switch {
		case c.circle(x) != i || !s.admissible(c, x):
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
