package probe

import (
	"math"
	"slices"
	"time"

	"hotline/media"
	"hotline/sound"
)

const (
	// mostDelay is how late an echo may come and still be found.
	mostDelay = 2 * time.Second

	// wander is how far, in samples, echoes of one call may lie apart: jitter buffers shift them.
	wander = rate / 50

	// resemblance is how much of what is heard must be the chirp, in amplitude: noise has 0.1.
	resemblance = 0.5

	frame    = rate / 50
	tonal    = 0.9  // share of the power that is the tone's, where it sounds alone
	faintest = 3e-4 // amplitude of a tone that is looked at: -64 dBm0
	toneRun  = 15   // frames in a row that make a tone
	noise    = -50  // dBov; what never gets louder is silence
	audible  = 5    // frames above noise that make sound
)

// amplitude is that of the reference tone in samples, and whether it sounds there alone.
func amplitude(pcm []int16) (float64, bool) {
	a := media.Goertzel(pcm, media.ReferenceHz, rate)
	all := math.Pow(10, sound.Level(pcm)/10)
	return a, a > faintest && a*a/2 > tonal*all
}

// toneLevel is the level of the reference tone in dBm0, found where it sounds longest.
func toneLevel(pcm []int16) (float64, bool) {
	var run, best []float64
	for i := 0; i+frame <= len(pcm); i += frame {
		a, ok := amplitude(pcm[i : i+frame])
		if !ok {
			run = nil
			continue
		}
		if run = append(run, a); len(run) > len(best) {
			best = run
		}
	}
	if len(best) < toneRun {
		return 0, false
	}
	return sound.DBm0(20 * math.Log10(median(best)/math.Sqrt2)), true
}

// activeLevel is the level in dBm0 of all that is louder than noise; false when nothing is.
func activeLevel(pcm []int16) (float64, bool) {
	var m sound.Meter
	for i := 0; i+frame <= len(pcm); i += frame {
		if f := pcm[i : i+frame]; sound.Level(f) > noise {
			m.Add(f)
		}
	}
	if m.Samples() < audible*frame {
		return 0, false
	}
	return sound.DBm0(m.Level()), true
}

// echo is what came back of the chirps.
type echo struct {
	sent  int           // chirps that left whole
	heard int           // of them
	gain  float64       // dB, there and back
	delay time.Duration // there and back
}

// findEcho looks for the chirps sent in what was received; found is false when at most a stray one is there.
func findEcho(sent, received *track, at []int) (e echo, found bool) {
	if len(at) == 0 || len(sent.pcm) == 0 {
		return echo{}, false
	}
	out, in := matched(sent.pcm), matched(received.pcm)
	from := locate(out, at, 0, len(out))
	began, ok := sent.passed(from + at[0])
	if !ok {
		return echo{}, false
	}
	straight := received.position(began) - at[0]
	to := locate(in, at, straight-wander, straight+int(mostDelay*rate/time.Second))
	var gains, intact, delays []float64
	for _, p := range at {
		there, here := from+p, peak(in, to+p, wander)
		if !sent.whole(there, chirpLen) {
			continue // the call was over
		}
		if e.sent++; !resembles(received.pcm, in, here) {
			continue
		}
		gain := math.Abs(in[here] / out[there])
		if gains = append(gains, gain); received.whole(here, chirpLen) {
			intact = append(intact, gain)
		}
		left, ok1 := sent.passed(there)
		came, ok2 := received.passed(here)
		if ok1 && ok2 {
			delays = append(delays, float64(came-left))
		}
	}
	if len(gains) < min(2, e.sent) || len(delays) == 0 {
		return e, false
	}
	gain := slices.Max(gains) // losses only take away
	if len(intact) > 0 {
		gain = median(intact)
	}
	e.heard, e.gain, e.delay = len(gains), 20*math.Log10(gain), time.Duration(median(delays))
	return e, true
}

// resembles tells whether what begins at a sample is a chirp.
func resembles(pcm []int16, match []float64, at int) bool {
	if at < 0 || at+chirpLen > len(pcm) {
		return false
	}
	power := math.Pow(10, sound.Level(pcm[at:at+chirpLen])/10) * chirpLen
	return math.Abs(match[at]) > resemblance*math.Sqrt(power*chirpLen/2)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
