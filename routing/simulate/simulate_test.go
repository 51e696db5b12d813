package simulate

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"hotline/routing"
	"hotline/routing/erlang"
)

func twoClasses(order string) Scenario {
	return pool(10, order, map[routing.Tier]int64{routing.TierA1: 10000, routing.TierC: 40000},
		Class{PerHour: 100, Tier: routing.TierA1, Service: Exponential{180}, Patience: Exponential{120}},
		Class{PerHour: 100, Tier: routing.TierC, Service: Exponential{180}, Patience: Exponential{120}}).lasting(4000, 4)
}

func run(t *testing.T, sc Scenario) *Report {
	t.Helper()
	rep, err := Run(context.Background(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestSameSeedSameFigures(t *testing.T) {
	text := func(sc Scenario) string {
		b, err := json.Marshal(run(t, sc))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	sc := twoClasses("ratio")
	if a, b := text(sc), text(sc); a != b {
		t.Errorf("the same seed gave\n%s\nand\n%s", a, b)
	}
	other := sc
	other.Seed++
	if text(sc) == text(other) {
		t.Error("another seed gave the same figures")
	}
}

// With equal exponential service and patience the overall share of those who
// give up is Erlang A's under any order.
func TestOrderDoesNotChangeTheOverallShareOfAbandoned(t *testing.T) {
	a, err := erlang.NewA(erlang.Load{Rate: 200.0 / 3600, Service: 180, Patience: 120}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"strict", "deadline", "ratio"} {
		rep := run(t, twoClasses(order))
		if got := rep.All.PAbandon; math.Abs(got.Mean-a.PAbandon) > 4*got.SE {
			t.Errorf("%s: %.4f ± %.4f give up, want %.4f", order, got.Mean, got.SE, a.PAbandon)
		}
		if rep.Classes[0].PAbandon.Mean >= rep.Classes[1].PAbandon.Mean {
			t.Errorf("%s: A1 gives up as often as C", order)
		}
	}
}

// Two configs that share their classes meet the same callers.
func TestCommonRandomNumbers(t *testing.T) {
	a, b := run(t, twoClasses("strict")), run(t, twoClasses("ratio"))
	if a.All.Offered != b.All.Offered {
		t.Errorf("offered %v under one order and %v under the other", a.All.Offered, b.All.Offered)
	}
}

func TestProfileShiftsRedialAndRing(t *testing.T) {
	sc := pool(1, "strict", nil, Class{PerHour: 60, Tier: routing.TierC, Service: Constant(1), Profile: make([]float64, 24)})
	sc.Classes[0].Profile[9] = 1
	sc.Length, sc.Replications = 24*time.Hour, 10
	sc.Ring = Constant(5)
	rep := run(t, sc)
	if got := rep.All.Offered; math.Abs(got.Mean-60) > 4*got.SE {
		t.Errorf("%v calls in the one hour of the profile, want 60", got)
	}
	if got := rep.All.ASA; got.Mean < 5 || got.Mean > 7 {
		t.Errorf("ASA %v, want the 5 s of ringing and little more", got)
	}
	sc.Shifts = []Shift{{Seat: "s0000", From: 10 * time.Hour, To: 11 * time.Hour}}
	sc.Classes[0].Patience = Constant(60)
	sc.Classes[0].Redial, sc.Classes[0].RedialAfter = 0.5, Constant(120)
	rep = run(t, sc)
	if got := rep.All.Offered.Mean; got < 90 || got > 130 {
		t.Errorf("%v calls when half of those who give up call again, want about 120", got)
	}
	if rep.All.Answered.Mean > 10 {
		t.Errorf("%v answered by a seat that is not staffed at 9", rep.All.Answered)
	}
}

func TestCallsFromAFile(t *testing.T) {
	sc := pool(1, "strict", nil, Class{Tier: routing.TierC})
	sc.Calls = []Arrival{{At: time.Second, Service: 10 * time.Second, Patience: -1}, {At: 2 * time.Second, Service: 10 * time.Second, Patience: 3 * time.Second}, {At: 3 * time.Second, Service: time.Second, Patience: -1}}
	sc.Length, sc.Replications = time.Minute, 1
	rep := run(t, sc)
	if rep.All.Answered.Mean != 2 || rep.All.Abandoned.Mean != 1 || rep.All.Max.Mean != 8 {
		t.Errorf("%+v, want two answered, the last after 8 s, and one gone", rep.All)
	}
}

func TestScenariosThatMakeNoSense(t *testing.T) {
	good := twoClasses("strict")
	for want, change := range map[string]func(*Scenario){
		"no class":         func(s *Scenario) { s.Classes = nil },
		"warm-up":          func(s *Scenario) { s.WarmUp = s.Length },
		"24, one per hour": func(s *Scenario) { s.Classes[0].Profile = []float64{1} },
		"per_hour":         func(s *Scenario) { s.Classes[0].PerHour = math.NaN() },
		"redial":           func(s *Scenario) { s.Classes[0].Redial = 1 },
		"order":            func(s *Scenario) { s.Policy.Order = "lottery" },
		"needs service":    func(s *Scenario) { s.Classes[0].Service = nil },
		"is out of order":  func(s *Scenario) { s.Calls = []Arrival{{At: 2}, {At: 1}} },
	} {
		sc := good
		sc.Classes = append([]Class(nil), good.Classes...)
		change(&sc)
		if _, err := Run(context.Background(), sc, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, twoClasses("strict"), nil); err == nil {
		t.Error("a cancelled run gave a report")
	}
}

// A day of a million calls on 2,000 seats, in one replication on one core.
func BenchmarkDayOfAMillionCalls(b *testing.B) {
	const seats, calls = 2000, 1_000_000
	aht := 0.9 * seats * 24 * 3600 / calls
	var classes []Class
	for i, share := range []float64{0.05, 0.05, 0.1, 0.2, 0.6} {
		classes = append(classes, Class{PerHour: share * calls / 24, Tier: routing.Tiers()[i], Service: Exponential{aht}, Patience: Exponential{120}})
	}
	sc := pool(seats, "deadline", map[routing.Tier]int64{routing.TierA1: 10000, routing.TierA2: 10000, routing.TierB1: 20000, routing.TierB2: 20000, routing.TierC: 30000}, classes...)
	sc.Length, sc.Replications = 24*time.Hour, 1
	for b.Loop() {
		rep, err := Run(context.Background(), sc, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(rep.All.Offered.Mean, "calls/day")
	}
}

// With two phones that ring at once for each caller, each for an exponential time, a
// caller is answered at the sooner of the two: with idle agents the mean wait is half
// that of one phone. No event of the simulation is out of place.
func TestRingGroupRingsAtOnce(t *testing.T) {
	wait := map[int]float64{}
	for _, n := range []int{1, 2} {
		sc := pool(20, routing.OrderStrict, nil, Class{Tier: routing.TierC, PerHour: 200, Service: Exponential{60}})
		sc.Policy.Queues[0].RingGroup = n
		sc.Ring, sc.Length, sc.Replications = Exponential{10}, 20*time.Hour, 4
		rep, err := Run(t.Context(), sc, nil)
		if err != nil {
			t.Fatal(err)
		}
		wait[n] = rep.All.ASA.Mean
	}
	if one, two := wait[1], wait[2]; math.Abs(one-10) > 0.5 || math.Abs(two-5) > 0.3 {
		t.Errorf("one phone rings for %.2f s, two for %.2f s", one, two)
	}
	sc := pool(3, routing.OrderStrict, nil, Class{Tier: routing.TierC, PerHour: 200, Service: Exponential{60}})
	sc.Policy.Queues[0].RingGroup, sc.Length = 3, time.Hour
	r := newReplication(&sc, 0)
	if _, err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, why := r.state.Ignored(); n > 0 {
		t.Error(why)
	}
}

// A queue that takes two waiting calls turns others away: that is no giving up, nobody
// calls again for it, and all that were offered are answered, gave up, were shed, or wait.
func TestShedIsNoGivingUp(t *testing.T) {
	sc := pool(1, routing.OrderStrict, nil, Class{Tier: routing.TierC, PerHour: 60, Service: Exponential{120}, Redial: 0.9, RedialAfter: Constant(1)})
	sc.Policy.Queues[0].MaxWaiting = 2
	sc.Length, sc.Replications = 20*time.Hour, 3
	rep, err := Run(t.Context(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := rep.All
	left := f.Offered.Mean - f.Answered.Mean - f.Shed.Mean
	if f.Abandoned.Mean != 0 || f.Shed.Mean < 400 || left < 0 || left > 3 {
		t.Errorf("offered %v, answered %v, gave up %v, shed %v", f.Offered.Mean, f.Answered.Mean, f.Abandoned.Mean, f.Shed.Mean)
	}
	// M/M/1 with room for three: a call is turned away with the probability of a full
	// house, ρ³/(1 + ρ + ρ² + ρ³) with ρ = 2.
	if want := 8. / 15; math.Abs(f.PShed.Mean-want) > 0.03 {
		t.Errorf("shed %.3f, want %.3f", f.PShed.Mean, want)
	}
}

// Work after the talk counts like the talk: exponential halves of 90 s for talk and
// wrap-up keep the seats busy as an Erlang time of two phases does, without a random
// number of the callers changing; a class without a wrap-up has that of its queue.
func TestWrapUpsAreDrawn(t *testing.T) {
	run := func(service, wrapUp Dist) *Report {
		sc := pool(10, routing.OrderStrict, nil, Class{Tier: routing.TierC, PerHour: 150, Service: service, WrapUp: wrapUp})
		sc.Policy.Queues[0].WrapUp = 90 * routing.Second
		sc.Length, sc.Replications = 40*time.Hour, 4
		rep, err := Run(t.Context(), sc, nil)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	drawn := run(Exponential{90}, Exponential{90})
	if want := 150 * 180. / 3600 / 10; math.Abs(drawn.Occupancy.Mean-want) > 0.015 {
		t.Errorf("occupancy %.3f, want %.3f", drawn.Occupancy.Mean, want)
	}
	constant, own := run(Exponential{90}, Constant(90)), run(Exponential{90}, nil)
	if constant.All.ASA != own.All.ASA || constant.Occupancy != own.Occupancy {
		t.Errorf("a drawn constant gives %v, %v, the queue's own %v, %v", constant.All.ASA, constant.Occupancy, own.All.ASA, own.Occupancy)
	}
	if drawn.All.ASA.Mean <= constant.All.ASA.Mean {
		t.Errorf("wrap-ups that spread make callers wait for %.2f s, constant ones for %.2f s", drawn.All.ASA.Mean, constant.All.ASA.Mean)
	}
}

// Beside a class that has wrap-ups of its own, another one has its queue's.
func TestWrapUpOfTheQueueBesideDrawnOnes(t *testing.T) {
	sc := pool(10, routing.OrderStrict, nil,
		Class{Tier: routing.TierC, PerHour: 60, Service: Constant(60), WrapUp: Constant(10)},
		Class{Tier: routing.TierA1, PerHour: 60, Service: Constant(60)})
	sc.Policy.Queues[0].WrapUp = 90 * routing.Second
	sc.Length, sc.Replications = 40*time.Hour, 4
	rep, err := Run(t.Context(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := 60 * (70 + 150.) / 3600 / 10; math.Abs(rep.Occupancy.Mean-want) > 0.015 {
		t.Errorf("occupancy %.3f, want %.3f", rep.Occupancy.Mean, want)
	}
}
