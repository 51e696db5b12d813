package routing_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotline/routing"
)

func small() routing.Policy {
	return routing.Policy{
		RingTime: 15 * routing.Second, OfferLease: 5 * routing.Second, NoAnswerDelay: 5 * routing.Second, MaxMisses: 1,
		Queues: []routing.QueuePolicy{{ID: "sales"}},
		Seats:  []routing.SeatPolicy{{ID: "s1", Queues: []routing.QueueID{"sales"}}, {ID: "s2", Queues: []routing.QueueID{"sales"}}},
	}
}

func apply(s *routing.State, at routing.Time, events ...routing.Event) (ds []routing.Decision) {
	for _, ev := range events {
		ds = append(ds, routing.Clones(s.Apply(routing.Entry{At: at, Node: "n1", Event: ev}))...)
	}
	return ds
}

func kinds(ds []routing.Decision) string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Kind())
	}
	return strings.Join(out, " ")
}

// A process dies while a phone rings and is started again the next day. Nobody
// rang anybody in between: no offer is made up, nobody is sent on a break, and
// the record ends when the journal did.
func TestNodeStartedMakesNothingUp(t *testing.T) {
	s := routing.New()
	apply(s, 1e6, routing.PolicyChanged{Policy: small()}, routing.SeatRegistered{Seat: "s1"}, routing.SeatRegistered{Seat: "s2"},
		routing.CallArrived{Call: "c1"}, routing.CallQueued{Call: "c1", Queue: "sales"})
	ds := apply(s, 86400e6, routing.NodeStarted{})
	if got, want := kinds(ds), "seat_changed ended seat_changed closed"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	c := ds[1].(*routing.Ended).Call
	if c.Outcome != routing.OutcomeCut || c.Ended != 1e6 || c.QueueWait != 0 {
		t.Errorf("call ended %+v", c)
	}
	for _, x := range s.Seats() {
		if x.State != routing.SeatOffline || x.Status != routing.StatusReady {
			t.Errorf("seat %+v", x)
		}
	}
	if s.Now() != 86400e6 {
		t.Errorf("it is %d", s.Now())
	}
}

func TestEntryAppliedTwiceCountsOnce(t *testing.T) {
	s := routing.New()
	e := routing.Entry{Seq: 7, At: 5, Node: "n1", Event: routing.CallArrived{Call: "c1"}}
	s.Apply(e)
	h := s.Hash()
	s.Apply(e)
	if n, why := s.Ignored(); n != 1 || why != "entry 7 was applied already" {
		t.Errorf("ignored %d, last %q", n, why)
	}
	if s.Hash() != h {
		t.Error("the second time changed the state")
	}
}

func TestTimesBeyondReason(t *testing.T) {
	s := routing.New()
	apply(s, math.MinInt64, routing.PolicyChanged{Policy: small()}, routing.SeatRegistered{Seat: "s1"}, routing.SeatRegistered{Seat: "s2"})
	apply(s, math.MaxInt64, routing.CallArrived{Call: "c1"}, routing.CallQueued{Call: "c1", Queue: "sales"})
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if at, ok := s.NextDeadline(); !ok || at <= s.Now() {
		t.Errorf("deadline %d, %t at %d", at, ok, s.Now())
	}
}

func TestNilEventIsIgnored(t *testing.T) {
	s := routing.New()
	s.Apply(routing.Entry{Seq: 1, At: 1})
	if n, _ := s.Ignored(); n != 1 {
		t.Errorf("ignored %d", n)
	}
}

func TestHashSeesWhatDiffers(t *testing.T) {
	s, seen := routing.New(), map[uint64]string{}
	limited := small()
	limited.Tiers = []routing.TierPolicy{{Tier: routing.TierC, MaxWait: routing.Minute}}
	other := small()
	other.Tiers = []routing.TierPolicy{{Tier: routing.TierC, MaxWait: routing.Hour}}
	for _, step := range []struct {
		what string
		ev   routing.Event
	}{
		{"policy", routing.PolicyChanged{Policy: small()}},
		{"longest wait", routing.PolicyChanged{Policy: limited}},
		{"another longest wait", routing.PolicyChanged{Policy: other}},
		{"seat", routing.SeatRegistered{Seat: "s1"}},
		{"status", routing.AgentStatusChanged{Agent: "s1", Status: routing.StatusBreak}},
		{"reason", routing.AgentStatusChanged{Agent: "s1", Status: routing.StatusBreak, Reason: "lunch"}},
		{"call", routing.CallArrived{Call: "c1"}},
		{"number", routing.CallArrived{Call: "c2", Number: "+86"}},
		{"ivr", routing.CallAnswered{Call: "c1"}},
		{"who", routing.CallIdentified{Call: "c1", Tier: routing.TierA1}},
		{"queue", routing.CallQueued{Call: "c1", Queue: "sales"}},
		{"offer", routing.SeatRegistered{Seat: "s2"}},
		{"ringing", routing.OfferRinging{Call: "c1", Seat: "s2", Offer: 1}},
		{"talk", routing.TalkStarted{Call: "c1", Seat: "s2", Offer: 1}},
		{"hold", routing.HoldChanged{Call: "c1", Held: true}},
		{"end", routing.CallEnded{Call: "c1", Cause: routing.CauseCallerHungUp}},
	} {
		apply(s, 1, step.ev)
		if n, why := s.Ignored(); n != 0 {
			t.Fatalf("%s was ignored: %s", step.what, why)
		}
		h := s.Hash()
		if before, ok := seen[h]; ok {
			t.Errorf("the hash after %s is that after %s", step.what, before)
		}
		seen[h] = step.what
	}
}

func TestSnapshots(t *testing.T) {
	s := routing.New()
	apply(s, 0, routing.PolicyChanged{Policy: small()}, routing.SeatRegistered{Seat: "s1"})
	for _, id := range []routing.CallID{"c3", "c1", "c2"} {
		apply(s, 1e6, routing.CallArrived{Call: id}, routing.CallIdentified{Call: id, Tier: routing.TierB2}, routing.CallQueued{Call: id, Queue: "sales"})
	}
	apply(s, 5e6, routing.Tick{})
	var ids []routing.CallID
	for _, c := range s.Calls() {
		ids = append(ids, c.ID)
	}
	if d := cmp.Diff([]routing.CallID{"c1", "c2", "c3"}, ids); d != "" {
		t.Error(d)
	}
	want := []routing.QueueView{{
		ID: "sales", OnOffer: 1, Present: 1, LongestWait: 4 * routing.Second, Totals: routing.QueueTotals{Entered: 3},
		Waiting: []routing.TierCount{{Tier: routing.TierA1}, {Tier: routing.TierA2}, {Tier: routing.TierB1}, {Tier: routing.TierB2, Count: 2}, {Tier: routing.TierC}},
	}}
	if d := cmp.Diff(want, s.Queues()); d != "" {
		t.Error(d)
	}
	x, ok := s.Seat("s1")
	if !ok || x.Call != "c3" || x.Offer != 1 || x.State != routing.SeatOffered || x.Available {
		t.Errorf("seat %+v", x)
	}
	if c, ok := s.Call("c1"); !ok || c.QueueWait != 4*routing.Second || c.Phase != routing.PhaseWaiting {
		t.Errorf("call %+v", c)
	}
	if _, ok := s.Call("c9"); ok {
		t.Error("call c9 exists")
	}
	if _, ok := s.Seat("s9"); ok {
		t.Error("seat s9 exists")
	}
}

func TestPolicyIsCheckedAndKeptApart(t *testing.T) {
	bad := routing.Policy{
		Order: "random", KeepIdle: -1, MaxMisses: -1, TeamTime: -1,
		Tiers:  []routing.TierPolicy{{Tier: 9}, {Tier: routing.TierA1, TargetMS: -1, MaxWait: -1}, {Tier: routing.TierA1}},
		Queues: []routing.QueuePolicy{{ID: "q"}, {ID: "q", WrapUp: -1}, {}, {ID: "p", Plan: []routing.PlanStep{{Ring: routing.StepQueue, Of: "p"}}}},
		Seats: []routing.SeatPolicy{{ID: "s", Queues: []routing.QueueID{"r"}}, {ID: "s"}, {ID: "t", Agent: "s", Weight: 101},
			{ID: "u", Queues: []routing.QueueID{"q"}, Ranks: []routing.QueueRank{{Queue: "q", Rank: 10}, {Queue: "q", Rank: 1}, {Queue: "r", Rank: 2}}}, {}},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`order "random" is unknown`, "keep_idle is -1", "max_misses is -1", "ring_time is 0", "team_time is -1",
		"tier 9 does not exist", "tier A1 is given twice", "target_ms of tier A1 is -1", "max_wait of tier A1 is -1", `queue "q" is given twice`, `wrap_up of queue "q"`, `step 1 of the plan of queue "p" names its own queue`,
		"a queue has no id", `seat "s" serves queue "r"`, `seat "s" is given twice`, `weight of seat "t" is 101`,
		`seat "u" has rank 10 in queue "q"`, `seat "u" has two ranks in queue "q"`, `seat "u" has a rank in queue "r", which it does not serve`, `agent "s" sits at two seats`, "a seat has no id",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
	s := routing.New()
	good := small()
	apply(s, 0, routing.PolicyChanged{Policy: good})
	h := s.Hash()
	good.Seats[0].Queues[0] = "changed"
	apply(s, 0, routing.PolicyChanged{Policy: bad})
	if n, _ := s.Ignored(); n != 1 || s.Hash() != h || len(s.Seats()) != 2 {
		t.Error("a policy that is wrong changed the state")
	}
}

func TestTiers(t *testing.T) {
	for _, tier := range routing.Tiers() {
		text, err := tier.MarshalText()
		var back routing.Tier
		if err != nil || back.UnmarshalText(text) != nil || back != tier {
			t.Errorf("%s reads back as %s", tier, back)
		}
	}
	if _, err := routing.ParseTier("a1"); err == nil || !strings.Contains(err.Error(), `unknown tier "a1"`) {
		t.Errorf("error %v", err)
	}
	if _, err := routing.Tier(99).MarshalText(); err == nil {
		t.Error("tier 99 has a name")
	}
	var none routing.Tier
	if none != routing.TierC || none.Band() != routing.BandC {
		t.Error("an unknown customer is not C")
	}
}

func TestEntryOnTheWire(t *testing.T) {
	e := routing.Entry{Seq: 1, At: 1790000000000000, Node: "n1", Event: routing.CallQueued{Call: "c1", Queue: "sales"}}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":1,"at":1790000000000000,"node":"n1","kind":"call_queued","event":{"call":"c1","queue":"sales"}}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	for in, want := range map[string]string{
		`{"seq":3,"kind":"call_beamed","event":{}}`:    `entry 3: unknown event kind "call_beamed"`,
		`{"seq":3,"kind":"tick"}`:                      `entry 3: tick has no event`,
		`{"seq":3,"kind":"tick","event":{"colour":1}}`: `unknown field "colour"`,
		`{"seq":3,"kind":"tick","event":{},"more":1}`:  `unknown field "more"`,
		`{"seq":"x"}`: `read journal entry`,
		`{"seq":3,"kind":"call_identified","event":{"call":"c","tier":"Z"}}`: `unknown tier "Z"`,
	} {
		var e routing.Entry
		if err := json.Unmarshal([]byte(in), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", in, err, want)
		}
	}
	if _, err := json.Marshal(routing.Entry{}); err == nil {
		t.Error("an entry without event was written")
	}
}

// FuzzEntry reads entries that anybody wrote, and applies what can be read.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"seq":1,"at":5,"node":"n1","kind":"call_queued","event":{"call":"c1","queue":"sales"}}`))
	f.Add([]byte(`{"seq":2,"at":-1,"node":"","kind":"policy_changed","event":{"policy":{"ring_time":1,"queues":[{"id":"q"}],"seats":[{"id":"s","queues":["q"]}]}}}`))
	f.Add([]byte(`{"kind":"tick","event":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e routing.Entry
		if json.Unmarshal(data, &e) != nil {
			return
		}
		s := routing.New()
		apply(s, 0, routing.PolicyChanged{Policy: small()}, routing.SeatRegistered{Seat: "s1"}, routing.CallArrived{Call: "c1"})
		s.Apply(e)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		var back routing.Entry
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("written but not read: %v", err)
		}
	})
}

// The place in the line is that of the order of serving: in the strict order an A1 call
// stands before the C calls that came earlier, by the ends of the targets it may not.
func TestPlace(t *testing.T) {
	for order, want := range map[string][3][2]int{
		routing.OrderStrict:   {{1, 1}, {2, 0}, {0, 0}},
		routing.OrderDeadline: {{0, 2}, {2, 0}, {1, 0}},
	} {
		p := small()
		p.Order = order
		for _, tier := range routing.Tiers() {
			p.Tiers = append(p.Tiers, routing.TierPolicy{Tier: tier, TargetMS: 30000})
		}
		p.Tiers[0].TargetMS = 10000
		s := routing.New()
		apply(s, 1, routing.PolicyChanged{Policy: p})
		ids := []routing.CallID{"c1", "c2", "a1"}
		queue := func(sec int, id routing.CallID, tier routing.Tier) {
			apply(s, routing.Time(sec)*routing.Time(routing.Second), routing.CallArrived{Call: id}, routing.CallIdentified{Call: id, Tier: tier}, routing.CallQueued{Call: id, Queue: "sales"})
		}
		queue(1, "c1", routing.TierC)
		queue(25, "a1", routing.TierA1)
		queue(28, "c2", routing.TierC)
		for i, id := range ids {
			ahead, behind, ok := s.Place(id)
			if got := [2]int{ahead, behind}; !ok || got != want[i] {
				t.Errorf("%s: call %s has %v, %t, want %v", order, id, got, ok, want[i])
			}
		}
	}
	if _, _, ok := routing.New().Place("nobody"); ok {
		t.Error("a call that isn't there has a place")
	}
}
