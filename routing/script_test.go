package routing_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotline/routing"
)

var update = flag.Bool("update", false, "write what routing does into testdata/scripts")

// TestScripts plays every file of testdata/scripts. A line is a comment, a
// statement of the policy, or a time and what happens; below it stand the
// decisions, indented, as the golden text. Between the lines a Tick is sent
// whenever one is due, as the running server does it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := &player{t: t, s: routing.New(), open: map[string]routing.Offer{}}
			for i, line := range strings.Split(strings.TrimRight(string(want), "\n"), "\n") {
				if strings.HasPrefix(line, "    ") {
					continue
				}
				p.line = fmt.Sprintf("%s:%d: %s", file, i+1, line)
				p.play(line)
			}
			got := p.out.String()
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("decisions differ (-want +got); run with -update to accept:\n%s", d)
			}
		})
	}
}

// player plays one script.
type player struct {
	t       *testing.T
	s       *routing.State
	policy  routing.Policy
	changed bool // policy not yet applied
	seq     uint64
	node    string
	open    map[string]routing.Offer // last offer by call
	line    string
	out     strings.Builder
}

func (p *player) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\n\t%s", p.line, fmt.Sprintf(format, args...))
}

func (p *player) play(line string) {
	p.t.Helper()
	if line == "" || strings.HasPrefix(line, "#") {
		p.out.WriteString(line + "\n")
		return
	}
	w := strings.Fields(line)
	at, timed := span(w[0])
	if !timed {
		p.out.WriteString(line + "\n")
		p.statement(w)
		p.changed = true
		return
	}
	// Whatever becomes due before this line.
	for {
		due, ok := p.s.NextDeadline()
		if !ok || due > routing.Time(at) {
			break
		}
		p.apply(due, routing.Tick{})
	}
	p.out.WriteString(line + "\n")
	if p.changed {
		p.changed = false
		p.apply(routing.Time(at), routing.PolicyChanged{Policy: p.policy})
	}
	w = w[1:]
	p.node = "n1"
	if n := len(w); n > 2 && w[n-2] == "by" {
		p.node, w = w[n-1], w[:n-2]
	}
	for _, ev := range p.events(w) {
		p.apply(routing.Time(at), ev)
	}
}

func (p *player) apply(at routing.Time, ev routing.Event) {
	p.t.Helper()
	p.seq++
	before, _ := p.s.Ignored()
	ds := p.s.Apply(routing.Entry{Seq: p.seq, At: at, Node: p.node, Event: ev})
	for _, d := range ds {
		if o, ok := d.(*routing.Offer); ok {
			p.open[string(o.Call)] = *o
		}
		fmt.Fprintf(&p.out, "    %s %s\n", secs(routing.Duration(p.s.Now())), show(d))
	}
	if after, why := p.s.Ignored(); after != before {
		fmt.Fprintf(&p.out, "    %s ignored: %s\n", secs(routing.Duration(p.s.Now())), why)
	}
	if err := p.s.Check(); err != nil {
		p.fatalf("invariant broken: %v", err)
	}
}

// statement changes the policy that the next timed line applies.
func (p *player) statement(w []string) {
	p.t.Helper()
	opts := map[string]string{}
	for _, o := range w[1:] {
		k, v, _ := strings.Cut(o, "=")
		opts[k] = v
	}
	switch w[0] {
	case "policy":
		p.settings(opts)
	case "queue":
		p.policy.Queues = append(p.policy.Queues, p.queue(w[1], opts))
	case "seat":
		_, vip := opts["vip"]
		x := routing.SeatPolicy{ID: routing.SeatID(w[1]), VIP: vip, Team: opts["team"], Languages: list(opts["languages"]), Agent: routing.AgentID(opts["agent"])}
		if w, ok := opts["weight"]; ok {
			x.Weight = p.num(w)
		}
		for _, k := range list(opts["skills"]) {
			name, level, _ := strings.Cut(k, ":")
			x.Skills = append(x.Skills, routing.Skill{Name: name, Level: p.num(level)})
		}
		for _, q := range list(opts["queues"]) { // sales,care:2
			name, rank, ranked := strings.Cut(q, ":")
			x.Queues = append(x.Queues, routing.QueueID(name))
			if ranked {
				x.Ranks = append(x.Ranks, routing.QueueRank{Queue: routing.QueueID(name), Rank: p.num(rank)})
			}
		}
		p.policy.Seats = append(p.policy.Seats, x)
	case "step": // of the plan of the queue before
		q := &p.policy.Queues[len(p.policy.Queues)-1]
		q.Plan = append(q.Plan, p.step(opts))
	case "nothing": // start the next policy from scratch, settings excepted
		p.policy.Queues, p.policy.Seats = nil, nil
	default:
		p.fatalf("unknown statement")
	}
}

func (p *player) queue(id string, opts map[string]string) routing.QueuePolicy {
	p.t.Helper()
	q := routing.QueuePolicy{ID: routing.QueueID(id)}
	for k, v := range opts {
		switch k {
		case id:
		case "wrap_up":
			q.WrapUp = p.span(v)
		case "strategy":
			q.Strategy = v
		case "ring_group":
			q.RingGroup = p.num(v)
		case "skill":
			name, level, _ := strings.Cut(v, ":")
			q.Skill, q.MinLevel = name, p.num(level)
		case "extension": // 30s:2
			d, n, _ := strings.Cut(v, ":")
			q.WrapUpExtension, q.MaxExtensions = p.span(d), p.num(n)
		case "relax_after":
			q.RelaxAfter = p.span(v)
		case "max_waiting":
			q.MaxWaiting = p.num(v)
		case "max_wait":
			q.MaxWait = p.span(v)
		case "refuse_empty":
			q.RefuseEmpty = true
		case "leave_empty":
			q.LeaveEmpty = p.span(v)
		case "when_full":
			q.WhenFull = exit(v)
		case "when_too_long":
			q.WhenTooLong = exit(v)
		case "when_empty":
			q.WhenEmpty = exit(v)
		default:
			p.fatalf("unknown setting %q of a queue", k)
		}
	}
	return q
}

func (p *player) step(opts map[string]string) (st routing.PlanStep) {
	p.t.Helper()
	for k, v := range opts {
		switch k {
		case "ring":
			st.Ring = routing.Step(v)
		case "of":
			st.Of = routing.QueueID(v)
		case "for":
			st.For = p.span(v)
		case "after":
			st.After = p.span(v)
		case "leave":
			e := exit(v)
			st.Leave = &e
		case "tiers":
			for _, name := range list(v) {
				st.When.Tiers = append(st.When.Tiers, *tierOf(name))
			}
		case "waiting":
			st.When.Waiting = p.num(v)
		case "waiting_per_seat": // in thousandths
			st.When.WaitingPerSeat = p.num(v)
		case "expected_wait":
			st.When.ExpectedWait = p.span(v)
		case "hours": // minutes of the week
			from, to, _ := strings.Cut(v, "-")
			st.When.Hours = append(st.When.Hours, routing.Window{From: p.num(from), To: p.num(to)})
		default:
			p.fatalf("unknown setting %q of a step", k)
		}
	}
	return st
}

// exit reads "queue:operator" or "prompt:all-busy".
func exit(s string) routing.Exit {
	kind, name, _ := strings.Cut(s, ":")
	if kind == "queue" {
		return routing.Exit{Queue: routing.QueueID(name)}
	}
	return routing.Exit{Prompt: name}
}

func (p *player) settings(opts map[string]string) {
	p.t.Helper()
	for k, v := range opts {
		pol := &p.policy
		fields := map[string]*routing.Duration{
			"manager_time": &pol.ManagerTime, "team_time": &pol.TeamTime, "ring_time": &pol.RingTime,
			"reject_delay": &pol.RejectDelay, "busy_delay": &pol.BusyDelay, "no_answer_delay": &pol.NoAnswerDelay,
			"unreachable_delay": &pol.UnreachableDelay, "offer_lease": &pol.OfferLease, "resume_within": &pol.ResumeWithin,
		}
		switch f := fields[k]; {
		case f != nil:
			*f = p.span(v)
		case k == "order":
			pol.Order = v
		case k == "strategy":
			pol.Strategy = v
		case tierOf(k) != nil:
			p.tier(*tierOf(k), v)
		case k == "keep_idle":
			pol.KeepIdle = p.num(v)
		case k == "max_misses":
			pol.MaxMisses = p.num(v)
		case k == "targets":
			for i, ms := range list(v) {
				pol.Tiers = append(pol.Tiers, routing.TierPolicy{Tier: routing.Tiers()[i], TargetMS: int64(p.num(ms))})
			}
		default:
			p.fatalf("unknown setting %q", k)
		}
	}
}

// tier reads a target and a longest wait: "10s", "10s:60s".
func (p *player) tier(t routing.Tier, v string) {
	p.t.Helper()
	target, maxWait, _ := strings.Cut(v, ":")
	p.policy.Tiers = slices.DeleteFunc(slices.Clone(p.policy.Tiers), func(o routing.TierPolicy) bool { return o.Tier == t })
	p.policy.Tiers = append(p.policy.Tiers, routing.TierPolicy{Tier: t, TargetMS: int64(p.span(target) / routing.Millisecond), MaxWait: p.span(maxWait)})
}

// events reads "call c1 tier A1 queues sales", "seat s1 registers" and so on.
func (p *player) events(w []string) []routing.Event {
	p.t.Helper()
	if len(w) == 1 && w[0] == "tick" {
		return []routing.Event{routing.Tick{}}
	}
	if len(w) < 3 {
		p.fatalf("too few words")
	}
	switch w[0] {
	case "call":
		return p.callEvents(routing.CallID(w[1]), w[2], w[3:])
	case "seat":
		id := routing.SeatID(w[1])
		switch w[2] {
		case "registers":
			return []routing.Event{routing.SeatRegistered{Seat: id}}
		case "unregisters":
			return []routing.Event{routing.SeatUnregistered{Seat: id}}
		case "wraps_up":
			return []routing.Event{routing.WrapUpEnded{Seat: id}}
		case "extends":
			return []routing.Event{routing.WrapUpExtended{Seat: id}}
		case "freed":
			return []routing.Event{routing.SeatFreed{Seat: id}}
		}
	case "agent":
		return []routing.Event{routing.AgentStatusChanged{Agent: routing.AgentID(w[1]), Status: routing.Status(w[2]), Reason: strings.Join(w[3:], " ")}}
	case "queue": // queue sales expects A1 20s 40s
		ev := routing.Estimated{Queue: routing.QueueID(w[1])}
		for i := 3; i+2 < len(w); i += 3 {
			ev.Tiers = append(ev.Tiers, routing.TierEstimate{Tier: *tierOf(w[i]), P50: p.span(w[i+1]), P80: p.span(w[i+2])})
		}
		return []routing.Event{ev}
	case "node":
		p.node = w[1]
		return []routing.Event{routing.NodeStarted{}}
	}
	p.fatalf("unknown event")
	return nil
}

func (p *player) callEvents(id routing.CallID, what string, args []string) []routing.Event {
	p.t.Helper()
	o := p.open[string(id)]
	for _, a := range args {
		if n, ok := strings.CutPrefix(a, "offer="); ok {
			o.Offer = uint64(p.num(n))
		}
		if x, ok := strings.CutPrefix(a, "seat="); ok {
			o.Seat = routing.SeatID(x)
		}
	}
	one := func(ev routing.Event) []routing.Event { return []routing.Event{ev} }
	switch what {
	case "arrives":
		return one(routing.CallArrived{Call: id, Number: "+8613800000000", DID: "95000", Trunk: "t1"})
	case "answered":
		return one(routing.CallAnswered{Call: id})
	case "identified":
		return one(p.identified(id, args))
	case "queued":
		return one(routing.CallQueued{Call: id, Queue: routing.QueueID(args[0])})
	case "tier":
		who := p.identified(id, append([]string{"tier"}, args...))
		queue := routing.QueueID(args[len(args)-1])
		number := ""
		for i, a := range args {
			if a == "number" {
				number = args[i+1]
			}
		}
		return []routing.Event{routing.CallArrived{Call: id, Number: number}, routing.CallAnswered{Call: id}, who, routing.CallQueued{Call: id, Queue: queue}}
	case "rings":
		return one(routing.OfferRinging{Call: id, Seat: o.Seat, Offer: o.Offer})
	case "agent_answers":
		return one(routing.OfferAnswered{Call: id, Seat: o.Seat, Offer: o.Offer})
	case "talks":
		return one(routing.TalkStarted{Call: id, Seat: o.Seat, Offer: o.Offer})
	case "refused", "busy", "no_answer", "unreachable", "fault":
		return one(routing.OfferFailed{Call: id, Seat: o.Seat, Offer: o.Offer, Cause: what})
	case "requeued":
		return one(routing.CallRequeued{Call: id, Queue: routing.QueueID(args[0]), KeepPlace: len(args) > 1 && args[1] == "old_place"})
	case "held":
		return one(routing.HoldChanged{Call: id, Held: true})
	case "resumed":
		return one(routing.HoldChanged{Call: id})
	case "ends":
		return one(routing.CallEnded{Call: id, Cause: args[0]})
	}
	p.fatalf("unknown event of a call: %s", what)
	return nil
}

func (p *player) identified(id routing.CallID, args []string) routing.CallIdentified {
	p.t.Helper()
	ev := routing.CallIdentified{Call: id, Source: "file"}
	for i := 0; i+1 < len(args); i += 2 {
		switch v := args[i+1]; args[i] {
		case "tier":
			tier, err := routing.ParseTier(v)
			if err != nil {
				p.fatalf("%v", err)
			}
			ev.Tier = tier
		case "manager":
			ev.Manager = routing.AgentID(v)
		case "team":
			ev.Team = v
		case "language":
			ev.Language = v
		case "queues", "number":
		default:
			p.fatalf("unknown fact %q", args[i])
		}
	}
	return ev
}

func (p *player) span(s string) routing.Duration {
	p.t.Helper()
	if s == "" {
		return 0
	}
	d, ok := span(s)
	if !ok {
		p.fatalf("%q is no time", s)
	}
	return d
}

func (p *player) num(s string) int {
	p.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		p.fatalf("%v", err)
	}
	return n
}

// span reads "5s" or "1500ms".
func span(s string) (routing.Duration, bool) {
	unit := routing.Second
	n, ok := strings.CutSuffix(s, "ms")
	if ok {
		unit = routing.Millisecond
	} else if n, ok = strings.CutSuffix(s, "s"); !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(n, 10, 64)
	return routing.Duration(i) * unit, err == nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func secs(d routing.Duration) string {
	if d%routing.Second != 0 {
		return fmt.Sprintf("%dms", d/routing.Millisecond)
	}
	return fmt.Sprintf("%ds", d/routing.Second)
}

// show writes a decision as an operator would tell it.
func show(d routing.Decision) string {
	switch d := d.(type) {
	case *routing.Offer:
		r := d.Reasons
		s := fmt.Sprintf("OFFER %d: %s to %s, rule %s, step %s, %s waited %s, seat idle %s", d.Offer, d.Call, d.Seat, r.Rule, r.Step, r.Tier, secs(r.Waited), secs(r.Idle))
		if r.Strategy != routing.StrategyLongestIdle {
			s += ", " + r.Strategy
		}
		if r.Level > 0 {
			s += fmt.Sprintf(", level %d", r.Level)
		}
		if r.Rank > 0 {
			s += fmt.Sprintf(", rank %d", r.Rank)
		}
		if r.RunnerUpSeat != "" {
			s += fmt.Sprintf(", before seat %s", r.RunnerUpSeat)
		}
		if r.RunnerUpCall != "" {
			s += fmt.Sprintf(", before call %s %s", r.RunnerUpCall, r.RunnerUpTier)
		}
		if r.Excluded != (routing.Excluded{}) {
			counts, _ := json.Marshal(r.Excluded)
			s += fmt.Sprintf(", excluded %s", counts)
		}
		return s
	case *routing.Withdraw:
		return fmt.Sprintf("WITHDRAW %d: %s from %s, %s", d.Offer, d.Call, d.Seat, d.Cause)
	case *routing.Transferred:
		return fmt.Sprintf("TRANSFERRED %s from %s to queue %s", d.Call, d.Seat, d.Queue)
	case *routing.PolicyApplied:
		return "POLICY " + strings.Join(d.Changes, "; ")
	case *routing.Disconnect:
		return fmt.Sprintf("DISCONNECT %s, %s", d.Call, d.Cause)
	case *routing.Overflow:
		if d.To != "" {
			return fmt.Sprintf("OVERFLOW %s from %s to %s, %s", d.Call, d.From, d.To, d.Cause)
		}
		return fmt.Sprintf("OVERFLOW %s from %s, %s: hears %q", d.Call, d.From, d.Cause, d.Prompt)
	case *routing.Ended:
		c := d.Call
		s := fmt.Sprintf("ended %s %s, %s: %s, rings %d, waited %s, talk %s, hold %s", c.ID, c.Tier, c.Outcome, c.Cause, c.Rings, secs(c.QueueWait), secs(c.Talk), secs(c.Hold))
		for _, o := range c.Offers {
			s += fmt.Sprintf(", [%d %s %s after %s]", o.Offer, o.Seat, o.Outcome, secs(o.Took))
		}
		return s
	case *routing.Connected:
		return fmt.Sprintf("connected %s to %s, waited %s", d.Call.ID, d.Call.Seat, secs(d.Call.QueueWait))
	case *routing.Closed:
		return fmt.Sprintf("closed %s, wrap-up %s", d.Call.ID, secs(d.Call.WrapUp))
	case *routing.SeatChanged:
		return strings.TrimSpace(fmt.Sprintf("seat %s is %s, %s %s", d.Seat, d.State, d.Status, d.Reason))
	}
	return fmt.Sprintf("unknown decision %T", d)
}

func tierOf(name string) *routing.Tier {
	if t, err := routing.ParseTier(name); err == nil {
		return &t
	}
	return nil
}
