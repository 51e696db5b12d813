package routing

import (
	"cmp"
	"slices"
)

// policyChanged swaps the policy by difference: nobody loses a place, a call or
// a choice that still makes sense.
func (s *State) policyChanged(ev PolicyChanged) {
	if err := ev.Policy.Validate(); err != nil {
		s.ignore("policy_changed: %v", err)
		return
	}
	waiting := s.waitingCalls()
	for _, c := range waiting {
		s.unlink(c)
	}
	next := ev.Policy.clone()
	if old, ok := s.Policy(); ok {
		if c := next.Changes(&old); len(c) > 0 {
			s.decisions = append(s.decisions, &PolicyApplied{c})
		}
	}
	s.policy = next
	s.readTiers()
	s.clearSeats()
	s.changeQueues()
	s.changeSeats()
	for _, q := range slices.Clone(s.queueIDs) {
		s.dropEmpty(q)
	}
	// In the order of their places: a step that leaves when the line is long sends away
	// those who make it long.
	for _, c := range waiting {
		s.link(c)
	}
	s.everything = true
}

// clone keeps the state apart from slices that the caller may change later.
func (p *Policy) clone() Policy {
	q := *p
	q.Order = cmp.Or(q.Order, OrderStrict)
	q.Tiers = slices.Clone(p.Tiers)
	q.Queues = slices.Clone(p.Queues)
	for i := range q.Queues {
		q.Queues[i].Plan = clonePlan(q.Queues[i].Plan)
	}
	q.Seats = slices.Clone(p.Seats)
	for i := range q.Seats {
		q.Seats[i].Queues = slices.Clone(q.Seats[i].Queues)
		q.Seats[i].Languages = slices.Clone(q.Seats[i].Languages)
		q.Seats[i].Skills = slices.Clone(q.Seats[i].Skills)
		q.Seats[i].Ranks = slices.Clone(q.Seats[i].Ranks)
	}
	return q
}

// waitingCalls are all that wait, in the order of their places.
func (s *State) waitingCalls() []*call {
	var out []*call
	for _, q := range s.queueIDs {
		out = append(out, q.members...)
	}
	slices.SortFunc(out, comparePlaces)
	return out
}

func (s *State) changeQueues() {
	for _, q := range s.queueIDs {
		q.removed = true
	}
	for _, p := range s.policy.Queues {
		q := s.queues[p.ID]
		if q == nil {
			q = newQueue(p.ID)
			s.queues[p.ID] = q
			s.queueIDs = append(s.queueIDs, q)
		}
		q.removed, q.wrapUp, q.extend = false, p.WrapUp, p.Extension
		s.setStrategy(q, cmp.Or(p.Strategy, s.policy.Strategy, StrategyLongestIdle))
		q.skill, q.minLevel, q.relaxAfter, q.limits = p.Skill, p.MinLevel, p.RelaxAfter, p.Limits
		q.own, q.group = p.Plan, p.RingGroup
	}
	slices.SortFunc(s.queueIDs, compareQueues)
	for _, q := range s.queueIDs { // those that are removed, too: the policy's times count
		s.setPlan(q)
	}
}

// setStrategy changes the strategy of q while no seat stands in a list. What seats
// had while nobody went by weights isn't held against them.
func (s *State) setStrategy(q *queue, strategy string) {
	if strategy == StrategyWeighted && q.strategy != strategy {
		for _, x := range s.seatList {
			x.turns = 0
		}
	}
	q.strategy = strategy
}

func newQueue(id QueueID) *queue {
	q := &queue{id: id}
	q.timer = timer{id: string(id), pos: -1, queue: q}
	return q
}

func compareQueues(a, b *queue) int { return cmp.Compare(a.id, b.id) }

// clearSeats takes all seats out of the lists that the old queues order.
func (s *State) clearSeats() {
	for _, x := range s.seatList {
		s.setAvailable(x, false)
		x.gone = true
	}
}

func (s *State) changeSeats() {
	old := s.agents
	s.agents = map[AgentID]*agent{}
	for i := range s.policy.Seats {
		s.changeSeat(&s.policy.Seats[i], old)
	}
	slices.SortFunc(s.seatList, compareSeats)
	s.teams = map[string][]*seat{}
	for _, x := range s.seatList {
		if x.team != "" && !x.gone {
			s.teams[x.team] = append(s.teams[x.team], x)
		}
	}
	for _, x := range slices.Clone(s.seatList) {
		if x.gone && x.wrap != nil {
			s.endWrapUp(x)
		} else {
			s.update(x)
		}
	}
	s.recountPresent()
}

// changeSeat makes or changes one seat; old holds the agents that were there.
func (s *State) changeSeat(p *SeatPolicy, old map[AgentID]*agent) {
	x := s.seats[p.ID]
	if x == nil {
		x = &seat{id: p.ID, weight: 1}
		x.timer = timer{id: string(p.ID), pos: -1, seat: x}
		s.seats[p.ID] = x
		s.seatList = append(s.seatList, x)
	}
	person := old[p.agent()]
	if person == nil {
		person = &agent{id: p.agent(), status: StatusReady}
	}
	person.seat = x
	s.agents[person.id] = person
	x.person, x.gone = person, false
	x.vip, x.team, x.languages, x.skills = p.VIP, p.Team, p.Languages, p.Skills
	x.setWeight(int64(max(1, p.Weight)))

	// A queue that went away is served until its calls are over.
	queues := slices.DeleteFunc(x.queues, func(q *queue) bool { return !q.removed || q.live() == 0 })
	ranks := slices.DeleteFunc(slices.Clone(x.ranks), func(r QueueRank) bool {
		return !slices.ContainsFunc(queues, func(q *queue) bool { return q.id == r.Queue })
	})
	x.ranks = append(ranks, p.Ranks...)
	for _, id := range p.Queues {
		if q := s.queues[id]; !slices.Contains(queues, q) {
			queues = append(queues, q)
		}
	}
	slices.SortFunc(queues, compareQueues)
	x.queues = queues
}

// live returns how many calls of the queue wait, are on offer or talk.
func (q *queue) live() uint64 { return q.totals.Entered - q.totals.exits() }

// dropEmpty forgets a queue that the policy no longer holds once its last call
// is over.
func (s *State) dropEmpty(q *queue) {
	if !q.removed || q.live() > 0 {
		return
	}
	delete(s.queues, q.id)
	s.deadlines.stop(&q.timer)
	for _, o := range s.queueIDs {
		for i := range o.of {
			if o.of[i] == q {
				o.of[i] = nil
			}
		}
	}
	s.queueIDs = slices.DeleteFunc(s.queueIDs, func(o *queue) bool { return o == q })
	for _, x := range s.seatList {
		x.queues = slices.DeleteFunc(x.queues, func(o *queue) bool { return o == q })
	}
}
