package erlang

import (
	"errors"
	"math"
)

// Priority is the mean wait of each class in a queue with non-preemptive
// priorities, the first class the highest (Cobham 1954): all classes share the
// handling time, nobody gives up.
func Priority(rates []float64, service float64, seats int) ([]float64, error) {
	total := 0.0
	for _, r := range rates {
		total += r
	}
	c, err := NewC(Load{Rate: total, Service: service}, seats)
	if err != nil {
		return nil, err
	}
	// The work of one mean service of all seats, found with probability PWait.
	base := c.PWait * service / float64(seats)
	waits := make([]float64, len(rates))
	above := 0.0 // load of this class and those above, per seat
	for i, r := range rates {
		upTo := above + r*service/float64(seats)
		waits[i] = base / ((1 - above) * (1 - upTo))
		above = upTo
	}
	return waits, nil
}

// Accumulating is the mean wait of each class when a caller's priority grows
// with the wait, by slopes[i] per second, and the highest is served first
// (Kleinrock 1964; with several seats and one handling time the same relations
// hold). Slopes must be more than 0.
func Accumulating(rates, slopes []float64, service float64, seats int) ([]float64, error) {
	if len(rates) != len(slopes) {
		return nil, errors.New("each class needs a rate and a slope")
	}
	total := 0.0
	for i, r := range rates {
		total += r
		if !(slopes[i] > 0) {
			return nil, errors.New("slopes must be more than 0")
		}
	}
	c, err := NewC(Load{Rate: total, Service: service}, seats)
	if err != nil {
		return nil, err
	}
	waits := make([]float64, len(rates))
	done := make([]bool, len(rates))
	for range rates {
		p := lowest(slopes, done)
		num, den := c.Mean, 1.0
		for i, r := range rates {
			load := r * service / float64(seats)
			switch {
			case slopes[i] < slopes[p]:
				num -= load * waits[i] * (1 - slopes[i]/slopes[p])
			case slopes[i] > slopes[p]:
				den -= load * (1 - slopes[p]/slopes[i])
			}
		}
		waits[p] = num / den
		done[p] = true
	}
	return waits, nil
}

// lowest is the class with the smallest slope that isn't done.
func lowest(slopes []float64, done []bool) int {
	best := -1
	for i, s := range slopes {
		if !done[i] && (best < 0 || s < slopes[best]) {
			best = i
		}
	}
	return best
}

// Expected is the mean and the standard deviation of the wait of a caller who
// finds all seats busy and so many waiting ahead; those ahead may give up, the
// caller doesn't (Whitt 1999). The deviation is what no estimate can take away.
func Expected(ahead, seats int, service, patience float64) (mean, deviation float64) {
	mu, theta := float64(seats)/service, 0.0
	if patience > 0 && !math.IsInf(patience, 1) {
		theta = 1 / patience
	}
	variance := 0.0
	for i := range ahead + 1 {
		r := mu + float64(i)*theta
		mean += 1 / r
		variance += 1 / (r * r)
	}
	return mean, math.Sqrt(variance)
}
