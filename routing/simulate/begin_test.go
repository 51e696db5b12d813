package simulate

import (
	"context"
	"math"
	"testing"
	"time"

	"hotline/routing"
)

// busyDay is a journal in which, at one place or another, every kind of call and
// seat is under way. over says with which entry the wait of each call was over.
type busyDay struct {
	t       *testing.T
	state   *routing.State
	entries []routing.Entry
	over    map[string]int
}

// feed brings the time to sec, with a tick at each deadline as the server has it,
// and then the event.
func (b *busyDay) feed(sec float64, ev routing.Event) {
	at := start + routing.Time(sec*second)
	for due, ok := b.state.NextDeadline(); ok && due <= at; due, ok = b.state.NextDeadline() {
		b.entry(due, routing.Tick{})
	}
	b.entry(at, ev)
}

func (b *busyDay) entry(at routing.Time, ev routing.Event) {
	e := routing.Entry{Seq: uint64(len(b.entries) + 1), At: at, Node: "n", Event: ev}
	b.entries = append(b.entries, e)
	var talks []routing.Event
	for _, d := range b.state.Apply(e) {
		switch d := d.(type) {
		case *routing.Offer:
			talks = append(talks, routing.TalkStarted{Call: d.Call, Seat: d.Seat, Offer: d.Offer})
		case *routing.Connected:
			b.over[string(d.Call.ID)] = len(b.entries)
		case *routing.Ended:
			if d.Call.Connected == 0 {
				b.over[string(d.Call.ID)] = len(b.entries)
			}
		}
	}
	if n, why := b.state.Ignored(); n > 0 {
		b.t.Fatalf("entry %d was ignored: %s", e.Seq, why)
	}
	for _, ev := range talks {
		b.entry(at, ev)
	}
}

func newBusyDay(t *testing.T) *busyDay {
	b := &busyDay{t: t, state: routing.New(), over: map[string]int{}}
	policy := pool(4, "strict", nil).Policy
	policy.Queues[0].WrapUp = 10 * routing.Second
	b.feed(0, routing.PolicyChanged{Policy: policy})
	for _, seat := range []routing.SeatID{"s0000", "s0001", "s0002"} {
		b.feed(0, routing.SeatRegistered{Seat: seat})
	}
	b.feed(0, routing.AgentStatusChanged{Agent: "s0001", Status: routing.StatusBreak, Reason: "lunch"})
	queued := func(sec float64, id routing.CallID, tier routing.Tier) {
		b.feed(sec, routing.CallArrived{Call: id})
		b.feed(sec, routing.CallIdentified{Call: id, Tier: tier})
		b.feed(sec, routing.CallQueued{Call: id, Queue: "q"})
	}
	hangUp := func(sec float64, id routing.CallID) {
		b.feed(sec, routing.CallEnded{Call: id, Cause: routing.CauseCallerHungUp})
	}
	queued(1, "first", routing.TierC)
	queued(2, "second", routing.TierC)
	queued(5, "waits", routing.TierC)
	queued(7, "waits-longer", routing.TierC)
	queued(9, "prior", routing.TierA1)
	b.feed(12, routing.Tick{})
	hangUp(20, "waits-longer")
	hangUp(30, "first") // wrap-up to 40, then prior
	b.feed(33, routing.SeatUnregistered{Seat: "s0002"})
	hangUp(35, "second") // its phone is gone: it takes nobody
	b.feed(50, routing.SeatRegistered{Seat: "s0003"})
	queued(51, "late", routing.TierB1)
	b.feed(60, routing.AgentStatusChanged{Agent: "s0001", Status: routing.StatusReady})
	hangUp(70, "prior")
	hangUp(75, "waits")
	hangUp(90, "late")
	b.feed(120, routing.Tick{})
	return b
}

// Wherever a journal begins, the calls whose wait was over later are the same ones
// with the same waits, and under the same policy the simulation finds those waits
// again: seats, policy and the line of those who waited are as they were.
func TestARecordThatBeginsInTheMiddle(t *testing.T) {
	b := newBusyDay(t)
	whole, err := FromJournal(routing.New(), reading(b.entries))
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Calls) != 6 || whole.Waiting() != 0 {
		t.Fatalf("the whole has %+v", whole.Calls)
	}
	last := 0
	for _, over := range b.over {
		last = max(last, over)
	}
	for k := range last {
		state := routing.New()
		for _, e := range b.entries[:k] {
			state.Apply(e)
		}
		part, err := FromJournal(state, reading(b.entries[k:]))
		if err != nil {
			t.Fatal(err)
		}
		b.compare(k, whole, part)
		b.play(k, part)
	}
}

// compare checks that part, which begins behind entry k, has what whole has of it.
func (b *busyDay) compare(k int, whole, part *Recorded) {
	want := map[string]RecordedCall{}
	for _, c := range whole.Calls {
		if b.over[c.ID] > k {
			want[c.ID] = c
		}
	}
	for _, c := range part.Calls {
		w, ok := want[c.ID]
		if !ok || c.Waited() != w.Wait || c.Answered != w.Answered || c.Service != w.Service || c.Tier != w.Tier || c.At.Sub(part.From) < 0 {
			b.t.Errorf("from %d on: %+v, in the whole %+v", k, c, w)
		}
	}
	if len(part.Calls) != len(want) {
		b.t.Errorf("from %d on: %d calls, want %d", k, len(part.Calls), len(want))
	}
	if k > 0 && (len(part.Policies) != 1 || part.Policy.Queues[0].WrapUp != 10*routing.Second) {
		b.t.Errorf("from %d on: the policy is %+v", k, part.Policies)
	}
}

// play checks that nothing but what was recorded comes out.
func (b *busyDay) play(k int, rec *Recorded) {
	sc, err := rec.Scenario(rec.Policy, 1, 2)
	if err != nil {
		b.t.Fatal(err)
	}
	rep, err := Run(context.Background(), sc, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, c := range rec.Calls {
		answered, wait := rep.Call(i)
		if (answered.Mean == 1) != c.Answered || math.Abs(wait.Mean-c.Wait.Seconds()) > 1e-6 {
			b.t.Errorf("from %d on, call %s: answered %v after %v s, recorded %v after %v", k, c.ID, answered.Mean, wait.Mean, c.Answered, c.Wait)
		}
	}
}

// Those who wait at the beginning come in the order in which they would be served,
// since they come one by one and a seat may be idle.
func TestTheLineAtTheBeginning(t *testing.T) {
	b := newBusyDay(t)
	state := routing.New()
	k := 0
	for ; b.entries[k].At < start+routing.Time(15*second); k++ {
		state.Apply(b.entries[k])
	}
	rec, err := FromJournal(state, reading(b.entries[k:]))
	if err != nil {
		t.Fatal(err)
	}
	var line []string
	for _, c := range rec.Calls[:rec.Waiting()] {
		line = append(line, c.ID+" "+c.Before.String())
	}
	if len(line) != 3 || line[0] != "prior 3s" || line[1] != "waits 7s" || line[2] != "waits-longer 5s" {
		t.Errorf("the line is %q", line)
	}
	if c := rec.Calls[1]; c.Wait != 38*time.Second {
		t.Errorf("%s waits for another %v, until a seat comes", c.ID, c.Wait)
	}
}

// A call that is on offer at the beginning keeps its seat, though one of a higher
// tier came meanwhile.
func TestAnOfferAtTheBeginning(t *testing.T) {
	state := routing.New()
	seq := uint64(0)
	entry := func(sec int, ev routing.Event) routing.Entry {
		seq++
		return routing.Entry{Seq: seq, At: start + routing.Time(sec)*routing.Time(second), Node: "n", Event: ev}
	}
	for _, ev := range []routing.Event{
		routing.PolicyChanged{Policy: pool(1, "strict", nil).Policy}, routing.SeatRegistered{Seat: "s0000"},
		routing.CallArrived{Call: "low"}, routing.CallQueued{Call: "low", Queue: "q"},
		routing.CallArrived{Call: "high"}, routing.CallIdentified{Call: "high", Tier: routing.TierA1}, routing.CallQueued{Call: "high", Queue: "q"},
	} {
		state.Apply(entry(1, ev))
	}
	x, _ := state.Seat("s0000")
	rec, err := FromJournal(state, reading([]routing.Entry{
		entry(3, routing.TalkStarted{Call: "low", Seat: "s0000", Offer: x.Offer}),
		entry(30, routing.CallEnded{Call: "high", Cause: routing.CauseCallerHungUp}),
		entry(40, routing.CallEnded{Call: "low", Cause: routing.CauseCallerHungUp}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Calls) != 2 || rec.Waiting() != 2 || rec.Calls[0].ID != "low" || !rec.Calls[0].Answered || rec.Calls[1].Answered {
		t.Errorf("recorded %+v", rec.Calls)
	}
	sc, err := rec.Scenario(rec.Policy, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(context.Background(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	low, _ := rep.Call(0)
	high, _ := rep.Call(1)
	if low.Mean != 1 || high.Mean != 0 {
		t.Errorf("low is answered with %v, high with %v", low.Mean, high.Mean)
	}
}
