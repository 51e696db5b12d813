package recording

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hotline/media"
)

// paced is ten minutes of a stream whose clock runs so many millionths too fast, packets coming up to so much late: what is
// kept, and how far each second's first sample was from where the clock has it, at most.
func paced(ppm float64, jitter time.Duration) (kept []byte, least, most int) {
	r, tl := rand.New(rand.NewPCG(1, 2)), newTimeline(ALaw, new(scratch))
	quiet, loud := media.EncodeALaw(1000), media.EncodeALaw(10000)
	least, most = rate, -rate
	var out []byte
	for n := range 30000 {
		sent := time.Duration(float64(n) * 20e6 / (1 + ppm*1e-6))
		payload := bytes.Repeat([]byte{quiet}, 160)
		if n%50 == 0 {
			payload[80] = loud
		}
		late := time.Duration(0)
		if n > 0 && jitter > 0 {
			late = time.Duration(r.Int64N(int64(jitter)))
		}
		out = tl.add(out, 0, &packet{at: sent + late, ts: uint32(n * 160), codec: media.PCMA, payload: payload})
	}
	for i := 0; i < len(out); i += 2 {
		kept = append(kept, out[i])
	}
	for second := 1; second < 590; second++ {
		want := int(float64(second*rate)/(1+ppm*1e-6)) + 80
		at := slices.Index(kept[want-rate/4:want+rate/4], loud) - rate/4
		least, most = min(least, at), max(most, at)
	}
	return kept, least, most
}

// Sound stays where it was said though the phone's clock is off, and where it isn't no jitter moves a sample.
func TestDriftIsFollowed(t *testing.T) {
	for _, ppm := range []float64{0, 100, -100, 500, -500} {
		for _, jitter := range []time.Duration{0, 50 * time.Millisecond} {
			kept, least, most := paced(ppm, jitter)
			t.Logf("%+v ppm, %v of jitter: %d to %d samples off", ppm, jitter, least, most)
			if slices.Contains(kept[:590*rate/2], media.EncodeALaw(0)) {
				t.Errorf("%+v ppm, %v of jitter: a hole", ppm, jitter)
			}
			span := 25 * rate / 1000 // the slack, what gathers within a window or two, and the quickest packets' own jitter
			if ppm == 0 {
				span = 0
			}
			if most-least > span {
				t.Errorf("%+v ppm, %v of jitter: %d to %d samples off", ppm, jitter, least, most)
			}
		}
	}
}
