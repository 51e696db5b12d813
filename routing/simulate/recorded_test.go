package simulate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"hotline/routing"
)

// The textbook case (Kaplan and Meier): 6 patients of 21 relapse at 6, 7, 10,
// 13, ... weeks; here four callers, worked by hand.
func TestKaplanMeier(t *testing.T) {
	k := NewKaplanMeier([]Wait{{10, true}, {20, false}, {30, true}, {40, false}})
	for at, want := range map[float64]float64{0: 1, 9.9: 1, 10: 0.75, 29: 0.75, 30: 0.375} {
		if got := k.Survival(at); math.Abs(got-want) > 1e-12 {
			t.Errorf("S(%v) = %v, want %v", at, got, want)
		}
	}
	if got := k.Survival(130); math.Abs(got-0.375*math.Exp(-2.0/100*100)) > 1e-12 {
		t.Errorf("the tail at 130 is %v", got)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		if p := k.After(25, r); p < 25 {
			t.Fatalf("a caller who has waited 25 s has a patience of %v", p)
		}
	}
}

// Exponential patience, censored by exponential service, is found again.
func TestPatienceIsEstimatedFromCensoredWaits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var ws []Wait
	for range 20000 {
		patience, offered := 120*r.ExpFloat64(), 60*r.ExpFloat64()
		ws = append(ws, Wait{math.Min(patience, offered), patience < offered})
	}
	k := NewKaplanMeier(ws)
	for _, at := range []float64{30, 60, 120, 240} {
		if got, want := k.Survival(at), math.Exp(-at/120); math.Abs(got-want) > 0.02 {
			t.Errorf("S(%v) = %.3f, want %.3f", at, got, want)
		}
	}
	if m := k.Mean(); math.Abs(m-120) > 10 {
		t.Errorf("mean patience %.1f, want 120", m)
	}
	sum := 0.0
	for range 20000 {
		sum += k.Draw(r)
	}
	if m := sum / 20000; math.Abs(m-k.Mean()) > 4 {
		t.Errorf("drawn patience has the mean %.1f, the estimate %.1f", m, k.Mean())
	}
}

// reading hands out entries as a journal does.
func reading(entries []routing.Entry) func(func(routing.Entry) error) error {
	return func(fn func(routing.Entry) error) error {
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// A journal replayed under its own policy gives the waits that were recorded:
// nothing had to be modelled that could change them.
func TestReplayUnderTheSamePolicyGivesWhatWasRecorded(t *testing.T) {
	policy := pool(2, "strict", nil).Policy
	s := routing.New()
	var entries []routing.Entry
	feed := func(sec float64, ev routing.Event) []routing.Decision {
		e := routing.Entry{Seq: uint64(len(entries) + 1), At: routing.Time(sec*second) + start, Node: "n", Event: ev}
		entries = append(entries, e)
		var ds []routing.Decision
		for _, d := range s.Apply(e) {
			ds = append(ds, d.Clone())
		}
		return ds
	}
	feed(0, routing.PolicyChanged{Policy: policy})
	feed(0, routing.SeatRegistered{Seat: "s0000"})
	feed(0, routing.SeatRegistered{Seat: "s0001"})
	// Two talk for 60 s from 1 s and 2 s on, a third waits for them, a fourth
	// gives up.
	talk := func(sec float64, ds []routing.Decision) {
		for _, d := range ds {
			if o, ok := d.(*routing.Offer); ok {
				feed(sec, routing.TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			}
		}
	}
	for i, at := range []float64{1, 2, 3, 4} {
		id := routing.CallID(fmt.Sprint("c", i))
		feed(at, routing.CallArrived{Call: id})
		talk(at, feed(at, routing.CallQueued{Call: id, Queue: "q"}))
	}
	feed(24, routing.CallEnded{Call: "c3", Cause: routing.CauseCallerHungUp})
	talk(61, feed(61, routing.CallEnded{Call: "c0", Cause: routing.CauseCallerHungUp}))
	feed(62, routing.CallEnded{Call: "c1", Cause: routing.CauseCallerHungUp})
	feed(90, routing.CallEnded{Call: "c2", Cause: routing.CauseCallerHungUp})

	rec, err := FromJournal(routing.New(), reading(entries))
	if err != nil {
		t.Fatal(err)
	}
	sc, err := rec.Scenario(rec.Policy, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(context.Background(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range rec.Calls {
		answered, wait := rep.Call(i)
		if (answered.Mean == 1) != c.Answered || math.Abs(wait.Mean-c.Wait.Seconds()) > 1e-6 {
			t.Errorf("call %s: answered %v after %v s, recorded %v after %v", c.ID, answered.Mean, wait.Mean, c.Answered, c.Wait)
		}
	}
	if len(rec.Calls) != 4 || rec.Calls[2].Wait != 58*time.Second || rec.Calls[3].Answered {
		t.Errorf("recorded %+v", rec.Calls)
	}
}

// Offers go as they went: the first agent refuses after 5 s, the second one answers
// after 3 s, and so does a replay. The talk that ended by a transfer is a call of its own.
func TestReplayKeepsHowOffersWent(t *testing.T) {
	policy := pool(2, "strict", nil).Policy
	s := routing.New()
	var entries []routing.Entry
	feed := func(sec float64, ev routing.Event) (offered []routing.Offer) {
		e := routing.Entry{Seq: uint64(len(entries) + 1), At: routing.Time(sec*second) + start, Node: "n", Event: ev}
		entries = append(entries, e)
		for _, d := range s.Apply(e) {
			if o, ok := d.(*routing.Offer); ok {
				offered = append(offered, *o)
			}
		}
		return offered
	}
	policy.RejectDelay = routing.Hour
	feed(0, routing.PolicyChanged{Policy: policy})
	feed(0, routing.SeatRegistered{Seat: "s0000"})
	feed(0, routing.SeatRegistered{Seat: "s0001"})
	feed(1, routing.CallArrived{Call: "c"})
	o := feed(1, routing.CallQueued{Call: "c", Queue: "q"})[0]
	o = feed(6, routing.OfferFailed{Call: "c", Seat: o.Seat, Offer: o.Offer, Cause: routing.OfferRefused})[0]
	feed(9, routing.TalkStarted{Call: "c", Seat: o.Seat, Offer: o.Offer})
	o = feed(20, routing.CallRequeued{Call: "c", Queue: "q"})[0]
	feed(22, routing.TalkStarted{Call: "c", Seat: o.Seat, Offer: o.Offer})
	feed(30, routing.CallEnded{Call: "c", Cause: routing.CauseCallerHungUp})
	rec, err := FromJournal(routing.New(), func(f func(routing.Entry) error) error {
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Calls) != 2 || rec.Calls[0].ID != "c talk 1" || rec.Calls[0].Wait != 8*time.Second || rec.Calls[0].Service != 11*time.Second ||
		rec.Calls[1].ID != "c" || rec.Calls[1].Wait != 2*time.Second {
		t.Fatalf("recorded %+v", rec.Calls)
	}
	sc, err := rec.Scenario(policy, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{8, 2} {
		if answered, wait := rep.Call(i); answered.Mean != 1 || wait.Mean != want || wait.SE != 0 {
			t.Errorf("call %d: answered %v after %v s, want %v", i, answered.Mean, wait.Mean, want)
		}
	}
}

// A replay has the estimates of the journal: under a plan that sends callers away who
// would wait for ten minutes, the one who came after such an estimate is.
func TestReplayHasTheEstimates(t *testing.T) {
	policy := pool(1, "strict", nil).Policy
	rec, err := FromJournal(routing.New(), func(f func(routing.Entry) error) error {
		for i, ev := range []routing.Event{
			routing.PolicyChanged{Policy: policy}, routing.SeatRegistered{Seat: "s0000"}, routing.AgentStatusChanged{Agent: "s0000", Status: routing.StatusBreak},
			routing.CallArrived{Call: "a"}, routing.CallQueued{Call: "a", Queue: "q"}, routing.CallEnded{Call: "a", Cause: routing.CauseCallerHungUp},
			routing.Estimated{Queue: "q", Tiers: []routing.TierEstimate{{Tier: routing.TierC, P50: 20 * routing.Minute, P80: 30 * routing.Minute}}},
			routing.CallArrived{Call: "b"}, routing.CallQueued{Call: "b", Queue: "q"}, routing.CallEnded{Call: "b", Cause: routing.CauseCallerHungUp},
		} {
			if err := f(routing.Entry{Seq: uint64(i + 1), At: start.Add(routing.Duration(i) * routing.Second), Node: "n", Event: ev}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	policy.Queues[0].Plan = []routing.PlanStep{{Ring: routing.StepQueue}, {Leave: &routing.Exit{}, When: routing.Condition{ExpectedWait: 10 * routing.Minute}}}
	sc, err := rec.Scenario(policy, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := rep.All; f.Offered.Mean != 2 || f.Shed.Mean != 1 || f.Abandoned.Mean != 1 {
		t.Errorf("offered %v, shed %v, gave up %v", f.Offered.Mean, f.Shed.Mean, f.Abandoned.Mean)
	}
}
