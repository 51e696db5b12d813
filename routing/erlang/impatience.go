package erlang

import (
	"errors"
	"math"
)

// A is the Erlang A queue (M/M/n+M): callers give up after an exponential time
// (Palm 1957; Garnett, Mandelbaum, Reiman 2002). It is stable at any load.
type A struct {
	Wait
	// Moments beyond the means, in the units of Load.
	VarQueue     float64 // variance of the number waiting
	InSystem     float64 // mean number waiting or served
	MeanLeft     float64 // mean wait of those who give up
	VarASA       float64 // variance of the wait of those answered
	VarLeft      float64 // variance of the wait of those who give up
	mu, theta    float64 // rates of all seats together, and of giving up
	pServed      float64
	queueing     []float64 // probability of k waiting ahead, all seats busy
	pImmediately float64
}

// maxWaiting bounds the states that are summed; reaching it is an error.
const maxWaiting = 20_000_000

// NewA computes an Erlang A queue. Patience must be finite and more than 0.
func NewA(l Load, seats int) (*A, error) {
	if err := l.check(seats); err != nil {
		return nil, err
	}
	if l.Patience == 0 || math.IsInf(l.Patience, 1) {
		return nil, errors.New("a queue of impatient callers needs their patience; without one use Erlang C")
	}
	q := &A{mu: float64(seats) / l.Service, theta: 1 / l.Patience}
	if err := q.states(l, seats); err != nil {
		return nil, err
	}
	q.moments(l, seats)
	return q, nil
}

// states computes the probabilities by the balance of neighbouring states,
// relative to that of n busy seats and nobody waiting.
func (q *A) states(l Load, seats int) error {
	// Below: p(n-1)/p(n) = n·µ/λ, and so on; together 1/B - 1.
	below := 1/B(l.Offered(), seats) - 1
	total := below + 1
	terms := []float64{1}
	for p, k := 1.0, 1; ; k++ {
		p *= l.Rate / (q.mu + float64(k)*q.theta)
		terms = append(terms, p)
		total += p
		// Beyond the peak the terms fall faster than a geometric series.
		if r := l.Rate / (q.mu + float64(k+1)*q.theta); r < 1 && p*r/(1-r) < 1e-18*total {
			break
		}
		if math.IsInf(total, 1) || k > maxWaiting {
			return errors.New("the queue is too long to be computed: patience is very long for this load")
		}
	}
	if math.IsInf(total, 1) {
		// Nearly nobody waits: the seats far exceed the load.
		q.pImmediately, q.queueing = 1, []float64{0}
		return nil
	}
	for k := range terms {
		terms[k] /= total
	}
	q.queueing = terms
	q.pImmediately = below / total
	return nil
}

// moments sums over the number k that a caller finds waiting. The wait of a
// caller who would not give up is the sum of exponential times with the rates
// n·µ + i·θ, i = 0..k; weighted by the chance of still being there, exp(-θV), the
// rates become n·µ + (i+1)·θ.
func (q *A) moments(l Load, seats int) {
	var eq, eq2, served, sv, sv2, all, all2 float64
	var s1, s2 float64 // sums of 1/r and 1/r² over i <= k
	for k, p := range q.queueing {
		eq += float64(k) * p
		eq2 += float64(k) * float64(k) * p
		r := q.mu + float64(k+1)*q.theta
		s1 += 1 / r
		s2 += 1 / (r * r)
		ps := q.mu / r // answered, having found k waiting
		v1 := ps * s1
		v2 := ps * (s1*s1 + s2)
		served += p * ps
		sv += p * v1
		sv2 += p * v2
		all += p * (1 - ps) / q.theta
		all2 += p * 2 / (q.theta * q.theta) * (1 - ps - q.theta*v1)
	}
	q.PWait = 1 - q.pImmediately
	q.pServed = q.pImmediately + served
	q.Queue, q.VarQueue = eq, eq2-eq*eq
	q.PAbandon = q.theta * eq / l.Rate
	q.Mean = eq / l.Rate
	q.Occupancy = l.Offered() * (1 - q.PAbandon) / float64(seats)
	q.InSystem = eq + q.Occupancy*float64(seats)
	q.ASA = sv / q.pServed
	q.VarASA = sv2/q.pServed - q.ASA*q.ASA
	if q.PAbandon > 0 {
		q.MeanLeft = (all - sv) / q.PAbandon
		q.VarLeft = (all2-sv2)/q.PAbandon - q.MeanLeft*q.MeanLeft
	}
}

// Waits returns the figures.
func (q *A) Waits() Wait { return q.Wait }

// within is the probability of being answered, and of giving up, within t.
//
// exp(-θV) of a sum of exponential times with rates (m+1)θ..(m+n)θ has the
// distribution Beta(m+1, n); its incomplete function grows with n by positive
// terms: I(x; a, n+1) = I(x; a, n) + x^a (1-x)^n a(a+1)..(a+n-1)/n!.
func (q *A) within(t float64) (answered, left float64) {
	x := math.Exp(-q.theta * t)
	m := q.mu / q.theta
	tailS, tailV := newBetaTail(x, m+1), newBetaTail(x, m)
	answered = q.pImmediately
	for k, p := range q.queueing {
		ps := q.mu / (q.mu + float64(k+1)*q.theta)
		lateS := ps * tailS.next() // answered later than t
		late := x * tailV.next()   // still waiting at t
		answered += p * (ps - lateS)
		left += p * math.Max(0, (1-ps)-(late-lateS))
	}
	return answered, left
}

// betaTail gives I(x; a, n) for n = 1, 2, ...
type betaTail struct{ x, a, sum, term, n float64 }

func newBetaTail(x, a float64) *betaTail {
	return &betaTail{x: x, a: a, term: math.Pow(x, a), n: 0}
}

func (b *betaTail) next() float64 {
	b.sum += b.term
	b.n++
	b.term *= (1 - b.x) * (b.a + b.n - 1) / b.n
	return math.Min(1, b.sum)
}

// ServiceLevel is the share served within t seconds, in its four forms.
func (q *A) ServiceLevel(t float64) ServiceLevel {
	a, b := q.within(t)
	return ServiceLevel{Neg: a, Ign: a / (1 - b), Pos: a + b, Ans: a / q.pServed}
}

// LevelLeft is the share of those who give up that do so within t.
func (q *A) LevelLeft(t float64) float64 {
	_, b := q.within(t)
	return b / q.PAbandon
}
