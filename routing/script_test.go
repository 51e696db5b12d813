package routing_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
		case "own_call":
			return []routing.Event{routing.OwnCallChanged{Seat: id, Busy: w[3] == "begins"}}
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
	case "taken":
		return one(routing.CallTaken{Call: id, Seat: routing.SeatID(args[0])})
	case "forwarded":
		return one(routing.CallForwarded{Call: id, To: strings.Join(args, " ")})
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
