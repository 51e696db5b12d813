package erlang

import (
	"fmt"
	"hotline/routing/erlang/erlangtest"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var number = regexp.MustCompile(`[0-9]*\.?[0-9]+`)

// numbers are all numbers in a text, in order.
func numbers(s string) []float64 {
	var out []float64
	for _, m := range number.FindAllString(s, -1) {
		v, _ := strconv.ParseFloat(m, 64)
		out = append(out, v)
	}
	return out
}

// compute comes to the value of an exact row from its inputs; false when the row
// is none of this package's (E-model, simulations).
func compute(t *testing.T, r erlangtest.Row) (float64, bool) {
	t.Helper()
	n := numbers(r.Inputs)
	switch {
	case r.Model == "Erlang-B":
		return B(n[0], int(n[1])), true
	case r.Model == "Erlang-B dimensioning":
		return float64(ServersB(n[0], n[1]/100)), true
	case r.Model == "Erlang-C":
		return erlangC(t, r, n), true
	case r.Model == "staffing Erlang-C":
		seats, m, err := Seats(Load{Rate: n[0] / n[1], Service: n[1]}, n[3], n[2]/100)
		if err != nil {
			t.Fatal(err)
		}
		if r.Quantity == "min agents" {
			return float64(seats), true
		}
		return m.ServiceLevel(n[3]).Neg, true
	case strings.HasSuffix(r.Model, "+M") && strings.HasPrefix(r.Kind, "exact"):
		return erlangA(t, r, n), true
	case strings.HasPrefix(r.Model, "non-preemptive M/M/1"):
		w, err := Priority(n[:3], 1/n[3], 1)
		return pick(t, w, err, r.Quantity), true
	case strings.HasPrefix(r.Model, "non-preemptive M/M/c"):
		w, err := Priority([]float64{n[1] / 3600, n[2] / 3600}, n[3], int(n[0]))
		return pick(t, w, err, strings.NewReplacer("VIP", "class 1", "STD", "class 2").Replace(r.Quantity)), true
	case r.Model == "M/M/c FCFS":
		c, err := NewC(Load{Rate: (n[1] + n[2]) / 3600, Service: n[3]}, int(n[0]))
		if err != nil {
			t.Fatal(err)
		}
		return c.Mean, true
	case strings.HasPrefix(r.Model, "accumulating priority"):
		rates := n[:2]
		seats := 1
		if strings.HasSuffix(r.Model, "M/M/10") {
			seats = 10
			id := numbers(strings.TrimPrefix(r.ID, "APQ-10-")) // the printed rates are rounded
			rates = []float64{id[0] / 3600, id[1] / 3600}
		}
		w, err := Accumulating(rates, n[2:4], n[4], seats)
		return pick(t, w, err, r.Quantity), true
	case r.Model == "EWT QL estimator":
		patience := 0.0
		if len(n) == 4 {
			patience = n[3]
		}
		mean, sd := Expected(int(n[0]), int(n[1]), n[2], patience)
		if strings.HasPrefix(r.Quantity, "SD") {
			return sd, true
		}
		return mean, true
	}
	return 0, false
}

func pick(t *testing.T, waits []float64, err error, quantity string) float64 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range waits {
		if strings.Contains(quantity, fmt.Sprintf("class %d", i+1)) {
			return waits[i]
		}
	}
	t.Fatalf("which class is %q?", quantity)
	return 0
}

func erlangC(t *testing.T, r erlangtest.Row, n []float64) float64 {
	t.Helper()
	var l Load
	var seats int
	target := 0.0
	switch {
	case strings.HasPrefix(r.Inputs, "A="):
		l, seats = Load{Rate: n[0], Service: 1}, int(n[1])
	case strings.Contains(r.Inputs, "calls/"):
		l, seats = Load{Rate: n[0] / n[1], Service: n[2]}, int(n[3])
	case strings.Contains(r.Inputs, "/min"):
		l, seats = Load{Rate: n[0] / 60, Service: n[1]}, int(n[2])
	default:
		l, seats = Load{Rate: n[0], Service: n[1]}, int(n[2])
	}
	if strings.Contains(r.Inputs, "T=") {
		target = n[len(n)-1]
	}
	c, err := NewC(l, seats)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Quantity == "P(wait)":
		return c.PWait
	case strings.HasPrefix(r.Quantity, "ASA"):
		return c.ASA
	case r.Quantity == "occupancy":
		return c.Occupancy
	default:
		return c.ServiceLevel(target).Neg
	}
}

func erlangA(t *testing.T, r erlangtest.Row, n []float64) float64 {
	t.Helper()
	var l Load
	var seats int
	switch {
	case strings.Contains(r.Inputs, "theta"):
		l, seats = Load{Rate: n[0], Service: 1 / n[1], Patience: 1 / n[2]}, 100
	case strings.Contains(r.Inputs, "/min"):
		l, seats = Load{Rate: n[0] / 60, Service: n[1], Patience: n[2]}, 50
	default:
		l, seats = Load{Rate: n[0] / 3600, Service: n[1], Patience: n[2]}, int(n[3])
	}
	q, err := NewA(l, seats)
	if err != nil {
		t.Fatal(err)
	}
	served := func(limit float64) float64 { return q.ServiceLevel(limit).Ans }
	byName := map[string]func() float64{
		"pw0": func() float64 { return 1 - q.PWait }, "P(W=0)": func() float64 { return 1 - q.PWait },
		"pa": func() float64 { return q.PAbandon }, "P(abandon)": func() float64 { return q.PAbandon },
		"eq": func() float64 { return q.Queue }, "E[Q]": func() float64 { return q.Queue },
		"varq": func() float64 { return q.VarQueue }, "en": func() float64 { return q.InSystem },
		"ew_s": func() float64 { return q.ASA }, "ASA s (served only)": func() float64 { return q.ASA },
		"varw_s": func() float64 { return q.VarASA },
		"ew_a":   func() float64 { return q.MeanLeft }, "varw_a": func() float64 { return q.VarLeft },
		"slS_0.1": func() float64 { return served(0.1) }, "slS_0.2": func() float64 { return served(0.2) },
		"slA_0.1": func() float64 { return q.LevelLeft(0.1) }, "slA_0.2": func() float64 { return q.LevelLeft(0.2) },
		"E[W] s all": func() float64 { return q.Mean }, "E[W] s (all)": func() float64 { return q.Mean },
		"occupancy":                      func() float64 { return q.Occupancy },
		"SL20 abandons count against":    func() float64 { return q.ServiceLevel(20).Neg },
		"SL20 abandons<=T ignored":       func() float64 { return q.ServiceLevel(20).Ign },
		"SL20 abandons<=T count as good": func() float64 { return q.ServiceLevel(20).Pos },
		"SL20 answered only":             func() float64 { return served(20) },
	}
	f := byName[r.Quantity]
	if f == nil {
		t.Fatalf("%s: unknown quantity %q", r.ID, r.Quantity)
	}
	return f()
}

// Every exact queueing row comes out of the formula within a relative 1e-9.
func TestEveryExactRowOfTheTruth(t *testing.T) {
	checked := 0
	for _, r := range erlangtest.Rows(t, "testdata/queueing-truth.csv") {
		if !strings.HasPrefix(r.Kind, "exact") || strings.HasPrefix(r.Model, "E-model") {
			continue
		}
		got, ok := compute(t, r)
		if !ok {
			t.Errorf("%s: no formula for model %q", r.ID, r.Model)
			continue
		}
		checked++
		if diff := math.Abs(got-r.Value) / math.Abs(r.Value); !(diff <= 1e-9) {
			t.Errorf("%s %s %s: %.12g, want %.12g (relative %.2g)", r.ID, r.Inputs, r.Quantity, got, r.Value, diff)
		}
	}
	if checked < 130 {
		t.Errorf("only %d rows checked", checked)
	}
}

func TestLimitsOfTheModels(t *testing.T) {
	l := Load{Rate: 1, Service: 180, Patience: 1e9}
	a, err := NewA(l, 200)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := NewC(Load{Rate: 1, Service: 180}, 200)
	if math.Abs(a.PWait-c.PWait) > 1e-4 {
		t.Errorf("with endless patience Erlang A waits with %v, Erlang C with %v", a.PWait, c.PWait)
	}
	if _, err := NewC(Load{Rate: 1, Service: 180}, 180); err == nil {
		t.Error("an overloaded Erlang C has no answer")
	}
	big, err := NewA(Load{Rate: 100, Service: 100, Patience: 60}, 10000)
	if err != nil || !(big.PAbandon > 0.003 && big.PAbandon < 0.02) || math.IsNaN(big.ServiceLevel(20).Neg) {
		t.Errorf("10,000 seats: %+v %v", big, err)
	}
	idle, err := NewA(Load{Rate: 0.001, Service: 1, Patience: 10}, 5000)
	if err != nil || idle.PAbandon > 1e-12 || idle.ServiceLevel(0).Neg < 1-1e-12 {
		t.Errorf("nobody calls: %+v %v", idle, err)
	}
	for _, bad := range []Load{{Rate: 0, Service: 1}, {Rate: 1, Service: -1}, {Rate: math.NaN(), Service: 1}, {Rate: 1, Service: 1, Patience: -1}} {
		if _, err := New(bad, 1); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
