// Package simulate runs the routing core in virtual time: the same Apply as in
// production, fed by callers and agents who are drawn by lot. A day of traffic
// takes seconds.
//
// A [Scenario] says who calls, how long calls take and how long callers wait. Run
// repeats it with other random numbers and says what to expect and how sure that
// is. The same scenario and seed give the same figures; two scenarios that share
// their classes meet the same callers (common random numbers), so that their
// difference is sharper than either.
package simulate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"hotline/routing"
)

// Class is one kind of caller.
type Class struct {
	Name  string
	Tier  routing.Tier
	Queue routing.QueueID
	// PerHour is the rate of arrivals, a Poisson process. Profile multiplies it by
	// hour of the day (24 numbers); empty means the same all day.
	PerHour float64
	Profile []float64
	// Service is the talk, Patience how long a caller waits before giving up.
	Service, Patience Dist
	// WrapUp is the work after the talk. When one class has it, those without have the
	// constant of their queue; when none has, each queue's own counts.
	WrapUp Dist
	// Customer facts that routing looks at.
	Manager  routing.AgentID
	Team     string
	Language string
	// Redial is the probability that a caller who gave up calls again after
	// RedialAfter, as somebody new.
	Redial      float64
	RedialAfter Dist
}

// Arrival is one call of a file, in place of drawn ones.
type Arrival struct {
	At       time.Duration // from the start
	Class    int           // whose tier, queue and customer facts it has
	Service  time.Duration
	Patience time.Duration // negative: never gives up
	// Offers are how agents take the first offers of the call; those after go by the
	// scenario.
	Offers []Ringing
	// Model, where set, draws what isn't known: it is asked once in each
	// replication and gives service and patience in seconds.
	Model func(r *rand.Rand) (service, patience float64)
}

// Shift is when a seat is staffed; a seat without any is staffed all the time.
type Shift struct {
	Seat     routing.SeatID
	From, To time.Duration
}

// Scenario is what is simulated.
type Scenario struct {
	Policy  routing.Policy
	Classes []Class
	// Calls, when there are any, replace the drawn arrivals; Recorded, when set,
	// is where they are from, and its seat events are played, too.
	Calls    []Arrival
	Recorded *Recorded
	// Ring is how long agents let it ring; nil answers at once.
	Ring Dist
	// Offers, when there are any, replace Ring: each offer goes like one of them.
	Offers []Ringing
	Shifts []Shift
	// Length of each replication, of which WarmUp isn't counted. Start is the
	// time of the day at its begin, for profiles.
	Length, WarmUp, Start time.Duration
	// Replications, each with random numbers of its own; 0 means 10.
	Replications int
	Seed         uint64
	// Target within which a call should be answered, for the service levels; by
	// default each tier's own in the policy.
	Target time.Duration
}

func (s *Scenario) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := s.Policy.Validate(); err != nil {
		bad("policy: %w", err)
	}
	if len(s.Classes) == 0 {
		bad("no class of callers")
	}
	for _, c := range s.Classes {
		if len(s.Calls) == 0 && !(c.PerHour >= 0 && c.PerHour < 1e9) {
			bad("class %s: per_hour is %v; use 0 to 1e9", c.Name, c.PerHour)
		}
		if len(c.Profile) != 0 && len(c.Profile) != 24 {
			bad("class %s: the profile has %d numbers; it needs 24, one per hour", c.Name, len(c.Profile))
		}
		for _, p := range c.Profile {
			if !(p >= 0) || math.IsInf(p, 0) {
				bad("class %s: the profile holds %v; use numbers of 0 or more", c.Name, p)
			}
		}
		if len(s.Calls) == 0 && (c.Service == nil || c.Patience == nil) {
			bad("class %s needs service and patience", c.Name)
		}
		if !(c.Redial >= 0 && c.Redial < 1) {
			bad("class %s: redial is %v; use 0 to less than 1", c.Name, c.Redial)
		}
		if c.Redial > 0 && c.RedialAfter == nil {
			bad("class %s: redial needs a time after which callers call again", c.Name)
		}
	}
	for i, a := range s.Calls {
		if a.Class < 0 || a.Class >= len(s.Classes) || a.At < 0 || a.Service < 0 || i > 0 && a.At < s.Calls[i-1].At {
			bad("call %d is out of order, or its class or times make no sense", i+1)
		}
	}
	if s.Length <= s.WarmUp || s.WarmUp < 0 {
		bad("the length (%v) must be more than the warm-up (%v)", s.Length, s.WarmUp)
	}
	return errors.Join(errs...)
}
