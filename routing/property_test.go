package routing

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawPolicy(t *rapid.T) Policy {
	some := func(name string) Duration { return Duration(rapid.IntRange(0, 30).Draw(t, name)) * Second }
	p := Policy{
		KeepIdle:    rapid.IntRange(0, 2).Draw(t, "keep idle"),
		MaxMisses:   rapid.IntRange(0, 2).Draw(t, "max misses"),
		RingTime:    some("ring") + Second,
		OfferLease:  some("lease"),
		ManagerTime: some("manager time"), TeamTime: some("team time"),
		RejectDelay: some("reject"), BusyDelay: some("busy"), NoAnswerDelay: some("no answer"), UnreachableDelay: some("unreachable"),
	}
	p.Strategy = drawStrategy(t)
	p.ResumeWithin = some("resume within")
	p.Order = rapid.SampledFrom([]string{"", OrderStrict, OrderDeadline, OrderRatio}).Draw(t, "order")
	for _, tier := range Tiers() {
		p.Tiers = append(p.Tiers, TierPolicy{Tier: tier, TargetMS: int64(rapid.IntRange(1, 40).Draw(t, "target")) * 1000,
			MaxWait: Duration(max(0, rapid.IntRange(-30, 30).Draw(t, "max wait of the tier"))) * Second})
	}
	for _, id := range []QueueID{"q0", "q1", "q2"}[:rapid.IntRange(0, 3).Draw(t, "queues")] {
		q := drawQueue(t, id, some)
		var before []QueueID // an exit leads to one of these: never in a circle
		for _, o := range p.Queues {
			before = append(before, o.ID)
		}
		drawLimits(t, &q, before, some)
		if rapid.Bool().Draw(t, "planned") {
			q.Plan, q.RelaxAfter = drawPlan(t, before, some), 0
		}
		p.Queues = append(p.Queues, q)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "seats") {
		x := SeatPolicy{ID: SeatID(fmt.Sprintf("s%d", i)), VIP: rapid.Bool().Draw(t, "vip"), Team: rapid.SampledFrom([]string{"", "t0", "t1"}).Draw(t, "team")}
		if rapid.Bool().Draw(t, "moved") {
			x.Agent = AgentID(fmt.Sprintf("p%d", i))
		}
		for _, q := range p.Queues {
			if rapid.Bool().Draw(t, "serves") {
				x.Queues = append(x.Queues, q.ID)
				if n := rapid.IntRange(0, 3).Draw(t, "rank"); n > 0 {
					x.Ranks = append(x.Ranks, QueueRank{q.ID, n})
				}
			}
		}
		for _, k := range []string{"k0", "k1"} {
			if n := rapid.IntRange(0, 4).Draw(t, "level"); n > 0 {
				x.Skills = append(x.Skills, Skill{Name: k, Level: n})
			}
		}
		x.Weight = rapid.IntRange(0, 3).Draw(t, "weight")
		x.Languages = rapid.SampledFrom([][]string{nil, {"zh"}, {"zh", "en"}}).Draw(t, "languages")
		p.Seats = append(p.Seats, x)
	}
	return p
}

func drawQueue(t *rapid.T, id QueueID, some func(string) Duration) QueuePolicy {
	q := QueuePolicy{ID: id, WrapUp: some("wrap-up"), Strategy: drawStrategy(t), RingGroup: max(0, rapid.IntRange(-3, 3).Draw(t, "ring group"))}
	q.Extension = Extension{some("extension"), rapid.IntRange(0, 2).Draw(t, "max extensions")}
	if rapid.Bool().Draw(t, "skilled") {
		q.Skill = rapid.SampledFrom([]string{"k0", "k1"}).Draw(t, "skill")
		q.MinLevel = rapid.IntRange(0, 4).Draw(t, "min level")
		q.RelaxAfter = some("relax after")
	}
	return q
}

// drawPlan makes a plan of any steps, sensible or not.
func drawPlan(t *rapid.T, to []QueueID, some func(string) Duration) (plan []PlanStep) {
	for range rapid.IntRange(1, 6).Draw(t, "steps") {
		var st PlanStep
		if rapid.IntRange(0, 2).Draw(t, "timed") == 0 {
			st.After = some("after")
		}
		if rapid.IntRange(0, 1).Draw(t, "conditional") == 0 {
			st.When = drawCondition(t, some)
		}
		if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
			st.Leave = &Exit{Prompt: "all-busy"}
			if len(to) > 0 && rapid.Bool().Draw(t, "moves on") {
				st.Leave = &Exit{Queue: rapid.SampledFrom(to).Draw(t, "exit")}
			}
			plan = append(plan, st)
			continue
		}
		st.Ring = rapid.SampledFrom([]Step{StepManager, StepTeam, StepVIP, StepQueue, StepQueue, StepRelaxed}).Draw(t, "rings")
		if st.Ring == StepQueue && len(to) > 0 && rapid.Bool().Draw(t, "other") {
			st.Of = rapid.SampledFrom(to).Draw(t, "of")
		}
		if rapid.Bool().Draw(t, "alone") {
			st.For = some("for")
		}
		plan = append(plan, st)
	}
	return plan
}

func drawCondition(t *rapid.T, some func(string) Duration) (w Condition) {
	switch rapid.IntRange(0, 4).Draw(t, "condition") {
	case 0:
		w.Tiers = []Tier{rapid.SampledFrom(Tiers()).Draw(t, "tier")}
	case 1:
		w.Waiting = rapid.IntRange(1, 3).Draw(t, "waiting")
	case 2:
		w.WaitingPerSeat = rapid.IntRange(1, 3000).Draw(t, "waiting per seat")
	case 3:
		w.ExpectedWait = some("expected wait") + Second
	default: // the journals of these tests begin on a Thursday at 0:00
		minute := func(name string) int { return 3*24*60 + rapid.IntRange(-1, 8).Draw(t, name) }
		w.Hours = []Window{{minute("from"), minute("to")}}
	}
	return w
}

func drawLimits(t *rapid.T, q *QueuePolicy, to []QueueID, some func(string) Duration) {
	exit := func() Exit {
		if len(to) > 0 && rapid.Bool().Draw(t, "moves on") {
			return Exit{Queue: rapid.SampledFrom(to).Draw(t, "exit")}
		}
		return Exit{Prompt: rapid.SampledFrom([]string{"", "all-busy"}).Draw(t, "prompt")}
	}
	if rapid.Bool().Draw(t, "limits length") {
		q.MaxWaiting, q.WhenFull = rapid.IntRange(0, 3).Draw(t, "max waiting"), exit()
	}
	if rapid.Bool().Draw(t, "limits wait") {
		q.MaxWait, q.WhenTooLong = some("max wait"), exit()
	}
	if rapid.Bool().Draw(t, "limits emptiness") {
		q.RefuseEmpty, q.LeaveEmpty, q.WhenEmpty = rapid.Bool().Draw(t, "refuse empty"), some("leave empty"), exit()
	}
}

func drawStrategy(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", StrategyLongestIdle, StrategyLeastOccupied, StrategyMostSkilled, StrategyRoundRobin, StrategyWeighted}).Draw(t, "strategy")
}

// drawEvent makes any event, sensible or not, mostly about things that exist.
func drawEvent(t *rapid.T, s *State) Event {
	id := CallID(fmt.Sprintf("c%d", rapid.IntRange(0, 9).Draw(t, "call")))
	seatID := SeatID(fmt.Sprintf("s%d", rapid.IntRange(0, 5).Draw(t, "seat")))
	offer := rapid.Uint64Range(0, 9).Draw(t, "offer")
	if c := s.calls[id]; c != nil && c.facts.Phase == PhaseOnOffer && rapid.IntRange(0, 9).Draw(t, "stale") > 0 {
		x := rapid.SampledFrom(c.rings).Draw(t, "who rings")
		seatID, offer = x.id, x.offer.id
	}
	agentID := AgentID(rapid.SampledFrom([]string{"s", "p"}).Draw(t, "who") + string(seatID[1:]))
	switch rapid.IntRange(0, 22).Draw(t, "kind") {
	case 0:
		return Tick{}
	case 1, 2:
		return CallArrived{Call: id, Number: rapid.SampledFrom([]string{"", "+861", "+862"}).Draw(t, "number")}
	case 3:
		return CallAnswered{Call: id}
	case 4:
		return CallIdentified{Call: id, Tier: rapid.SampledFrom(Tiers()).Draw(t, "tier"), Language: rapid.SampledFrom([]string{"", "zh", "en"}).Draw(t, "language"),
			Manager: rapid.SampledFrom([]AgentID{"", agentID, "nobody"}).Draw(t, "manager"), Team: rapid.SampledFrom([]string{"", "t0", "t1", "t2"}).Draw(t, "team")}
	case 5, 6:
		return CallQueued{Call: id, Queue: rapid.SampledFrom([]QueueID{"q0", "q1", "q2"}).Draw(t, "queue")}
	case 7:
		return CallEnded{Call: id, Cause: rapid.SampledFrom([]string{CauseCallerHungUp, CauseAgentHungUp, CauseFailed, CauseRejected, CauseLost, CauseDrained, "?"}).Draw(t, "cause")}
	case 8, 9:
		return SeatRegistered{Seat: seatID}
	case 10:
		return SeatUnregistered{Seat: seatID}
	case 11:
		return AgentStatusChanged{Agent: agentID, Status: rapid.SampledFrom([]Status{StatusReady, StatusReady, StatusBreak, StatusLoggedOut, "?"}).Draw(t, "status")}
	case 12:
		if rapid.Bool().Draw(t, "answered") {
			return OfferAnswered{Call: id, Seat: seatID, Offer: offer}
		}
		return OfferRinging{Call: id, Seat: seatID, Offer: offer}
	case 13:
		return OfferFailed{Call: id, Seat: seatID, Offer: offer, Cause: rapid.SampledFrom([]string{OfferRefused, OfferBusy, OfferNoAnswer, OfferUnreachable, OfferFault}).Draw(t, "cause")}
	case 14, 15:
		return TalkStarted{Call: id, Seat: seatID, Offer: offer}
	case 16:
		return HoldChanged{Call: id, Held: rapid.Bool().Draw(t, "held")}
	case 19:
		return CallTaken{Call: id, Seat: seatID}
	case 20:
		return CallForwarded{Call: id, To: "trunk carrier"}
	case 21:
		return OwnCallChanged{Seat: seatID, Busy: rapid.Bool().Draw(t, "own call")}
	case 18:
		return CallRequeued{Call: id, Queue: rapid.SampledFrom([]QueueID{"q0", "q1", "q2"}).Draw(t, "queue"), KeepPlace: rapid.Bool().Draw(t, "keeps place")}
	case 17:
		ev := Estimated{Queue: rapid.SampledFrom([]QueueID{"q0", "q1", "q2"}).Draw(t, "queue")}
		for _, tier := range Tiers() {
			p50 := Duration(rapid.IntRange(0, 40).Draw(t, "p50")) * Second
			ev.Tiers = append(ev.Tiers, TierEstimate{Tier: tier, P50: p50, P80: 2 * p50})
		}
		return ev
	default:
		return rapid.SampledFrom([]Event{SeatFreed{seatID}, WrapUpEnded{seatID}, WrapUpExtended{seatID}}).Draw(t, "what of the seat")
	}
}

// drawEntry makes the next entry. Time mostly stands or goes forward.
func drawEntry(t *rapid.T, s *State, nodes bool) Entry {
	e := Entry{At: s.now.Add(Duration(rapid.IntRange(-2, 40).Draw(t, "later")) * Second / 2), Node: "n1"}
	if nodes && rapid.IntRange(0, 9).Draw(t, "other node") == 0 {
		e.Node = "n2"
	}
	switch n := rapid.IntRange(0, 39).Draw(t, "rare"); {
	case n == 0 || len(s.policy.Seats) == 0 && n < 20:
		e.Event = PolicyChanged{Policy: drawPolicy(t)}
	case n == 1 && nodes:
		e.Event = NodeStarted{}
	default:
		e.Event = drawEvent(t, s)
	}
	return e
}

// TestRandomEntries lets anything happen and looks at the invariants after each
// entry, at each decision, and at what a second node makes of the same journal.
func TestRandomEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, twin := New(), New()
		s.audit = func(c *call, x *seat) { auditOffer(t, s, c, x) }
		arrived := 0
		life := &lives{ended: map[CallID]bool{}, offers: map[uint64]bool{}}
		for i := range rapid.IntRange(1, 120).Draw(t, "entries") {
			e := drawEntry(t, s, true)
			e.Seq = uint64(i + 1)
			before, ignored := s.now, s.ignored
			ds := s.Apply(e)
			if _, ok := e.Event.(CallArrived); ok && s.ignored == ignored {
				arrived++
			}
			if s.now < before {
				t.Fatalf("time went back from %d to %d", before, s.now)
			}
			if err := s.Check(); err != nil {
				t.Fatalf("after %#v: %v", e, err)
			}
			if at, ok := s.NextDeadline(); ok && at <= s.now {
				t.Fatalf("a deadline at %d was not fired by %d", at, s.now)
			}
			life.follow(t, ds)
			if err := sameOn(twin, e, ds); err != nil {
				t.Fatal(err)
			}
			if s.Hash() != twin.Hash() {
				t.Fatalf("after %#v the hashes differ", e)
			}
		}
		if arrived != life.closed+len(s.calls) {
			t.Fatalf("%d calls arrived, %d closed, %d are there", arrived, life.closed, len(s.calls))
		}
	})
}

// auditOffer looks at a decision from outside the way it was found.
func auditOffer(t *rapid.T, s *State, c *call, x *seat) {
	if !s.admissible(c, x) {
		t.Fatalf("call %s and seat %s are not admissible", c.facts.ID, x.id)
	}
	for _, y := range s.idle {
		if y != x && s.admissible(c, y) && compareSeatsFor(c, y, x) <= 0 {
			t.Fatalf("call %s gets seat %s before %s", c.facts.ID, x.id, y.id)
		}
	}
	auditRank(t, s, c, x)
	for _, w := range s.waitingCalls() {
		if !s.admissible(w, x) {
			continue
		}
		auditOvertaking(t, s, w, c, x)
		if s.compareCalls(w, c) < 0 && !(x.vip && w.band == BandC && c.band != BandC) {
			t.Fatalf("(e) call %s %s is passed by %s %s for seat %s", w.facts.ID, w.facts.Tier, c.facts.ID, c.facts.Tier, x.id)
		}
	}
	idle, served := 0, c.q.source(c.circle(x))
	for _, y := range s.seatList {
		if y.vip && y.available {
			for _, q := range y.queues {
				if q == served {
					idle++
				}
			}
		}
	}
	if x.vip && c.band == BandC && idle <= s.policy.KeepIdle {
		t.Fatalf("C call %s gets VIP seat %s though only %d are idle", c.facts.ID, x.id, idle)
	}
	if p := s.agents[c.facts.Manager]; p != nil && c.facts.Step == StepManager && p.seat != x {
		t.Fatalf("call %s is in the manager's step but goes to %s", c.facts.ID, x.id)
	}
}

// auditRank wants nobody to be idle who stands nearer to the queue than x and is like x
// in all that comes before the rank.
func auditRank(t *rapid.T, s *State, c *call, x *seat) {
	q := c.source(c.circle(x))
	for _, y := range s.idle {
		if s.admissible(c, y) && c.circle(y) == c.circle(x) && y.vip == x.vip && q.fits(y) == q.fits(x) && y.rank(q) < x.rank(q) {
			t.Fatalf("call %s gets seat %s of rank %d before %s of rank %d", c.facts.ID, x.id, x.rank(q), y.id, y.rank(q))
		}
	}
}

// auditOvertaking is invariant (f) of the orders by target, and (e) of all: w
// waits for x, too, and c gets it.
func auditOvertaking(t *rapid.T, s *State, w, c *call, x *seat) {
	if w.facts.Tier == c.facts.Tier && comparePlaces(w, c) < 0 {
		t.Fatalf("(e) call %s is passed by %s of its own tier for seat %s", w.facts.ID, c.facts.ID, x.id)
	}
	after := c.placeAt.Sub(w.placeAt)
	if after <= 0 || s.policy.Order == OrderStrict || x.vip && w.band == BandC {
		return
	}
	ta, tc, waited := s.targets[c.facts.Tier], s.targets[w.facts.Tier], s.now.Sub(w.placeAt)
	var ok bool
	switch s.policy.Order {
	case OrderDeadline:
		ok = after <= tc-ta
	case OrderRatio: // after < waited·(1 - ta/tc)
		ok = after*tc <= waited*(tc-ta)
	}
	if !ok {
		t.Fatalf("(f) call %s (target %d, waited %d) is passed by %s (target %d), %d after it", w.facts.ID, tc, waited, c.facts.ID, ta, after)
	}
}

// lives follows calls by the decisions alone, as records and metrics do.
type lives struct {
	closed int
	ended  map[CallID]bool
	offers map[uint64]bool
}

func (l *lives) follow(t *rapid.T, ds []Decision) {
	for _, d := range ds {
		switch d := d.(type) {
		case *Offer:
			if l.offers[d.Offer] {
				t.Fatalf("offer %d was made twice", d.Offer)
			}
			l.offers[d.Offer] = true
		case *Ended:
			if l.ended[d.Call.ID] || d.Call.Outcome == "" || d.Call.Cause == "" {
				t.Fatalf("call ended twice or without outcome: %+v", d.Call)
			}
			l.ended[d.Call.ID] = true
		case *Closed:
			l.closed++
			if !l.ended[d.Call.ID] {
				t.Fatalf("call %s is closed before it ended", d.Call.ID)
			}
			delete(l.ended, d.Call.ID)
			c := d.Call
			if c.Talk < 0 || c.Hold < 0 || c.QueueWait < 0 || c.WrapUp < 0 || c.Connected != 0 && c.Talk+c.Hold != c.Ended.Sub(c.Connected) {
				t.Fatalf("durations are wrong: %+v", c)
			}
		}
	}
}

// sameOn applies the entry, read back from its JSON, to another node's state.
func sameOn(twin *State, e Entry, want []Decision) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var back Entry
	if err := json.Unmarshal(data, &back); err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	got := twin.Apply(back)
	if len(got) == 0 && len(want) == 0 {
		return nil
	}
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("decisions on %s differ:\n%s", data, d)
	}
	return nil
}

// TestTicksAreHarmless compares a node that sends a Tick at each deadline, and
// some more, with one that sends none.
func TestTicksAreHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, lazy := New(), New()
		var ds, lazyDs []Decision
		for range rapid.IntRange(1, 80).Draw(t, "entries") {
			e := drawEntry(t, s, false)
			for at, ok := s.NextDeadline(); ok && at <= e.At; at, ok = s.NextDeadline() {
				for range rapid.IntRange(1, 2).Draw(t, "ticks") {
					ds = append(ds, Clones(s.Apply(Entry{At: at, Node: "n1", Event: Tick{}}))...)
				}
			}
			ds = append(ds, Clones(s.Apply(e))...)
			lazyDs = append(lazyDs, Clones(lazy.Apply(e))...)
		}
		if d := cmp.Diff(lazyDs, ds); d != "" {
			t.Fatalf("ticks changed the decisions:\n%s", d)
		}
		if s.Hash() != lazy.Hash() {
			t.Fatal("ticks changed the state")
		}
	})
}
