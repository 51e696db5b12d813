package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Dist is a distribution of times in seconds.
type Dist interface {
	// Draw gives one time, 0 or more.
	Draw(r *rand.Rand) float64
	// Mean is the expected time; +Inf for Never.
	Mean() float64
}

// Exponential is the distribution without memory, with mean M.
type Exponential struct{ M float64 }

// Draw implements Dist.
func (d Exponential) Draw(r *rand.Rand) float64 { return d.M * r.ExpFloat64() }

// Mean implements Dist.
func (d Exponential) Mean() float64 { return d.M }

// Constant is always the same time.
type Constant float64

// Draw implements Dist.
func (d Constant) Draw(*rand.Rand) float64 { return float64(d) }

// Mean implements Dist.
func (d Constant) Mean() float64 { return float64(d) }

// Never is a patience without end.
var Never Dist = Constant(math.Inf(1))

// Erlang is the sum of K exponential phases, with mean M together.
type Erlang struct {
	K int
	M float64
}

// Draw implements Dist.
func (d Erlang) Draw(r *rand.Rand) float64 {
	sum := 0.0
	for range d.K {
		sum += r.ExpFloat64()
	}
	return d.M / float64(d.K) * sum
}

// Mean implements Dist.
func (d Erlang) Mean() float64 { return d.M }

// Lognormal has mean M and squared coefficient of variation SCV (variance over
// squared mean), the usual shape of handling times.
type Lognormal struct{ M, SCV float64 }

// Draw implements Dist.
func (d Lognormal) Draw(r *rand.Rand) float64 {
	s2 := math.Log1p(d.SCV)
	return d.M * math.Exp(math.Sqrt(s2)*r.NormFloat64()-s2/2)
}

// Mean implements Dist.
func (d Lognormal) Mean() float64 { return d.M }

// Empirical draws one of the times it was given.
type Empirical struct{ times []float64 }

// NewEmpirical keeps a sorted copy of the times, of which there must be one.
func NewEmpirical(times []float64) (*Empirical, error) {
	if len(times) == 0 {
		return nil, fmt.Errorf("an empirical distribution needs at least one time")
	}
	e := &Empirical{times: slices.Sorted(slices.Values(times))}
	if !(e.times[0] >= 0) {
		return nil, fmt.Errorf("a time of %v s is negative or no number", e.times[0])
	}
	return e, nil
}

// Draw implements Dist.
func (e *Empirical) Draw(r *rand.Rand) float64 { return e.times[r.IntN(len(e.times))] }

// Mean implements Dist.
func (e *Empirical) Mean() float64 {
	sum := 0.0
	for _, t := range e.times {
		sum += t
	}
	return sum / float64(len(e.times))
}
