// Package erlang computes the classic queues of a call centre from their
// formulas: Erlang B, C and A, priorities, accumulating priority, and the wait
// that a caller with so many ahead must expect.
//
// All rates are per second and all times in seconds. Arrivals are Poisson,
// service and patience exponential. Sums run over positive terms only and start
// at the largest one, so results hold some eleven digits up to tens of
// thousands of seats.
package erlang

import (
	"errors"
	"fmt"
	"math"
)

// Load describes one class of callers.
type Load struct {
	Rate     float64 // arrivals per second, more than 0
	Service  float64 // mean handling time in seconds, more than 0
	Patience float64 // mean patience in seconds; +Inf or 0: nobody gives up
}

// Offered is the offered load in erlangs.
func (l Load) Offered() float64 { return l.Rate * l.Service }

func (l Load) check(seats int) error {
	switch {
	case !(l.Rate > 0) || math.IsInf(l.Rate, 0):
		return fmt.Errorf("the arrival rate is %v, it must be more than 0", l.Rate)
	case !(l.Service > 0) || math.IsInf(l.Service, 0):
		return fmt.Errorf("the handling time is %v s, it must be more than 0", l.Service)
	case l.Patience < 0 || math.IsNaN(l.Patience):
		return fmt.Errorf("the patience is %v s, it must not be negative", l.Patience)
	case seats < 1:
		return fmt.Errorf("%d seats, there must be one at least", seats)
	}
	return nil
}

// ErrUnstable says that without impatience the queue grows without end.
var ErrUnstable = errors.New("more work arrives than the seats can do, and nobody gives up: the queue grows for ever")

// ServiceLevel is the share of calls served within T, in its four forms; a and b
// are the calls answered and abandoned within T.
type ServiceLevel struct {
	Neg float64 `json:"neg"` // a / offered
	Ign float64 `json:"ign"` // a / (offered - b)
	Pos float64 `json:"pos"` // (a + b) / offered
	Ans float64 `json:"ans"` // a / answered
}

// B is Erlang's loss formula: the probability that all servers are busy when
// callers who find them so go away (M/M/n/n).
func B(offered float64, servers int) float64 {
	// The inverse grows by positive terms: 1/B(n) = 1 + n/A · 1/B(n-1).
	inv := 1.0
	for n := 1; n <= servers; n++ {
		inv = 1 + float64(n)/offered*inv
		if math.IsInf(inv, 1) {
			return 0
		}
	}
	return 1 / inv
}

// ServersB is the fewest servers that keep Erlang B's blocking at or below
// target (0 < target < 1).
func ServersB(offered, target float64) int {
	inv := 1.0
	for n := 0; ; n++ {
		if n > 0 {
			inv = 1 + float64(n)/offered*inv
		}
		if 1/inv <= target {
			return n
		}
	}
}

// Wait is what a queueing model says of the wait.
type Wait struct {
	PWait     float64 // probability of having to wait
	PAbandon  float64 // probability of giving up
	ASA       float64 // mean wait of those who are answered
	Mean      float64 // mean wait of all
	Queue     float64 // mean number waiting
	Occupancy float64 // share of time that a seat is busy
}

// C is the Erlang C queue (M/M/n): nobody gives up. It returns ErrUnstable when
// the offered load is not less than the number of seats.
type C struct {
	Wait
	seats int
	load  Load
}

// NewC computes an Erlang C queue.
func NewC(l Load, seats int) (*C, error) {
	if err := l.check(seats); err != nil {
		return nil, err
	}
	a := l.Offered()
	if a >= float64(seats) {
		return nil, ErrUnstable
	}
	b := B(a, seats)
	rho := a / float64(seats)
	pw := b / (1 - rho*(1-b))
	asa := pw * l.Service / (float64(seats) - a)
	return &C{Wait: Wait{PWait: pw, ASA: asa, Mean: asa, Queue: l.Rate * asa, Occupancy: rho}, seats: seats, load: l}, nil
}

// ServiceLevel is the share answered within t; all forms agree, as nobody gives up.
func (c *C) ServiceLevel(t float64) ServiceLevel {
	sl := 1 - c.PWait*math.Exp(-(float64(c.seats)-c.load.Offered())*t/c.load.Service)
	return ServiceLevel{sl, sl, sl, sl}
}

// Model is a queue that has been computed.
type Model interface {
	ServiceLevel(t float64) ServiceLevel
	Waits() Wait
}

// Waits returns the figures.
func (c *C) Waits() Wait { return c.Wait }

// Seats is the fewest seats with which goal of the calls (0 < goal < 1) are
// answered within t, in the form neg: the model is Erlang A where the load has a
// patience, else Erlang C. It returns the model at that number.
func Seats(l Load, t, goal float64) (int, Model, error) {
	if err := l.check(1); err != nil {
		return 0, nil, err
	}
	if !(goal > 0 && goal < 1) {
		return 0, nil, fmt.Errorf("the goal is %v, it must be between 0 and 1", goal)
	}
	if t < 0 || math.IsNaN(t) {
		return 0, nil, fmt.Errorf("the target is %v s, it must not be negative", t)
	}
	at := func(n int) Model {
		if m, err := New(l, n); err == nil {
			return m
		}
		return nil // unstable: too few
	}
	good := func(n int) bool { m := at(n); return m != nil && m.ServiceLevel(t).Neg >= goal }
	hi := max(1, int(l.Offered()))
	for !good(hi) {
		hi *= 2
		if hi > 1<<22 {
			return 0, nil, errors.New("not even four million seats reach the goal")
		}
	}
	lo := 0 // not good
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; good(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi, at(hi), nil
}

// New computes Erlang A where the load has a patience, else Erlang C.
func New(l Load, seats int) (Model, error) {
	if l.Patience == 0 || math.IsInf(l.Patience, 1) {
		return NewC(l, seats)
	}
	return NewA(l, seats)
}
