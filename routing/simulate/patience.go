package simulate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Wait is how long one caller waited, and whether that was the end of the
// caller's patience. For one who was answered the patience is only known to be
// longer: the observation is censored.
type Wait struct {
	Seconds float64
	GaveUp  bool
}

// KaplanMeier is the distribution of patience estimated from censored waits by
// the product-limit estimator (Kaplan and Meier 1958). Beyond the last caller who
// gave up it falls exponentially, at the mean rate of all giving up.
type KaplanMeier struct {
	times    []float64 // at which callers gave up
	survival []float64 // right after
	rate     float64   // of giving up, per second of waiting
}

// NewKaplanMeier estimates the patience. Without anybody who gave up nobody ever
// does.
func NewKaplanMeier(waits []Wait) *KaplanMeier {
	ws := slices.Clone(waits)
	// At equal times those who gave up come first: the others were still there.
	slices.SortFunc(ws, func(a, b Wait) int {
		gone := func(w Wait) int {
			if w.GaveUp {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(gone(a), gone(b)))
	})
	k := &KaplanMeier{}
	s, exposure, gave := 1.0, 0.0, 0.0
	for i := 0; i < len(ws); {
		at, deaths, risk := ws[i].Seconds, 0.0, float64(len(ws)-i)
		for ; i < len(ws) && ws[i].Seconds == at; i++ {
			exposure += at
			if ws[i].GaveUp {
				deaths++
			}
		}
		if deaths > 0 {
			gave += deaths
			s *= 1 - deaths/risk
			k.times, k.survival = append(k.times, at), append(k.survival, s)
		}
	}
	if exposure > 0 {
		k.rate = gave / exposure
	}
	return k
}

// Survival is the share of callers whose patience is longer than t seconds.
func (k *KaplanMeier) Survival(t float64) float64 {
	i, found := slices.BinarySearch(k.times, t)
	if found {
		i++
	}
	switch {
	case len(k.times) == 0:
		return math.Exp(-k.rate * t)
	case i == 0:
		return 1
	case i == len(k.times):
		return k.survival[i-1] * math.Exp(-k.rate*(t-k.times[i-1]))
	}
	return k.survival[i-1]
}

// After draws the patience of a caller who is known to have waited so long.
func (k *KaplanMeier) After(waited float64, r *rand.Rand) float64 {
	level := k.Survival(waited) * r.Float64()
	// The first time at which no more than level is left.
	i, _ := slices.BinarySearchFunc(k.survival, level, func(s, l float64) int { return -cmp.Compare(s, l) })
	if i < len(k.times) {
		return math.Max(waited, k.times[i])
	}
	if k.rate == 0 {
		return math.Inf(1)
	}
	last, left := 0.0, 1.0
	if n := len(k.times); n > 0 {
		last, left = k.times[n-1], k.survival[n-1]
	}
	if left == 0 || level == 0 {
		return math.Max(waited, last)
	}
	return math.Max(waited, last+math.Log(left/level)/k.rate)
}

// Draw implements Dist.
func (k *KaplanMeier) Draw(r *rand.Rand) float64 { return k.After(0, r) }

// Mean implements Dist: the area under the survival.
func (k *KaplanMeier) Mean() float64 {
	if k.rate == 0 {
		return math.Inf(1)
	}
	sum, last, s := 0.0, 0.0, 1.0
	for i, t := range k.times {
		sum += s * (t - last)
		last, s = t, k.survival[i]
	}
	return sum + s/k.rate
}
