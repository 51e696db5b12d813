package sound

import (
	"math"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %.4f, want %.4f", what, got, want)
	}
}

// What G.107 publishes: R and MOS of the default values, and MOS of round ratings (table B.1).
func TestEModelPublishedValues(t *testing.T) {
	near(t, "default R", Path{}.Rating(), 93.2, 0.05)
	near(t, "default MOS", Path{}.MOS(), 4.41, 0.005)
	near(t, "signal to noise", signalToNoise(), 94.77, 0.01)
	near(t, "simultaneous impairments", simultaneous(signalToNoise(), 0), 1.41, 0.01)
	for r, want := range map[float64]float64{90: 4.34, 80: 4.03, 70: 3.60, 60: 3.10, 50: 2.58} {
		near(t, "MOS", MOS(r), want, 0.01)
	}
	for r, want := range map[float64]float64{-5: 1, 0: 1, 3: 1, 100: 4.5, 130: 4.5} {
		near(t, "MOS", MOS(r), want, 0)
	}
}

func TestEModelLoss(t *testing.T) {
	codec := func(c Codec, loss, burst float64) float64 {
		return Path{Loss: loss, Burst: burst, Codec: c}.equipment()
	}
	near(t, "1 % without concealment", codec(G711Bare, 0.01, 1), 95/5.3, 1e-9)
	near(t, "1 % with concealment", codec(G711, 0.01, 1), 95/26.1, 1e-9)
	near(t, "5 % in bursts of two", codec(G711, 0.05, 2), 95*5/27.6, 1e-9)
	near(t, "all lost", codec(G711, 1, 1), 95*100/125.1, 1e-9)
	near(t, "too much", codec(G711, 7, 0), 95*100/125.1, 1e-9)
}

// Delay costs nearly nothing below 100 ms, and more with each step. Idd is its own part.
func TestEModelDelay(t *testing.T) {
	for ms, want := range map[float64]float64{0: 0, 100: 0, 200: 3.04, 400: 24.07} {
		near(t, "Idd", tooLong(ms), want, 0.01)
	}
	// TERV = 65 - 40 lg(11/1.6667) = 32.22, Re = 125.55, Roe = 94.77; rooted as in (7-19).
	near(t, "Idte at 100 ms", talkerEcho(100), 1.97, 0.02)
	last := 94.0
	for ms := 0; ms <= 2000; ms += 10 {
		r := Path{Delay: time.Duration(ms) * time.Millisecond}.Rating()
		if r > last {
			t.Errorf("R rises from %.2f to %.2f at %d ms", last, r, ms)
		}
		if last = r; ms == 50 && r < 91 || ms == 150 && r < 88 || ms == 400 && r > 75 {
			t.Errorf("R is %.1f at %d ms", r, ms)
		}
	}
	near(t, "before the call", Path{Delay: -time.Second}.Rating(), 93.2, 0.05)
}

// Random losses have a burst ratio of 1; a Gilbert channel has 1/(p+q).
func TestBurstRatio(t *testing.T) {
	next := lcg()
	share := func() float64 { return float64(next()) / (1 << 32) }
	const packets = 400000
	ratio := func(lost func(before bool) bool) float64 {
		all, runs, within := 0, 0, false
		for range packets {
			l := lost(within)
			if l {
				all++
			}
			if l && !within {
				runs++
			}
			within = l
		}
		return BurstRatio(packets, uint64(all), uint64(runs))
	}
	for _, p := range []float64{0.01, 0.03, 0.1} {
		const q = 0.25
		near(t, "random", ratio(func(bool) bool { return share() < p }), 1, 0.05)
		near(t, "Gilbert", ratio(func(before bool) bool { return before && share() >= q || !before && share() < p }), 1/(p+q), 0.1/(p+q))
	}
	near(t, "nothing", BurstRatio(0, 0, 0), 1, 0)
	near(t, "everything", BurstRatio(10, 10, 1), 1, 0)
	near(t, "a run of five in twenty", BurstRatio(20, 5, 1), 3.75, 0)
}
