package simulate

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"hotline/routing"
)

// busyDesk is a queue of n seats with a bit more work than they can do, so that some
// wait long and some give up.
func busyDesk(n int) Scenario {
	sc := pool(n, routing.OrderStrict, nil)
	perHour := 1.1 * float64(n) * 3600 / 180
	sc.Classes = []Class{
		{Name: "A1", Tier: routing.TierA1, Queue: "q", PerHour: perHour * 0.3, Service: Exponential{180}, Patience: Exponential{400}},
		{Name: "C", Tier: routing.TierC, Queue: "q", PerHour: perHour * 0.7, Service: Exponential{180}, Patience: Exponential{400}},
	}
	sc.Length, sc.Seed = 5*time.Hour, 7
	return sc
}

// score counts how estimates came out.
type score struct {
	n                          [2]int // answered, or still waiting at the quantile
	within                     [2]int
	answered                   int
	bias, squared, irreducible float64
}

// take scores a call whose wait is over. One who gave up has waited longer than the
// quantile, or tells nothing about it.
func (s *score) take(v *routing.CallView) {
	e := v.Expected
	if e == nil || e.P50 == 0 {
		return // no wait was expected; that is no matter of quantiles
	}
	for i, q := range []routing.Duration{e.P50, e.P80} {
		within := v.Connected != 0 && v.QueueWait <= q
		if within {
			s.within[i]++
		}
		if within || v.QueueWait > q {
			s.n[i]++
		}
	}
	if v.Connected != 0 {
		s.answered++
		d := float64(v.QueueWait-e.P50) / second
		s.bias += d
		s.squared += d * d
		s.irreducible += float64(e.Spread) / second * float64(e.Spread) / second
	}
}

func (s *score) share(i int) float64 { return float64(s.within[i]) / float64(s.n[i]) }

func (s *score) String() string {
	n := float64(s.answered)
	return fmt.Sprintf("%d answered, %.1f %% of %d within P50, %.1f %% of %d within P80, bias %.1f s, RMSE %.1f s, irreducible %.1f s",
		s.answered, 100*s.share(0), s.n[0], 100*s.share(1), s.n[1], s.bias/n, math.Sqrt(s.squared/n), math.Sqrt(s.irreducible/n))
}

// forecastDay plays a day in which each caller is told what to expect, as the running
// server does it, and scores that.
func forecastDay(t *testing.T, sc Scenario, every time.Duration, o Forecast) *score {
	t.Helper()
	r, recent, s := newReplication(&sc, 0), &Recent{}, &score{}
	r.watch = func(d routing.Decision) {
		recent.Observe(d)
		if e, ok := d.(*routing.Ended); ok {
			s.take(&e.Call)
		}
	}
	r.apply(node, routing.PolicyChanged{Policy: sc.Policy})
	r.openSeats()
	for i := range sc.Classes {
		r.nextArrival(i)
	}
	for next := at(every); next < at(sc.Length); next = next.Add(routing.Duration(every / time.Microsecond)) {
		if err := r.play(t.Context(), next, func() bool { return false }); err != nil {
			t.Fatal(err)
		}
		r.advance(next)
		o.Seed++
		found, err := Expect(t.Context(), r.state.Freeze(), recent, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range found {
			r.apply(node, ev)
		}
	}
	if n, why := r.state.Ignored(); n > 0 {
		t.Fatal(why)
	}
	return s
}

// What callers are told comes true: about half of them wait less than P50, four of
// five less than P80, and the forecast isn't much more wrong than chance makes it. The
// shares come out somewhat high, because of those who would have waited long more give
// up before it is known.
func TestExpectationsComeTrue(t *testing.T) {
	s := forecastDay(t, busyDesk(10), time.Minute, Forecast{Replications: 60})
	t.Log(s)
	if s.answered < 500 {
		t.Fatalf("only %d calls had to wait", s.answered)
	}
	if p := s.share(0); p < 0.45 || p > 0.62 {
		t.Errorf("%.3f are within P50", p)
	}
	if p := s.share(1); p < 0.73 || p > 0.87 {
		t.Errorf("%.3f are within P80", p)
	}
	n := float64(s.answered)
	if got, least := math.Sqrt(s.squared/n), math.Sqrt(s.irreducible/n); got > 1.2*least {
		t.Errorf("RMSE %.1f s, %.1f s is irreducible", got, least)
	}
}

// played plays a day up to a time, and tells what was seen of it.
func played(t testing.TB, sc *Scenario, until time.Duration) (*replication, *Recent) {
	t.Helper()
	r, recent := newReplication(sc, 0), &Recent{}
	r.watch = recent.Observe
	r.apply(node, routing.PolicyChanged{Policy: sc.Policy})
	r.openSeats()
	for i := range sc.Classes {
		r.nextArrival(i)
	}
	if err := r.play(t.Context(), at(until), func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	return r, recent
}

// In a flood of callers who never give up, those far behind are left out, which changes what is expected by no more
// than chance, and keeps an hour of it from filling the memory.
func TestExpectLeavesOutTheFarEndOfACrowd(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"strict":   func(*Scenario) {},
		"deadline": func(sc *Scenario) { sc.Policy.Order = routing.OrderDeadline },
		"some move on": func(sc *Scenario) {
			sc.Policy.Queues[0].MaxWait, sc.Policy.Queues[0].WhenTooLong = 20*routing.Minute, routing.Exit{Queue: "slow"}
			sc.Policy.Queues = append(sc.Policy.Queues, routing.QueuePolicy{ID: "slow"})
			sc.Policy.Seats = append(sc.Policy.Seats, routing.SeatPolicy{ID: "s", Queues: []routing.QueueID{"slow"}})
			sc.Classes[0].PerHour /= 4 // else only the first tier is served within 20 minutes
		},
	} {
		t.Run(name, func(t *testing.T) {
			sc := busyDesk(40)
			for i := range sc.Classes {
				sc.Classes[i].PerHour *= 8
				sc.Classes[i].Patience = Constant(math.Inf(1))
			}
			change(&sc)
			checkFarEnd(t, &sc)
		})
	}
}

func checkFarEnd(t *testing.T, sc *Scenario) {
	r, recent := played(t, sc, 10*time.Minute)
	frozen := r.state.Freeze()
	expect := func(crowd int) (routing.Estimated, uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		found, err := Expect(t.Context(), frozen, recent, Forecast{Replications: 10, Seed: 5, Horizon: 2 * time.Hour, crowd: crowd})
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		runtime.ReadMemStats(&after)
		return found[0], after.TotalAlloc - before.TotalAlloc
	}
	all, much := expect(1 << 40)
	some, little := expect(0)
	t.Logf("%v, %d MB; all of them %v, %d MB", some, little>>20, all, much>>20)
	if len(some.Tiers) != len(all.Tiers) || len(some.Tiers) == 0 {
		t.Fatalf("tiers %v, of all %v", some.Tiers, all.Tiers)
	}
	for i, got := range some.Tiers {
		if want := all.Tiers[i]; math.Abs(float64(got.P50-want.P50)) > 0.05*float64(want.P50) {
			t.Errorf("%s waits %s, with all of them %s", got.Tier, got.P50, want.P50)
		}
	}
	if little > much/2 {
		t.Errorf("takes %d bytes, with all of them %d", little, much)
	}
}

// A look ahead changes nothing in the state it starts from, and gives the same for
// the same seed.
func TestExpectLooksOnly(t *testing.T) {
	sc := busyDesk(5)
	r, recent := played(t, &sc, time.Hour)
	before, frozen := r.state.Hash(), r.state.Freeze()
	var found [2][]routing.Estimated
	for i := range found {
		var err error
		if found[i], err = Expect(t.Context(), frozen, recent, Forecast{Replications: 20, Seed: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if r.state.Hash() != before {
		t.Error("the state has changed")
	}
	if a, b := fmt.Sprint(found[0]), fmt.Sprint(found[1]); a != b || len(found[0]) != 1 {
		t.Errorf("two forecasts of one seed: %s and %s", a, b)
	}
}

// Nothing is said where nobody is there, nor by a forecast that was given no time.
func TestExpectSaysNothingWithoutReason(t *testing.T) {
	sc := busyDesk(2)
	s := routing.New()
	s.Apply(routing.Entry{At: start, Node: node, Event: routing.PolicyChanged{Policy: sc.Policy}})
	if found, err := Expect(t.Context(), s.Freeze(), &Recent{}, Forecast{}); err != nil || len(found) > 0 {
		t.Errorf("nobody is there, and %v, %v", found, err)
	}
	s.Apply(routing.Entry{At: start, Node: node, Event: routing.SeatRegistered{Seat: "s0000"}})
	found, err := Expect(t.Context(), s.Freeze(), &Recent{}, Forecast{Replications: 10})
	if err != nil || len(found) != 1 || len(found[0].Tiers) != 5 || found[0].Tiers[0].P80 != 0 {
		t.Errorf("an idle seat: %v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := Expect(ctx, s.Freeze(), &Recent{}, Forecast{}); err != nil || len(found) > 0 {
		t.Errorf("without time: %v, %v", found, err)
	}
}

// Where phones ring in groups a caller of the look ahead is answered once, and the other
// queues are still waited for.
func TestExpectWithRingGroups(t *testing.T) {
	p := routing.Policy{RingTime: 15 * routing.Second, Queues: []routing.QueuePolicy{{ID: "group", RingGroup: 2}, {ID: "other"}}}
	for _, id := range []routing.SeatID{"g1", "g2"} {
		p.Seats = append(p.Seats, routing.SeatPolicy{ID: id, Queues: []routing.QueueID{"group"}})
	}
	p.Seats = append(p.Seats, routing.SeatPolicy{ID: "o1", Queues: []routing.QueueID{"other"}})
	s := routing.New()
	do := func(evs ...routing.Event) {
		for _, ev := range evs {
			s.Apply(routing.Entry{At: start, Node: node, Event: ev})
		}
	}
	do(routing.PolicyChanged{Policy: p})
	for _, x := range p.Seats {
		do(routing.SeatRegistered{Seat: x.ID})
	}
	do(routing.CallArrived{Call: "c"}, routing.CallQueued{Call: "c", Queue: "other"}, routing.TalkStarted{Call: "c", Seat: "o1", Offer: 1})
	found, err := Expect(t.Context(), s.Freeze(), &Recent{}, Forecast{Replications: 50})
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, e := range found[0].Tiers {
		if e.P80 != 0 {
			t.Errorf("idle seats of a group: %+v", e)
		}
	}
	for _, e := range found[1].Tiers {
		if e.P50 < 10*routing.Second || e.P50 > 20*routing.Minute {
			t.Errorf("a seat that talks: %+v", e)
		}
	}
}

// impatient is a context that ends after it was asked so often.
type impatient struct {
	context.Context
	left int
}

func (c *impatient) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Of a replication that is broken off only the short waits are known: it counts for
// nothing.
func TestExpectForgetsWhatIsBrokenOff(t *testing.T) {
	sc := busyDesk(500)
	sc.Policy.Queues = append(sc.Policy.Queues, routing.QueuePolicy{ID: "idle"}, routing.QueuePolicy{ID: "slow"})
	sc.Policy.Seats = append(sc.Policy.Seats, routing.SeatPolicy{ID: "i", Queues: []routing.QueueID{"idle"}}, routing.SeatPolicy{ID: "s", Queues: []routing.QueueID{"slow"}})
	r, recent := played(t, &sc, time.Hour)
	for i := range 30 {
		id := routing.CallID(fmt.Sprint("slow ", i))
		r.apply(node, routing.CallArrived{Call: id})
		r.apply(node, routing.CallIdentified{Call: id, Tier: routing.TierA1})
		r.apply(node, routing.CallQueued{Call: id, Queue: "slow"})
	}
	found, err := Expect(&impatient{t.Context(), 2}, r.state.Freeze(), recent, Forecast{})
	if err != nil || len(found) > 0 {
		t.Errorf("after a part of one replication: %v, %v", found, err)
	}
}

// The present may be later than the last entry: a talk that has lasted for two minutes by
// now, of constant length 150 s, is over in half a minute.
func TestExpectBeginsNow(t *testing.T) {
	sc := busyDesk(1)
	s := routing.New()
	do := func(ev routing.Event) []routing.Decision {
		return s.Apply(routing.Entry{At: start, Node: node, Event: ev})
	}
	do(routing.PolicyChanged{Policy: sc.Policy})
	do(routing.SeatRegistered{Seat: "s0000"})
	do(routing.CallArrived{Call: "c"})
	o := *do(routing.CallQueued{Call: "c", Queue: "q"})[0].(*routing.Offer)
	do(routing.TalkStarted{Call: "c", Seat: o.Seat, Offer: o.Offer})
	recent := &Recent{}
	for range enough + 1 {
		recent.Observe(&routing.Ended{Call: routing.CallView{Queue: "q", Queued: start, Connected: start, Talk: 150 * routing.Second, Outcome: routing.OutcomeAnswered}})
	}
	found, err := Expect(t.Context(), s.Freeze(), recent, Forecast{Replications: 10, At: start.Add(2 * routing.Minute)})
	if err != nil || len(found) != 1 || len(found[0].Tiers) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if got := found[0].Tiers[0].P50; got != 30*routing.Second {
		t.Errorf("P50 %s, want 30s", got)
	}
}

// BenchmarkExpect looks ahead from desks where everybody talks and some wait.
func BenchmarkExpect(b *testing.B) {
	for _, seats := range []int{20, 400, 2000} {
		b.Run(fmt.Sprint(seats, " seats"), func(b *testing.B) {
			sc := busyDesk(seats)
			r, recent := played(b, &sc, 20*time.Minute)
			b.ReportAllocs()
			longest := 0.0 // of each, in all
			for b.Loop() {
				f, most, last := r.state.Freeze(), time.Duration(0), time.Now()
				found, err := Expect(b.Context(), f, recent, Forecast{Seed: 1, Breathe: func() {
					now := time.Now()
					most, last = max(most, now.Sub(last)), now
				}})
				if err != nil || len(found) != 1 {
					b.Fatal(found, err)
				}
				longest += most.Seconds()
			}
			b.ReportMetric(longest/float64(b.N)*1e6, "µs/longest-without-breath")
		})
	}
}
