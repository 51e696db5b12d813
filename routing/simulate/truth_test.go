package simulate

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hotline/routing"
	"hotline/routing/erlang/erlangtest"
)

var digits = regexp.MustCompile(`[0-9]*\.?[0-9]+`)

func numbers(s string) []float64 {
	var out []float64
	for _, m := range digits.FindAllString(s, -1) {
		v, _ := strconv.ParseFloat(m, 64)
		out = append(out, v)
	}
	return out
}

// pool is a scenario in which every seat is open to all and nothing stands
// between a free seat and a caller.
func pool(seats int, order string, targets map[routing.Tier]int64, classes ...Class) Scenario {
	p := routing.Policy{Order: order, RingTime: routing.Hour, Queues: []routing.QueuePolicy{{ID: "q"}}}
	for _, t := range routing.Tiers() {
		ms := targets[t]
		if ms == 0 {
			ms = 20000
		}
		p.Tiers = append(p.Tiers, routing.TierPolicy{Tier: t, TargetMS: ms})
	}
	for i := range seats {
		p.Seats = append(p.Seats, routing.SeatPolicy{ID: routing.SeatID(fmt.Sprintf("s%04d", i)), Queues: []routing.QueueID{"q"}})
	}
	for i := range classes {
		classes[i].Queue = "q"
		if classes[i].Patience == nil {
			classes[i].Patience = Never
		}
		if classes[i].Name == "" {
			classes[i].Name = fmt.Sprintf("class %d", i+1)
		}
	}
	return Scenario{Policy: p, Classes: classes, Target: 20 * time.Second, Seed: 20261122}
}

// lasting sets the length so that each replication has so many calls, after a
// warm-up of a tenth.
func (s Scenario) lasting(calls float64, replications int) Scenario {
	rate := 0.0
	for _, c := range s.Classes {
		rate += c.PerHour / 3600
	}
	length := time.Duration(calls / rate * float64(time.Second))
	s.WarmUp, s.Length, s.Replications = length/10, length+length/10, replications
	return s
}

// unit is the mean service time of the rows that measure in such units.
const unit = 100.0

var patiences = map[string]func() (service, patience Dist){
	"M/M/100/200+M":                   nil,
	"M/E2/100/200+E2 patience mean 1": func() (Dist, Dist) { return Erlang{2, unit}, Erlang{2, unit} },
	"M/M/100/200+LN(1,1)":             func() (Dist, Dist) { return Exponential{unit}, Lognormal{unit, 1} },
	"M/M/100/300+LN(4,0.25)":          func() (Dist, Dist) { return Exponential{unit}, Lognormal{4 * unit, 0.25} },
	"M/D/100/200+E2":                  func() (Dist, Dist) { return Constant(unit), Erlang{2, unit} },
}

// scenarioOf builds the scenario of a row and names it, so that rows of one
// model share a run; false when the simulator can't express the row.
func scenarioOf(r erlangtest.Row) (name string, sc Scenario, ok bool) {
	n := numbers(r.Inputs)
	exp := func(perHour, service, patience float64, tier routing.Tier) Class {
		c := Class{PerHour: perHour, Service: Exponential{service}, Tier: tier}
		if patience > 0 {
			c.Patience = Exponential{patience}
		}
		return c
	}
	a1, c3 := routing.TierA1, routing.TierC
	model := strings.Trim(r.Model, `"`)
	switch {
	case r.Model == "M/M/N+M":
		return r.Model + r.Inputs, pool(int(n[3]), "strict", nil, exp(n[0], n[1], n[2], c3)).lasting(9000, 10), true
	case r.Model == "M/M/50+M":
		return r.Model + r.Inputs, pool(50, "strict", nil, exp(n[0]*60, n[1], n[2], c3)).lasting(9000, 10), true
	case r.Model == "M/M/100/200+M":
		sc := pool(100, "strict", nil, exp(n[0]*3600/unit, unit, unit/n[2], c3)).lasting(12000, 10)
		return r.Model + r.Inputs, sc, true
	case patiences[model] != nil:
		service, patience := patiences[model]()
		sc := pool(100, "strict", nil, Class{PerHour: 102 * 3600 / unit, Service: service, Patience: patience, Tier: c3}).lasting(12000, 10)
		return model, sc, true
	case strings.HasPrefix(r.Model, "non-preemptive M/M/c"):
		return r.Inputs, pool(int(n[0]), "strict", nil, exp(n[1], n[3], 0, a1), exp(n[2], n[3], 0, c3)).lasting(9000, 10), true
	case strings.HasPrefix(r.Model, "non-preemptive M/M/1"):
		return r.Inputs, pool(1, "strict", nil, exp(n[0], 3600/n[3], 0, a1), exp(n[1], 3600/n[3], 0, routing.TierB1), exp(n[2], 3600/n[3], 0, c3)).lasting(9000, 10), true
	case strings.HasPrefix(r.Model, "accumulating priority"):
		seats, rates := 1, []float64{n[0] * 3600, n[1] * 3600}
		if strings.HasSuffix(r.Model, "M/M/10") {
			seats = 10
			rates = numbers(strings.TrimPrefix(r.ID, "APQ-10-"))
		}
		targets := map[routing.Tier]int64{a1: int64(1000 * 10), c3: int64(1000 * 10 * n[2] / n[3])}
		return r.Model + r.Inputs, pool(seats, "ratio", targets, exp(rates[0], n[4], 0, a1), exp(rates[1], n[4], 0, c3)).lasting(9000, 10), true
	case strings.HasPrefix(r.Model, "sim "):
		return simulated(r, n)
	}
	return "", Scenario{}, false
}

// simulated are the rows that were simulations themselves: 2 classes on 10 seats.
func simulated(r erlangtest.Row, n []float64) (string, Scenario, bool) {
	order, targets := "strict", map[routing.Tier]int64{}
	a1, c3 := routing.TierA1, routing.TierC
	switch {
	case strings.Contains(r.Model, "fcfs"):
		order, targets = "deadline", map[routing.Tier]int64{a1: 30000, c3: 30000}
	case strings.Contains(r.Model, "apq"):
		order, targets = "ratio", map[routing.Tier]int64{a1: 10000, c3: 50000}
	case strings.Contains(r.Model, "offset"), strings.Contains(r.Model, "90s"):
		order, targets = "deadline", map[routing.Tier]int64{a1: 10000, c3: 100000}
	case strings.Contains(r.Model, "30s"):
		order, targets = "deadline", map[routing.Tier]int64{a1: 10000, c3: 40000}
	}
	cls := func(rate float64, tier routing.Tier) Class {
		c := Class{PerHour: rate, Service: Exponential{180}, Tier: tier}
		if len(n) > 3 {
			c.Patience = Exponential{n[3]}
		}
		return c
	}
	return fmt.Sprint(order, targets, r.Inputs), pool(10, order, targets, cls(n[0], a1), cls(n[1], c3)).lasting(9000, 10), true
}

// figureOf picks the row's quantity; false when the simulator has no such figure.
func figureOf(r erlangtest.Row, rep *Report) (Estimate, bool) {
	f := rep.All
	for i := range rep.Classes {
		if strings.Contains(r.Quantity, fmt.Sprintf("class %d", i+1)) {
			f = rep.Classes[i]
		}
	}
	switch {
	case strings.Contains(r.Quantity, "VIP"):
		f = rep.Classes[0]
	case strings.Contains(r.Quantity, "STD"):
		f = rep.Classes[1]
	}
	scaled := func(e Estimate, by float64) (Estimate, bool) {
		return Estimate{Mean: e.Mean * by, SE: e.SE * math.Abs(by), HalfWidth: e.HalfWidth * math.Abs(by)}, true
	}
	inUnits := strings.HasPrefix(r.Model, "M/") && strings.Contains(r.Model, "/100/")
	times := 1.0
	if inUnits {
		times = 1 / unit
	}
	q := r.Quantity
	switch {
	case q == "pw0" || q == "P(W=0)":
		return Estimate{Mean: 1 - f.PWait.Mean, SE: f.PWait.SE}, true
	case q == "pa" || q == "P(A)" || q == "P(abandon)" || strings.Contains(q, "P(A)"):
		return f.PAbandon, true
	case q == "eq" || q == "E[Q]":
		return rep.Waiting, true
	case q == "ew_s" || q == "E[W|S]" || strings.HasPrefix(q, "ASA"):
		return scaled(f.ASA, times)
	case strings.HasPrefix(q, "E[W]"):
		return scaled(f.Mean, times)
	case q == "occupancy":
		return rep.Occupancy, true
	case strings.HasPrefix(q, "SL20 abandons count against"):
		return f.Neg, true
	case strings.HasPrefix(q, "SL20 abandons<=T ignored"):
		return f.Ign, true
	case strings.HasPrefix(q, "SL20 abandons<=T count"):
		return f.Pos, true
	case strings.HasPrefix(q, "SL20 answered only"):
		return f.Ans, true
	case strings.HasPrefix(q, "slS_") || strings.HasPrefix(q, "P(W<="):
		return rep.within(numbers(q)[0] * unit), true
	case strings.HasPrefix(q, "Wq") && strings.HasSuffix(q, "(h)"):
		return scaled(f.ASA, 1.0/3600)
	case strings.HasPrefix(q, "Wq"):
		return f.ASA, true
	}
	return Estimate{}, false
}

// within is the share of the answered calls that waited at most so many seconds.
func (rep *Report) within(limit float64) Estimate {
	var vs []float64
	for _, r := range rep.results {
		in, all := 0.0, 0.0
		for i := range r.classes {
			for _, w := range r.classes[i].waits {
				all++
				if w <= limit {
					in++
				}
			}
		}
		vs = append(vs, in/all)
	}
	return estimate(vs)
}

// Every row the simulator can express comes out within the bound of the data's
// own description: |difference| <= 4·sqrt(own se² + (half width/1.96)²). The
// seeds were fixed before the first look.
func TestSimulatorMeetsTheTruth(t *testing.T) {
	reports := map[string]*Report{}
	rows, models := 0, map[string]bool{}
	for _, r := range erlangtest.Rows(t, "../erlang/testdata/queueing-truth.csv") {
		name, sc, ok := scenarioOf(r)
		if !ok {
			continue
		}
		rep := reports[name]
		if rep == nil {
			var err error
			if rep, err = Run(context.Background(), sc, nil); err != nil {
				t.Fatal(err)
			}
			reports[name] = rep
		}
		got, ok := figureOf(r, rep)
		if !ok {
			continue // variances: the report has none
		}
		rows++
		models[r.Model] = true
		// A row with the printed digits only is known to half of the last one.
		bound := 4 * math.Sqrt(got.SE*got.SE+r.HalfWidth/1.96*r.HalfWidth/1.96)
		if diff := math.Abs(got.Mean - r.Value); diff > bound {
			t.Errorf("%s %s %s: %.5g ± %.2g, want %.5g (off by %.2g, bound %.2g)", r.ID, r.Inputs, r.Quantity, got.Mean, got.SE, r.Value, diff, bound)
		}
	}
	t.Logf("%d rows of %d models, %d scenarios", rows, len(models), len(reports))
	if rows < 90 {
		t.Errorf("only %d rows were expressed", rows)
	}
}
