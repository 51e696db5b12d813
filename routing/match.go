package routing

import (
	"cmp"
	"slices"
)

// compareSeatsFor is the order in which seats are rung for c: by the first open
// step that rings them; then VIP seats for A and B but ordinary ones for C; then level,
// rank and strategy of the queue that they are rung for, longest idle, id.
func compareSeatsFor(c *call, a, b *seat) int {
	wrong := func(x *seat) int {
		if x.vip == (c.band == BandC) {
			return 1
		}
		return 0
	}
	at := c.circle(a)
	return cmp.Or(cmp.Compare(at, c.circle(b)), cmp.Compare(wrong(a), wrong(b)), c.source(at).compareIdle(a, b))
}

// source is the queue as whose seats step i rings, which may be never.
func (c *call) source(i int) *queue {
	if i == never {
		return c.q
	}
	return cmp.Or(c.q.source(i), c.q)
}

func (c *call) speaks(x *seat) bool {
	return c.facts.Language == "" || len(x.languages) == 0 || slices.Contains(x.languages, c.facts.Language)
}

// reserved says that c may not have x, which its step rings, because x is a VIP seat
// and c is C: too few VIP seats are idle, or a call of A or B could have x. In the
// strict order the latter needs no look: those calls come first, and after each match
// none of them is left.
func (s *State) reserved(c *call, x *seat, step int) bool {
	if !x.vip || c.band != BandC {
		return false
	}
	return c.source(step).idleVIP.len() <= s.policy.KeepIdle || s.policy.Order != OrderStrict && s.wanted(x)
}

// wanted says whether a waiting call of A or B could have x now.
func (s *State) wanted(x *seat) bool {
	if !x.available {
		return false
	}
	could := func(l *lines) bool {
		for t := range l.tiers() {
			if Tier(t).Band() == BandC {
				continue
			}
			for _, c := range l[t].list() {
				if c.circle(x) != never && c.speaks(x) {
					return true
				}
			}
		}
		return false
	}
	if could(s.byManager.at(x.person.id)) || x.team != "" && could(s.byTeam.at(x.team)) {
		return true
	}
	for _, q := range x.queues {
		if could(&q.lines) || could(&q.guests) {
			return true
		}
	}
	return false
}

// admissible says whether the waiting call c may be offered to x now.
func (s *State) admissible(c *call, x *seat) bool {
	if !x.available {
		return false
	}
	step := c.circle(x)
	return step != never && c.speaks(x) && !s.reserved(c, x, step)
}

// link files a waiting call where match finds it and reads its plan on.
func (s *State) link(c *call) {
	c.facts.Phase = PhaseWaiting
	c.q.waiting++
	c.member = len(c.q.members)
	c.q.members = append(c.q.members, c)
	if m := c.facts.Manager; m != "" {
		s.byManager.file(m, c)
	}
	if t := c.facts.Team; t != "" {
		s.byTeam.file(t, c)
	}
	s.favour(c, 1)
	s.weigh(c.q)
	s.open(c, 0, c.reach.opened)
	s.callsDirty = append(s.callsDirty, c)
	s.advance(c)
}

func (s *State) unlink(c *call) {
	q, last := c.q, len(c.q.members)-1
	q.waiting--
	q.members[c.member] = q.members[last]
	q.members[c.member].member = c.member
	q.members[last] = nil
	q.members = q.members[:last]
	s.deadlines.stop(&c.timer)
	if m := c.facts.Manager; m != "" {
		s.byManager.unfile(m, c)
	}
	if t := c.facts.Team; t != "" {
		s.byTeam.unfile(t, c)
	}
	s.favour(c, -1)
	s.shut(c)
	s.weigh(q)
}

func (s *State) favour(c *call, n int) {
	if c.band == BandC && (c.facts.Manager != "" || c.facts.Team != "") {
		s.favoured += n
	}
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

// match makes offers until no admissible pair is left, and takes those out of
// their queues whose time to wait is over and who still have no seat.
func (s *State) match() {
	s.readTurned()
	s.offerAll()
	for s.leaveOverdue() {
		s.readTurned()
		s.offerAll()
	}
}

// offerAll makes offers until no admissible pair is left. A pair can only have come
// to be by a seat that came free or by a call that came or widened its circle, or
// by a VIP seat that makes others spare enough for C; after a change of the policy
// all is looked at.
func (s *State) offerAll() {
	switch {
	case s.everything || len(s.freed) > 0:
		for s.matchFirst() {
		}
	case len(s.idle) > 0:
		s.sortDirty()
		for _, c := range s.callsDirty {
			if c.facts.Phase == PhaseWaiting {
				s.tryOffer(c)
			}
		}
	}
	s.everything = false
	clear(s.freed)
	s.freed = s.freed[:0]
	clear(s.callsDirty)
	s.callsDirty = s.callsDirty[:0]
}

// sortDirty puts A and B before C, in any order of serving: whether C may have a
// VIP seat depends on whether one of them could.
func (s *State) sortDirty() {
	slices.SortFunc(s.callsDirty, func(a, b *call) int {
		return cmp.Or(compareReserved(a, b), s.compareCalls(a, b))
	})
}

// matchFirst serves the first call in the order that has a seat.
func (s *State) matchFirst() bool {
	if len(s.idle) == 0 {
		return false
	}
	s.cursors = s.cursors[:0]
	if s.everything || s.favoured > 0 && slices.ContainsFunc(s.freed, func(x *seat) bool { return x.vip }) {
		s.lookAtAll()
	} else {
		for _, x := range s.freed {
			if x.available {
				s.lookFrom(x)
			}
		}
		s.lookAtDirty()
	}
	for c := s.nextCall(); c != nil; c = s.nextCall() {
		if s.tryOffer(c) {
			return true
		}
	}
	return false
}

// lookFrom adds the calls that the idle seat x could be for.
func (s *State) lookFrom(x *seat) {
	s.look(s.byManager.at(x.person.id))
	if x.team != "" {
		s.look(s.byTeam.at(x.team))
	}
	kept := s.keptFromC(x)
	for _, q := range x.queues {
		spare := q.idleVIP.len() > s.policy.KeepIdle && !(kept && q.idleVIP.len() == 1)
		s.lookAt(q, true, q.idleOrdinary.len() > 0 || spare)
	}
}

// keptFromC says that no C call can have x because one of A or B could. In the orders
// by target long lines of C may stand before that one, and needn't be looked at.
func (s *State) keptFromC(x *seat) bool {
	return x.vip && s.policy.Order != OrderStrict && s.wanted(x)
}

func (s *State) lookAtAll() {
	for _, x := range s.idle {
		s.look(s.byManager.at(x.person.id))
		if x.team != "" {
			s.look(s.byTeam.at(x.team))
		}
	}
	for _, q := range s.queueIDs {
		s.lookAt(q, q.idleVIP.len()+q.idleOrdinary.len() > 0, q.idleOrdinary.len() > 0 || q.idleVIP.len() > s.policy.KeepIdle)
	}
}

// lookAtDirty adds the calls that came or widened their circle, each as a list of
// its own: there are few.
func (s *State) lookAtDirty() {
	for i, c := range s.callsDirty {
		if c.facts.Phase == PhaseWaiting {
			s.lookOne(s.callsDirty[i : i+1])
		}
	}
}

// tryOffer offers the waiting call c to the best seat, if it has one.
func (s *State) tryOffer(c *call) bool {
	p := s.seatsFor(c)
	if p.best == nil {
		return false
	}
	s.makeOffer(c, p.best, s.reasons(c, p.best, p.second))
	for n := 1; n < c.q.group; n++ { // the rest of the group, as far as it is idle
		if p = s.seatsFor(c); p.best == nil {
			break
		}
		s.makeOffer(c, p.best, s.reasons(c, p.best, p.second))
	}
	return true
}

// cursor walks along one list of calls in the order of serving.
type cursor struct{ rest []*call }

// look adds the lists of l to those that nextCall walks along; idle seats of one
// team share theirs.
func (s *State) look(l *lines) {
	for t := range l.tiers() {
		s.lookOne(l[t].list())
	}
}

// lookAt adds the line of a queue and its guests: the calls of A and B, and those of C, where
// they can have a seat at all.
func (s *State) lookAt(q *queue, vip, c bool) {
	for t := range q.lines {
		if Tier(t).Band() == BandC && c || Tier(t).Band() != BandC && vip {
			s.lookOne(q.lines[t].list())
			s.lookOne(q.guests[t].list())
		}
	}
}

func (s *State) lookOne(list []*call) {
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
		if rest := s.cursors[i].rest; len(rest) > 0 && (first == nil || s.compareCalls(rest[0], first) < 0) {
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
