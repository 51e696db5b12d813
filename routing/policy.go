package routing

import (
	"errors"
	"fmt"
	"slices"
)

// The orders in which waiting calls are served; see compareCalls.
const (
	// OrderStrict serves the bands of tiers strictly one before the other, first
	// come first served within a band.
	OrderStrict = "strict"
	// OrderDeadline serves first whose target ends first: first come first
	// served, shifted by the difference of the targets. Nobody starves.
	OrderDeadline = "deadline"
	// OrderRatio serves first whose wait is the largest share of the target: the
	// accumulating-priority queue (Kleinrock 1964; Stanford, Taylor, Ziedins
	// 2014) with the slopes 1/target.
	OrderRatio = "ratio"
)

// maxDuration bounds every duration of a policy to a year, so that deadlines
// can't overflow.
const maxDuration = 366 * 24 * Hour

// Policy is everything that is configured about routing. It enters by
// PolicyChanged. Durations are microseconds; zero switches the thing off.
type Policy struct {
	Tiers []TierPolicy `json:"tiers,omitempty"`
	// Order says who is served next: "strict", "deadline" or "ratio". Empty means
	// strict; the others need a target for each tier.
	Order string `json:"order,omitempty"`
	// Strategy says which idle seat is rung first, in queues that name none. Empty
	// means "longest_idle".
	Strategy string `json:"strategy,omitempty"`
	// KeepIdle is the number of idle VIP seats of a queue that C calls leave alone.
	KeepIdle int `json:"keep_idle"`
	// ManagerTime is how long, from entering the queue, a call waits for its
	// account manager only.
	ManagerTime Duration `json:"manager_time"`
	// TeamTime is how long a call then waits for the manager and the team only.
	TeamTime Duration `json:"team_time"`
	// RingTime is how long an agent's phone rings; more than zero.
	RingTime Duration `json:"ring_time"`
	// The delays are how long a seat rests after an offer that failed. A fault
	// rests as long as an unreachable seat.
	RejectDelay      Duration `json:"reject_delay"`
	BusyDelay        Duration `json:"busy_delay"`
	NoAnswerDelay    Duration `json:"no_answer_delay"`
	UnreachableDelay Duration `json:"unreachable_delay"`
	// ResumeWithin is how soon the number of a caller who left a queue without an
	// answer must call again, and ask for the same queue, to have the old place
	// back. An anonymous caller never has; nor who was sent away by a limit.
	ResumeWithin Duration `json:"resume_within,omitempty"`
	// MaxMisses is how many unanswered offers in a row send the agent on a
	// break; zero means never.
	MaxMisses int `json:"max_misses"`
	// OfferLease is how long beyond RingTime the owner of a call may be silent
	// about an offer, and how long the bridge may take after the answer.
	OfferLease Duration `json:"offer_lease"`
	// UTCOffset is the local time zone's in minutes, for the hours of plans. A change
	// (summer time) is a new policy.
	UTCOffset int           `json:"utc_offset,omitempty"`
	Queues    []QueuePolicy `json:"queues,omitempty"`
	Seats     []SeatPolicy  `json:"seats,omitempty"`
}

// TierPolicy is what is configured about one tier.
type TierPolicy struct {
	Tier Tier `json:"tier"`
	// TargetMS is the wait in milliseconds within which calls should be answered.
	TargetMS int64 `json:"target_ms"`
	// MaxWait is how long a call may wait since it came into its present queue; then
	// it leaves by Limits.WhenTooLong. The shorter one of this and Limits.MaxWait
	// counts.
	MaxWait Duration `json:"max_wait,omitempty"`
}

// QueuePolicy is what is configured about one queue.
type QueuePolicy struct {
	ID QueueID `json:"id"`
	// WrapUp is the agent's time for work after a call of this queue.
	WrapUp Duration `json:"wrap_up"`
	Extension
	// Strategy says which idle seat is rung first; empty means Policy.Strategy.
	Strategy string `json:"strategy,omitempty"`
	// RingGroup is how many seats ring at once for a call, the first by the strategy;
	// who answers first has it. At most maxRingGroup; 0 and 1 ring one.
	RingGroup int `json:"ring_group,omitempty"`
	// Skill is what the queue's callers need; empty means none. Seats below
	// MinLevel (0 to 10) aren't rung, until a call has waited RelaxAfter in the
	// queue: then every seat of the queue is, the fit ones first. A RelaxAfter of
	// zero never relaxes it. The account manager and the team take their
	// customer's call whatever their level.
	Skill      string   `json:"skill,omitempty"`
	MinLevel   int      `json:"min_level,omitempty"`
	RelaxAfter Duration `json:"relax_after,omitempty"`
	// Plan says step by step who is rung for the queue's calls and when they leave it.
	// Empty means the manager for ManagerTime, the team for TeamTime, then the queue,
	// and after RelaxAfter those below the level.
	Plan []PlanStep `json:"plan,omitempty"`
	Limits
}

// Extension is how an agent may prolong a wrap-up. The zero value allows nothing.
type Extension struct {
	// WrapUpExtension is the time that one WrapUpExtended adds.
	WrapUpExtension Duration `json:"wrap_up_extension,omitempty"`
	// MaxExtensions is how often, for one call.
	MaxExtensions int `json:"max_extensions,omitempty"`
}

// SeatPolicy is what is configured about one seat.
type SeatPolicy struct {
	ID SeatID `json:"id"`
	// Agent sits here; empty means a person with the seat's own name.
	Agent AgentID `json:"agent,omitempty"`
	// VIP reserves the seat for the bands A and B.
	VIP    bool      `json:"vip,omitempty"`
	Team   string    `json:"team,omitempty"`
	Queues []QueueID `json:"queues,omitempty"`
	// Languages the seat speaks; empty means any.
	Languages []string `json:"languages,omitempty"`
	Skills    []Skill  `json:"skills,omitempty"`
	// Ranks are the queues whose calls are not first of all for this seat.
	Ranks []QueueRank `json:"ranks,omitempty"`
	// Weight is the seat's share of the offers where the strategy is "weighted", 1 to
	// 100; 0 means 1.
	Weight int `json:"weight,omitempty"`
}

// QueueRank is how far back a seat stands in one of its queues.
type QueueRank struct {
	Queue QueueID `json:"queue"`
	// Rank is 1 to 9: an idle seat of a lower rank is rung first. A queue without an
	// entry has rank 1.
	Rank int `json:"rank"`
}

// maxRank is the rank of those who are rung last.
const maxRank = 9

// Validate returns everything that is wrong with the policy, joined, or nil.
// PolicyChanged with a policy that is wrong is ignored.
func (p *Policy) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch p.Order {
	case "", OrderStrict:
	case OrderDeadline, OrderRatio:
		for _, t := range Tiers() {
			if p.target(t) <= 0 {
				bad("order %q needs a target for each tier; %s has none", p.Order, t)
			}
		}
	default:
		bad("order %q is unknown; use %q, %q or %q", p.Order, OrderStrict, OrderDeadline, OrderRatio)
	}
	if !validStrategy(p.Strategy) {
		bad("strategy %q is unknown", p.Strategy)
	}
	if p.KeepIdle < 0 {
		bad("keep_idle is %d; use 0 or more", p.KeepIdle)
	}
	if p.MaxMisses < 0 {
		bad("max_misses is %d; use 0 (never) or more", p.MaxMisses)
	}
	if p.RingTime == 0 {
		bad("ring_time is 0; a phone must ring for some time")
	}
	for _, d := range []struct {
		name string
		d    Duration
	}{
		{"manager_time", p.ManagerTime}, {"team_time", p.TeamTime}, {"ring_time", p.RingTime},
		{"reject_delay", p.RejectDelay}, {"busy_delay", p.BusyDelay}, {"no_answer_delay", p.NoAnswerDelay},
		{"unreachable_delay", p.UnreachableDelay}, {"offer_lease", p.OfferLease},
		{"resume_within", p.ResumeWithin},
	} {
		if d.d < 0 || d.d > maxDuration {
			bad("%s is %d µs; use 0 to one year", d.name, d.d)
		}
	}
	p.validateTiers(bad)
	if p.UTCOffset < -24*60 || p.UTCOffset > 24*60 {
		bad("utc_offset is %d; use minutes within a day", p.UTCOffset)
	}
	queues := p.validateQueues(bad)
	p.validateSources(queues, bad)
	p.validateExits(queues, bad)
	p.validateSeats(queues, bad)
	return errors.Join(errs...)
}

func (p *Policy) validateTiers(bad func(string, ...any)) {
	var seen [tierCount]bool
	for _, t := range p.Tiers {
		if t.Tier >= tierCount {
			bad("tier %d does not exist", uint8(t.Tier))
			continue
		}
		if seen[t.Tier] {
			bad("tier %s is given twice", t.Tier)
		}
		seen[t.Tier] = true
		if t.TargetMS < 0 || t.TargetMS > int64(maxDuration/Millisecond) {
			bad("target_ms of tier %s is %d; use 0 to one year", t.Tier, t.TargetMS)
		}
		if t.MaxWait < 0 || t.MaxWait > maxDuration {
			bad("max_wait of tier %s is %d µs; use 0 to one year", t.Tier, t.MaxWait)
		}
	}
}

func (p *Policy) validateQueues(bad func(string, ...any)) map[QueueID]bool {
	seen := map[QueueID]bool{}
	for _, q := range p.Queues {
		if q.ID == "" {
			bad("a queue has no id")
		}
		if seen[q.ID] {
			bad("queue %q is given twice", q.ID)
		}
		seen[q.ID] = true
		if q.WrapUp < 0 || q.WrapUp > maxDuration {
			bad("wrap_up of queue %q is %d µs; use 0 to one year", q.ID, q.WrapUp)
		}
		if q.WrapUpExtension < 0 || q.WrapUpExtension > maxDuration || q.MaxExtensions < 0 {
			bad("wrap_up_extension of queue %q is %d µs, %d times; use 0 to one year, 0 times or more", q.ID, q.WrapUpExtension, q.MaxExtensions)
		}
		q.validateSkill(bad)
		q.validateLimits(bad)
		q.validatePlan(bad)
	}
	return seen
}

func (q *QueuePolicy) validateSkill(bad func(string, ...any)) {
	if q.RingGroup < 0 || q.RingGroup > maxRingGroup {
		bad("ring_group of queue %q is %d; use 0 to %d", q.ID, q.RingGroup, maxRingGroup)
	}
	if !validStrategy(q.Strategy) {
		bad("strategy %q of queue %q is unknown", q.Strategy, q.ID)
	}
	if q.MinLevel < 0 || q.MinLevel > maxLevel {
		bad("min_level of queue %q is %d; use 0 to %d", q.ID, q.MinLevel, maxLevel)
	}
	if q.MinLevel > 0 && q.Skill == "" {
		bad("queue %q has a min_level but no skill", q.ID)
	}
	if q.RelaxAfter < 0 || q.RelaxAfter > maxDuration {
		bad("relax_after of queue %q is %d µs; use 0 to one year", q.ID, q.RelaxAfter)
	}
}

func (p *Policy) validateSeats(queues map[QueueID]bool, bad func(string, ...any)) {
	seats, agents := map[SeatID]bool{}, map[AgentID]bool{}
	for _, x := range p.Seats {
		if x.ID == "" {
			bad("a seat has no id")
		}
		if seats[x.ID] {
			bad("seat %q is given twice", x.ID)
		}
		seats[x.ID] = true
		if agents[x.agent()] {
			bad("agent %q sits at two seats", x.agent())
		}
		agents[x.agent()] = true
		for _, q := range x.Queues {
			if !queues[q] {
				bad("seat %q serves queue %q, which does not exist", x.ID, q)
			}
		}
		if x.Weight < 0 || x.Weight > maxWeight {
			bad("weight of seat %q is %d; use 1 to %d", x.ID, x.Weight, maxWeight)
		}
		x.validateRanks(bad)
		for i, k := range x.Skills {
			if k.Name == "" || k.Level < 1 || k.Level > maxLevel {
				bad("seat %q has skill %q of level %d; use a name and 1 to %d", x.ID, k.Name, k.Level, maxLevel)
			}
			if slices.ContainsFunc(x.Skills[:i], func(o Skill) bool { return o.Name == k.Name }) {
				bad("seat %q has skill %q twice", x.ID, k.Name)
			}
		}
	}
}

func (x *SeatPolicy) validateRanks(bad func(string, ...any)) {
	for i, r := range x.Ranks {
		if r.Rank < 1 || r.Rank > maxRank {
			bad("seat %q has rank %d in queue %q; use 1 to %d", x.ID, r.Rank, r.Queue, maxRank)
		}
		if !slices.Contains(x.Queues, r.Queue) {
			bad("seat %q has a rank in queue %q, which it does not serve", x.ID, r.Queue)
		}
		if slices.ContainsFunc(x.Ranks[:i], func(o QueueRank) bool { return o.Queue == r.Queue }) {
			bad("seat %q has two ranks in queue %q", x.ID, r.Queue)
		}
	}
}

func (x *SeatPolicy) agent() AgentID {
	if x.Agent == "" {
		return AgentID(x.ID)
	}
	return x.Agent
}

// tier returns what is configured about t, zero if there is nothing.
func (p *Policy) tier(t Tier) TierPolicy {
	for i := range p.Tiers {
		if p.Tiers[i].Tier == t {
			return p.Tiers[i]
		}
	}
	return TierPolicy{Tier: t}
}

// target returns the tier's target, zero if there is none.
func (p *Policy) target(t Tier) Duration { return Duration(p.tier(t).TargetMS) * Millisecond }

// readTiers keeps at hand what the policy says of each tier.
func (s *State) readTiers() {
	for _, t := range Tiers() {
		s.targets[t], s.maxWaits[t] = s.policy.target(t), s.policy.tier(t).MaxWait
	}
}
