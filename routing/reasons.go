package routing

// reasons explains why c goes to x; second is the next best seat, or nil. It is
// asked before the offer is made. It uses s.cursors, so the scan that found c
// must be over.
func (s *State) reasons(c *call, x, second *seat) Reasons {
	r := Reasons{
		Rule: rule(c, x), Order: s.policy.Order, Step: c.facts.Step, Tier: c.facts.Tier,
		Waited: s.now.Sub(c.facts.Queued), Target: s.policy.target(c.facts.Tier), Idle: s.now.Sub(x.idleSince),
		Strategy: c.q.strategy, Level: x.level(c.q.skill), Rank: unusualRank(c, x),
		Excluded: s.excluded(),
	}
	if second != nil {
		r.RunnerUpSeat, r.RunnerUpIdle = second.id, s.now.Sub(second.idleSince)
	}
	if next := s.runnerUp(c, x); next != nil {
		r.RunnerUpCall, r.RunnerUpTier, r.RunnerUpWaited = next.facts.ID, next.facts.Tier, s.now.Sub(next.facts.Queued)
	}
	return r
}

// unusualRank is the rank that x is rung by for c, 0 when it is the first one or
// doesn't matter.
func unusualRank(c *call, x *seat) int {
	at := c.circle(x)
	if r := x.rank(c.source(at)); r > 1 && at != never && c.q.plan[at].Ring != StepManager {
		return r
	}
	return 0
}

func rule(c *call, x *seat) string {
	switch st := &c.q.plan[c.circle(x)]; {
	case st.Ring == StepManager:
		return RuleManager
	case st.Ring == StepTeam:
		return RuleTeam
	case st.Ring == StepRelaxed && !c.q.fits(x):
		return RuleRelaxed
	case st.Of != "":
		return RuleOther
	case x.vip:
		return RuleVIPSeat
	default:
		return RuleQueue
	}
}

// runnerUp returns the call that x would get if c weren't there.
func (s *State) runnerUp(c *call, x *seat) *call {
	s.cursors = s.cursors[:0]
	s.look(s.byManager.at(x.person.id))
	if x.team != "" {
		s.look(s.byTeam.at(x.team))
	}
	kept := s.keptFromC(x)
	for _, q := range x.queues {
		s.lookAt(q, true, !x.vip || q.idleVIP.len() > s.policy.KeepIdle && !kept)
	}
	for n := s.nextCall(); n != nil; n = s.nextCall() {
		if n != c && s.admissible(n, x) {
			return n
		}
	}
	return nil
}

func (s *State) excluded() Excluded {
	return Excluded{Offline: s.states[offlineSeat], NotReady: s.states[notReadySeat],
		Busy: s.states[busySeat], Resting: s.states[restingSeat]}
}
