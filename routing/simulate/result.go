package simulate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"hotline/routing"
)

// tally counts the calls of one class in one replication.
type tally struct {
	offered, served, left int
	shed                  int       // turned away by a limit or a plan
	waits, gaveUp         []float64 // s
}

func (t *tally) answered(wait float64)  { t.served++; t.waits = append(t.waits, wait) }
func (t *tally) abandoned(wait float64) { t.left++; t.gaveUp = append(t.gaveUp, wait) }

// result is what one replication came to.
type result struct {
	classes   []tally
	calls     []Outcome // of sc.Calls
	occupancy float64
	queue     float64 // mean number waiting
}

// Outcome is what became of one call of a file in one replication. A call whose
// wait wasn't over at the end has neither wait nor answer.
type Outcome struct {
	Answered bool
	Wait     float64 // s
}

func newResult(sc *Scenario) *result {
	return &result{classes: make([]tally, len(sc.Classes)), calls: make([]Outcome, len(sc.Calls))}
}

func (r *result) outcome(i int, o Outcome) {
	if i < len(r.calls) {
		r.calls[i] = o
	}
}

func (r *result) finish(a *area, seconds float64) {
	if a.seatT > 0 {
		r.occupancy = a.busyT / a.seatT
	}
	if seconds > 0 {
		r.queue = a.waitT / seconds
	}
}

// Estimate is the mean of a figure over the replications.
type Estimate struct {
	Mean float64 `json:"mean"`
	// SE is the standard error of Mean, HalfWidth that of its 95 % confidence
	// interval. Both are NaN-free: 0 with a single replication.
	SE        float64 `json:"se"`
	HalfWidth float64 `json:"half_width"`
}

// estimate averages what the replications gave; NaN (nothing to measure) is left
// out.
func estimate(values []float64) Estimate {
	vs := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	n := float64(len(vs))
	if n == 0 {
		return Estimate{}
	}
	mean := 0.0
	for _, v := range vs {
		mean += v / n
	}
	if n == 1 {
		return Estimate{Mean: mean}
	}
	ss := 0.0
	for _, v := range vs {
		ss += (v - mean) * (v - mean)
	}
	se := math.Sqrt(ss / (n - 1) / n)
	return Estimate{Mean: mean, SE: se, HalfWidth: studentT(len(vs)-1) * se}
}

// studentT is the 97.5 % point of Student's distribution (Hill's expansion, good
// to three digits from 2 degrees of freedom on).
func studentT(df int) float64 {
	if df == 1 {
		return 12.706
	}
	const z = 1.959964
	n := float64(df)
	g1 := (math.Pow(z, 3) + z) / 4
	g2 := (5*math.Pow(z, 5) + 16*math.Pow(z, 3) + 3*z) / 96
	g3 := (3*math.Pow(z, 7) + 19*math.Pow(z, 5) + 17*math.Pow(z, 3) - 15*z) / 384
	g4 := (79*math.Pow(z, 9) + 776*math.Pow(z, 7) + 1482*math.Pow(z, 5) - 1920*math.Pow(z, 3) - 945*z) / 92160
	return z + g1/n + g2/(n*n) + g3/(n*n*n) + g4/(n*n*n*n)
}

// Figures are what happened to some calls; a and b are the calls answered and
// abandoned within the target.
type Figures struct {
	Name string `json:"name"`
	// Target in seconds; 0 when calls of tiers with different targets are in it,
	// each of which is measured against its own.
	Target float64 `json:"target_s"`

	Offered   Estimate `json:"offered"`
	Answered  Estimate `json:"answered"`
	Abandoned Estimate `json:"abandoned"`
	Shed      Estimate `json:"shed"`      // turned away by a limit or a plan
	PAbandon  Estimate `json:"p_abandon"` // of the calls whose wait is over, as the next
	PShed     Estimate `json:"p_shed"`
	PWait     Estimate `json:"p_wait"` // of those answered or abandoned, who had to wait

	Neg Estimate `json:"service_level_neg"` // a / offered
	Ign Estimate `json:"service_level_ign"` // a / (offered - b)
	Pos Estimate `json:"service_level_pos"` // (a + b) / offered
	Ans Estimate `json:"service_level_ans"` // a / answered

	ASA  Estimate `json:"asa_s"`  // mean wait of those answered
	Mean Estimate `json:"wait_s"` // mean wait of those answered or abandoned
	P50  Estimate `json:"wait_p50_s"`
	P80  Estimate `json:"wait_p80_s"`
	P95  Estimate `json:"wait_p95_s"`
	Max  Estimate `json:"wait_max_s"`
}

// Report is what a scenario came to.
type Report struct {
	Replications int       `json:"replications"`
	Seed         uint64    `json:"seed"`
	Occupancy    Estimate  `json:"occupancy"`
	Waiting      Estimate  `json:"mean_waiting"`
	All          Figures   `json:"all"`
	Classes      []Figures `json:"classes"`
	Tiers        []Figures `json:"tiers"`
	Queues       []Figures `json:"queues"`

	results []*result
	sc      *Scenario
}

// Run simulates the scenario. It uses all processors and blocks until it is done
// or ctx ends. progress, if not nil, is told of each replication that is done.
func Run(ctx context.Context, sc Scenario, progress func(done, of int)) (*Report, error) {
	if sc.Replications == 0 {
		sc.Replications = 10
	}
	if err := sc.validate(); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	results := make([]*result, sc.Replications)
	errs := make([]error, sc.Replications)
	var mu sync.Mutex
	done := 0
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range results {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i], errs[i] = newReplication(&sc, i).run(ctx)
			if progress != nil {
				mu.Lock()
				done++
				progress(done, sc.Replications)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return report(&sc, results), nil
}

func report(sc *Scenario, results []*result) *Report {
	rep := &Report{Replications: len(results), Seed: sc.Seed, results: results, sc: sc}
	var occupancy, queue []float64
	for _, r := range results {
		occupancy, queue = append(occupancy, r.occupancy), append(queue, r.queue)
	}
	rep.Occupancy, rep.Waiting = estimate(occupancy), estimate(queue)
	all := make([]int, len(sc.Classes))
	for i := range all {
		all[i] = i
	}
	rep.All = rep.figures("all", all)
	for i, c := range sc.Classes {
		rep.Classes = append(rep.Classes, rep.figures(c.Name, []int{i}))
	}
	for _, t := range routing.Tiers() {
		if in := rep.where(func(c *Class) bool { return c.Tier == t }); len(in) > 0 {
			rep.Tiers = append(rep.Tiers, rep.figures(t.String(), in))
		}
	}
	seen := map[routing.QueueID]bool{}
	for _, c := range sc.Classes {
		if !seen[c.Queue] {
			seen[c.Queue] = true
			rep.Queues = append(rep.Queues, rep.figures(string(c.Queue), rep.where(func(o *Class) bool { return o.Queue == c.Queue })))
		}
	}
	return rep
}

// Call is what became of the i-th call of the scenario's file, over the
// replications: the share in which it was answered, and the mean wait.
func (rep *Report) Call(i int) (answered, wait Estimate) {
	var as, ws []float64
	for _, r := range rep.results {
		a := 0.0
		if r.calls[i].Answered {
			a = 1
		}
		as, ws = append(as, a), append(ws, r.calls[i].Wait)
	}
	return estimate(as), estimate(ws)
}

func (rep *Report) where(in func(*Class) bool) []int {
	var out []int
	for i := range rep.sc.Classes {
		if in(&rep.sc.Classes[i]) {
			out = append(out, i)
		}
	}
	return out
}

// target of a class: the scenario's, or that of its tier.
func (sc *Scenario) target(class int) float64 {
	if sc.Target > 0 {
		return sc.Target.Seconds()
	}
	for _, t := range sc.Policy.Tiers {
		if t.Tier == sc.Classes[class].Tier {
			return float64(t.TargetMS) / 1000
		}
	}
	return 0
}

// figures sums up some classes, each against its own target.
func (rep *Report) figures(name string, classes []int) Figures {
	f := Figures{Name: name}
	columns := map[*Estimate][]float64{}
	put := func(e *Estimate, v float64) { columns[e] = append(columns[e], v) }
	for _, r := range rep.results {
		rep.measure(&f, r, classes, put)
	}
	for e, vs := range columns {
		*e = estimate(vs)
	}
	for i, c := range classes {
		if t := rep.sc.target(c); i == 0 {
			f.Target = t
		} else if t != f.Target {
			f.Target = 0
			break
		}
	}
	return f
}

func (rep *Report) measure(f *Figures, r *result, classes []int, put func(*Estimate, float64)) {
	var offered, served, left, shed, a, b, waited float64
	var sumServed, sumLeft float64
	var waits []float64
	for _, i := range classes {
		t, target := &r.classes[i], rep.sc.target(i)
		offered += float64(t.offered)
		served += float64(t.served)
		left += float64(t.left)
		shed += float64(t.shed)
		for _, w := range t.waits {
			sumServed += w
			if w <= target {
				a++
			}
			if w > 0 {
				waited++
			}
		}
		for _, w := range t.gaveUp {
			sumLeft += w
			waited++
			if w <= target {
				b++
			}
		}
		waits = append(waits, t.waits...)
	}
	slices.Sort(waits)
	over := served + left + shed
	put(&f.Offered, offered)
	put(&f.Answered, served)
	put(&f.Abandoned, left)
	put(&f.Shed, shed)
	put(&f.PAbandon, left/over)
	put(&f.PShed, shed/over)
	put(&f.PWait, waited/(served+left))
	put(&f.Neg, a/over)
	put(&f.Ign, a/(over-b))
	put(&f.Pos, (a+b)/over)
	put(&f.Ans, a/served)
	put(&f.ASA, sumServed/served)
	put(&f.Mean, (sumServed+sumLeft)/(served+left))
	put(&f.P50, percentile(waits, 0.5))
	put(&f.P80, percentile(waits, 0.8))
	put(&f.P95, percentile(waits, 0.95))
	put(&f.Max, percentile(waits, 1))
}

// percentile of sorted values; NaN when there are none.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
