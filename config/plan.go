package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotline/ivr"
	"hotline/routing"
)

// Step is one step of a queue's plan, read from top to bottom for each caller who
// waits. It either rings somebody, from then on, or makes the caller leave.
type Step struct {
	// Ring says who is rung from this step on: "manager" and "team" of the
	// customer, "vip" the queue's VIP seats, "queue" all its seats of the level it
	// asks for, "relaxed" those below the level, too. Default: none, the step leaves.
	Ring string `yaml:"ring" oneof:"manager|team|vip|queue|relaxed"`
	// Of is another queue whose seats are rung, with ring: queue. Default: the own.
	Of string `yaml:"of"`
	// For is how long nobody of the later steps is rung while somebody of this one
	// is there, at work or not. 0s to 24h, default 0s.
	For time.Duration `yaml:"for" default:"0s" min:"0s" max:"24h"`
	// Leave is where the caller goes, in a step that rings nobody. It is asked once,
	// when After has come.
	Leave *Exit `yaml:"leave"`
	// After is how long a caller has waited in the queue before the step counts. 0s
	// to 24h, default 0s.
	After time.Duration `yaml:"after" default:"0s" min:"0s" max:"24h"`
	// When are conditions; the step counts once they hold all.
	When When `yaml:"when"`
}

// When are the conditions of a step. A field that is left out asks nothing.
type When struct {
	// Tiers that the step is for. Default: all.
	Tiers []routing.Tier `yaml:"tiers" unique:"yes"`
	// Waiting is how many callers wait in the queue at least, this one included. 0
	// to 100000, default 0.
	Waiting int `yaml:"waiting" default:"0" min:"0" max:"100000"`
	// WaitingPerSeat is how many that is for each seat that is there. 0.001 to 1000,
	// default 0: any.
	WaitingPerSeat float64 `yaml:"waiting_per_seat" default:"0"`
	// ExpectedWait is what half of the callers of the tier who come now have to wait
	// at least, by the last estimate. Needs routing.estimate_every. 0s to 24h,
	// default 0s.
	ExpectedWait time.Duration `yaml:"expected_wait" default:"0s" min:"0s" max:"24h"`
	// Hours are spans of the week in routing.time_zone, such as "Mon-Fri
	// 09:00-18:00" or "Sat 22:00-06:00". Default: always.
	Hours []Hours `yaml:"hours"`
}

// Hours is a span of the week as it is written: "Mon-Fri 09:00-18:00", "Sun".
type Hours string

var hoursForm = regexp.MustCompile(`^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?(?: (\d\d):(\d\d)-(\d\d):(\d\d))?$`)

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// windows are the spans in minutes of the week, one for each day; one that ends
// before it begins goes over midnight.
func (h Hours) windows() ([]routing.Window, error) {
	m := hoursForm.FindStringSubmatch(string(h))
	if m == nil {
		return nil, errors.New("are no hours")
	}
	num := func(s, without string) int {
		n, _ := strconv.Atoi(cmp.Or(s, without))
		return n
	}
	from, to := num(m[3], "0")*60+num(m[4], "0"), num(m[5], "24")*60+num(m[6], "0")
	const day = 24 * 60
	if from >= day || to > day || num(m[4], "0") > 59 || num(m[6], "0") > 59 || from == to {
		return nil, errors.New("has a time that doesn't exist")
	}
	if to < from {
		to += day
	}
	var out []routing.Window
	first, last := slices.Index(weekdays, m[1]), slices.Index(weekdays, cmp.Or(m[2], m[1]))
	for d := first; ; d = (d + 1) % 7 {
		end := d*day + to
		if end > 7*day {
			end -= 7 * day
		}
		out = append(out, routing.Window{From: d*day + from, To: end})
		if d == last {
			return out, nil
		}
	}
}

func readHours(s string) (Hours, error) {
	_, err := Hours(s).windows()
	return Hours(s), err
}

func (st *Step) policy() routing.PlanStep {
	p := routing.PlanStep{
		Ring: routing.Step(st.Ring), Of: routing.QueueID(st.Of), For: micro(st.For), After: micro(st.After),
		When: routing.Condition{
			Tiers: st.When.Tiers, Waiting: st.When.Waiting, ExpectedWait: micro(st.When.ExpectedWait),
			WaitingPerSeat: int(st.When.WaitingPerSeat*1000 + 0.5),
		},
	}
	if st.Leave != nil {
		e := st.Leave.exit()
		p.Leave = &e
	}
	for _, h := range st.When.Hours {
		windows, _ := h.windows() // read before
		p.When.Hours = append(p.When.Hours, windows...)
	}
	return p
}

// maxSteps leaves room for the one that an emergency puts before the others.
const maxSteps = routing.MaxSteps - 1

// plan checks the steps of a queue's plan, each by itself and after those before.
func (c *checker) plan(i int, q *Queue) {
	if len(q.Plan) == 0 {
		return
	}
	list := index("queues", i, "plan")
	for k := range q.Plan {
		if c.badBelow(index(list, k, "")) {
			return // what could not be read may be what is missing
		}
	}
	if q.RelaxAfter > 0 {
		c.wrong(index("queues", i, "relax_after"), "write a step {ring: relaxed, after: "+ivr.Span(q.RelaxAfter)+"}",
			"queue %s has a plan, which says when the level is relaxed", q.Name)
	}
	if len(q.Plan) > maxSteps {
		c.wrong(index(list, maxSteps, ""), "leave some out", "the plan of queue %s has %d steps; routing reads at most %d", q.Name, len(q.Plan), maxSteps)
	}
	whole := !c.badBelow("tiers")
	for k := range q.Plan {
		at := index(list, k, "")
		if !c.step(at, q, &q.Plan[k]) {
			whole = false
			continue
		}
		if why := c.unreached(q, k); why != "" {
			c.wrong(at, "move it up, or leave it out", "step %d of the plan of queue %s never does anything: %s", k+1, q.Name, why)
		}
	}
	if whole {
		c.served(list, q)
	}
}

// badBelow says that something at path or below it couldn't be read.
func (c *checker) badBelow(path string) bool {
	for p := range c.bad {
		if p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[") {
			return true
		}
	}
	return false
}

// step checks one step by itself.
func (c *checker) step(at string, q *Queue, st *Step) bool {
	known := c.queueNames()
	say := func(field, hint, format string, args ...any) bool {
		c.wrong(strings.TrimSuffix(at+"."+field, "."), hint, format, args...)
		return false
	}
	w := st.When
	switch {
	case st.Ring == "" && st.Leave == nil:
		return say("", "add ring: ... or leave: {...}", "the step neither rings nor leaves")
	case st.Ring != "" && st.Leave != nil:
		return say("leave", "make two steps of it", "the step both rings and leaves")
	case st.Leave != nil && st.For > 0:
		return say("for", "write after: "+ivr.Span(st.For), "a step that leaves rings nobody for any time")
	case st.Of != "" && st.Ring != string(routing.StepQueue):
		return say("of", "write ring: queue", "only ring: queue has an of")
	case st.Of == q.Name:
		return say("of", "leave of out", "%s is the queue itself", quote(st.Of))
	case st.Of != "" && !slices.Contains(known, st.Of):
		return say("of", didYouMean(st.Of, known), "queue %s doesn't exist", quote(st.Of))
	case st.Leave != nil && st.Leave.Queue != "" && st.Leave.HangUp != "":
		return say("leave", "keep one of them", "callers can't both wait in queue %s and be hung up", st.Leave.Queue)
	case st.Leave != nil && st.Leave.Queue != "" && !slices.Contains(known, st.Leave.Queue):
		return say("leave.queue", didYouMean(st.Leave.Queue, known), "queue %s doesn't exist", quote(st.Leave.Queue))
	case st.Ring == string(routing.StepRelaxed) && q.MinLevel == 0:
		return say("ring", "add min_level to the queue", "queue %s asks for no level that could be relaxed", q.Name)
	case st.Ring == string(routing.StepVIP) && !c.hasVIP(q):
		return say("ring", "give the queue an agent with vip: true", "queue %s has no VIP seat", q.Name)
	case w.WaitingPerSeat != 0 && !(w.WaitingPerSeat >= 0.001 && w.WaitingPerSeat <= 1000):
		return say("when.waiting_per_seat", "use 0.001 to 1000, or leave it out", "waiting_per_seat can't be %v", w.WaitingPerSeat)
	case w.ExpectedWait > 0 && c.cfg.Routing.EstimateEvery == 0:
		return say("when.expected_wait", "set routing.estimate_every", "nothing is expected as long as nothing is estimated")
	}
	return true
}

func (c *checker) hasVIP(q *Queue) bool {
	return slices.ContainsFunc(c.cfg.Agents, func(a Agent) bool { return a.VIP && slices.Contains(a.Queues, q.Name) })
}

// rungAlready says of a step and a later one that the first rings all whom the second
// rings.
var rungAlready = map[string]bool{
	"manager manager": true, "team team": true, "vip vip": true, "queue queue": true, "relaxed relaxed": true,
	"queue vip": true, "relaxed queue": true, "relaxed vip": true,
}

// unreached says why step k adds nothing to those before it, or "".
func (c *checker) unreached(q *Queue, k int) string {
	st := &q.Plan[k]
	if longest := c.longest(q, st); longest > 0 && st.After >= longest {
		return fmt.Sprintf("callers leave after max_wait, %s", ivr.Span(longest))
	}
	for i := range k {
		before := &q.Plan[i]
		if before.After > st.After || !before.When.covers(&st.When) {
			continue
		}
		switch {
		case before.Leave != nil:
			return fmt.Sprintf("step %d has made all its callers leave", i+1)
		case st.Leave == nil && before.Of == st.Of && rungAlready[before.Ring+" "+st.Ring]:
			return fmt.Sprintf("step %d rings the same people", i+1)
		}
	}
	return ""
}

// longest is how long a caller whom the step is for may wait in q, 0 for ever.
func (c *checker) longest(q *Queue, st *Step) (longest time.Duration) {
	for _, t := range routing.Tiers() {
		if !st.isFor(t) {
			continue
		}
		limit := c.cfg.maxWait(q, t)
		if limit == 0 {
			return 0
		}
		longest = max(longest, limit)
	}
	return longest
}

func (st *Step) isFor(t routing.Tier) bool {
	return len(st.When.Tiers) == 0 || slices.Contains(st.When.Tiers, t)
}

// covers says that w asks nothing that changes and is for all tiers of o.
func (w *When) covers(o *When) bool {
	if w.changes() {
		return false
	}
	return len(w.Tiers) == 0 || len(o.Tiers) > 0 && !slices.ContainsFunc(o.Tiers, func(t routing.Tier) bool { return !slices.Contains(w.Tiers, t) })
}

// changes says that the condition may never come to hold.
func (w *When) changes() bool {
	return w.Waiting > 1 || w.WaitingPerSeat > 0 || w.ExpectedWait > 0 || len(w.Hours) > 0
}

// served tells of tiers whose callers could wait for ever: no step rings seats of a
// queue for them, or makes them leave, for certain.
func (c *checker) served(list string, q *Queue) {
	for _, t := range routing.Tiers() {
		if c.cfg.maxWait(q, t) == 0 && !slices.ContainsFunc(q.Plan, func(st Step) bool {
			seats := st.Leave != nil || st.Ring == "queue" || st.Ring == "relaxed" || st.Ring == "vip" && t != routing.TierC
			return st.isFor(t) && seats && !st.When.changes()
		}) {
			c.wrong(list, "add {ring: queue, after: 1m}, {leave: ...}, or max_wait", "the plan of queue %s never ends for callers of tier %s: no step is certain to ring the seats of a queue or to let them leave", q.Name, t)
			return
		}
	}
}
