package routing

import "slices"

// MaxSteps bounds the steps of a plan.
const MaxSteps = 16

// PlanStep is one step of a queue's plan: whom to ring, or where to send the call.
// A plan is read from top to bottom for each call; see State.read.
type PlanStep struct {
	// Ring says who may be rung from this step on; empty in a step that leaves.
	Ring Step `json:"ring,omitempty"`
	// Of is the queue whose seats are rung, for StepQueue; empty means the own one.
	Of QueueID `json:"of,omitempty"`
	// For is how long the plan isn't read further while one of those whom the step
	// rings is there, counted from the end of the step before.
	For Duration `json:"for,omitempty"`
	// Leave takes the call out of the queue.
	Leave *Exit `json:"leave,omitempty"`
	// After is how long a call has waited in the queue before it comes to the step.
	After Duration  `json:"after,omitempty"`
	When  Condition `json:"when,omitzero"`
}

// Condition is what must hold for a step; zero fields ask nothing.
type Condition struct {
	Tiers []Tier `json:"tiers,omitempty"`
	// Waiting is how many calls wait in the queue at least, this one included.
	Waiting int `json:"waiting,omitempty"`
	// WaitingPerSeat is that number for each seat that is there for the queue, in
	// thousandths; without a seat any call is enough.
	WaitingPerSeat int `json:"waiting_per_seat,omitempty"`
	// ExpectedWait is what the tier's last estimate (P50) says at least; an estimate
	// older than maxEstimateAge says nothing.
	ExpectedWait Duration `json:"expected_wait,omitempty"`
	// Hours are those of the week in which the step counts; none is all.
	Hours []Window `json:"hours,omitempty"`
}

// Window is a span of the week in minutes from Monday 0:00 in the policy's local
// time, without its end; it goes over Sunday night when To isn't after From.
type Window struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// week is the number of minutes of one.
const week = 7 * 24 * 60

// empty says that the condition asks nothing that can change while a call waits.
func (w *Condition) empty() bool {
	return w.Waiting == 0 && w.WaitingPerSeat == 0 && w.ExpectedWait == 0 && len(w.Hours) == 0
}

func (w *Condition) allows(t Tier) bool { return len(w.Tiers) == 0 || slices.Contains(w.Tiers, t) }

// minuteOfWeek is the local minute at t.
func (p *Policy) minuteOfWeek(t Time) int {
	const thursday = 3 * 24 * 60 // the epoch's day
	m := (int64(t)/int64(Minute) + int64(p.UTCOffset) + thursday) % week
	return int((m + week) % week)
}

// within says whether a minute of the week lies in one of the windows.
func within(hours []Window, minute int) bool {
	return len(hours) == 0 || slices.ContainsFunc(hours, func(w Window) bool {
		if w.From < w.To {
			return w.From <= minute && minute < w.To
		}
		return w.From <= minute || minute < w.To
	})
}

// nextHour is when one of the plan's windows begins or ends next.
func (p *Policy) nextHour(plan []PlanStep, now Time) (at Time, ok bool) {
	minute := p.minuteOfWeek(now)
	least := week + 1
	for i := range plan {
		for _, w := range plan[i].When.Hours {
			for _, edge := range []int{w.From, w.To} {
				least = min(least, (edge-minute-1+2*week)%week+1)
			}
		}
	}
	if least > week {
		return 0, false
	}
	begun := now - now%Time(Minute)
	return begun.Add(Duration(least) * Minute), true
}

// plan is what a queue does with its calls: its own plan, or that of the times in
// the policy.
func (p *Policy) plan(q *QueuePolicy) []PlanStep {
	if len(q.Plan) > 0 {
		return q.Plan
	}
	plan := []PlanStep{{Ring: StepManager, For: p.ManagerTime}, {Ring: StepTeam, For: p.TeamTime}, {Ring: StepQueue}}
	if q.MinLevel > 0 && q.RelaxAfter > 0 {
		plan = append(plan, PlanStep{Ring: StepRelaxed, After: q.RelaxAfter})
	}
	return plan
}

// leaves are the exits in the plan.
func (q *QueuePolicy) leaves() (out []Exit) {
	for i := range q.Plan {
		if e := q.Plan[i].Leave; e != nil {
			out = append(out, *e)
		}
	}
	return out
}

func clonePlan(plan []PlanStep) []PlanStep {
	out := slices.Clone(plan)
	for i := range out {
		st := &out[i]
		if st.Leave != nil {
			e := *st.Leave
			st.Leave = &e
		}
		st.When.Tiers, st.When.Hours = slices.Clone(st.When.Tiers), slices.Clone(st.When.Hours)
	}
	return out
}

func samePlan(a, b []PlanStep) bool {
	return slices.EqualFunc(a, b, func(x, y PlanStep) bool {
		same := x.Leave == nil && y.Leave == nil || x.Leave != nil && y.Leave != nil && *x.Leave == *y.Leave
		v, w := &x.When, &y.When
		return same && x.Ring == y.Ring && x.Of == y.Of && x.For == y.For && x.After == y.After &&
			slices.Equal(v.Tiers, w.Tiers) && slices.Equal(v.Hours, w.Hours) && v.Waiting == w.Waiting &&
			v.WaitingPerSeat == w.WaitingPerSeat && v.ExpectedWait == w.ExpectedWait
	})
}

func (q *QueuePolicy) validatePlan(bad func(string, ...any)) {
	if len(q.Plan) > MaxSteps {
		bad("the plan of queue %q has %d steps; use at most %d", q.ID, len(q.Plan), MaxSteps)
	}
	if len(q.Plan) > 0 && q.RelaxAfter > 0 {
		bad("queue %q has a plan and relax_after; write a step that rings %q", q.ID, StepRelaxed)
	}
	for i := range q.Plan {
		st := &q.Plan[i]
		say := func(format string, args ...any) {
			bad("step %d of the plan of queue %q "+format, append([]any{i + 1, q.ID}, args...)...)
		}
		st.validate(say)
		if st.Of != "" && st.Of == q.ID {
			say("names its own queue; leave that out")
		}
	}
}

func (st *PlanStep) validate(say func(string, ...any)) {
	switch st.Ring {
	case StepManager, StepTeam, StepVIP, StepQueue, StepRelaxed:
		if st.Leave != nil {
			say("both rings and leaves")
		}
	case "":
		if st.Leave == nil {
			say("neither rings nor leaves")
		}
	default:
		say("rings %q, which does not exist", st.Ring)
	}
	if st.Of != "" && st.Ring != StepQueue {
		say("names queue %q but doesn't ring %q", st.Of, StepQueue)
	}
	if st.Leave != nil && st.Leave.Queue != "" && st.Leave.Prompt != "" {
		say("leaves both to a queue and with a prompt")
	}
	if st.Leave != nil && st.For != 0 {
		say("leaves and has a time to ring")
	}
	w := &st.When
	for _, d := range []Duration{st.For, st.After, w.ExpectedWait} {
		if d < 0 || d > maxDuration {
			say("has a span of %d µs; use 0 to one year", d)
		}
	}
	if w.Waiting < 0 || w.WaitingPerSeat < 0 {
		say("asks for fewer than no calls")
	}
	for _, t := range w.Tiers {
		if t >= tierCount {
			say("has a tier that does not exist")
		}
	}
	for _, h := range w.Hours {
		if h.From < 0 || h.From >= week || h.To < 0 || h.To > week {
			say("has the hours %d to %d; use minutes of the week, 0 to %d", h.From, h.To, week)
		}
	}
}

// validateSources wants the queues to exist whose seats plans ring.
func (p *Policy) validateSources(queues map[QueueID]bool, bad func(string, ...any)) {
	for i := range p.Queues {
		for _, st := range p.Queues[i].Plan {
			if st.Of != "" && !queues[st.Of] {
				bad("the plan of queue %q rings queue %q, which does not exist", p.Queues[i].ID, st.Of)
			}
		}
	}
}
