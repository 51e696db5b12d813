package sound

import (
	"math"
	"slices"
)

// Gain brings speech slowly to a level, and never over a peak: automatic gain for prompts and
// for whisper. It moves only while there is speech, so that pauses aren't blown up.
type Gain struct {
	target, most float64 // dBov, dB
	db           float64 // gain now
	limit        float64 // what the limiter takes off, factor of at most 1
	active       Activity
	speech       float64 // mean power of speech, full scale squared is 1; 0 before any
	rate         float64 // samples a second
}

const (
	gainUp      = 6.0   // dB/s
	gainDown    = 20.0  // dB/s
	limitPeak   = 26029 // -2 dB of full scale
	speechMean  = 0.5   // s
	limitReturn = 0.1   // s
)

// NewGain brings speech to target dBov (-19 suits telephones: about -13 dBm0) with a gain or
// loss of up to most dB. Rate is in samples a second.
func NewGain(rate int, target, most float64) *Gain {
	return &Gain{target: target, most: math.Abs(most), limit: 1, rate: float64(rate)}
}

// DB is the gain now.
func (g *Gain) DB() float64 { return g.db }

// Apply changes a frame of 10 to 60 ms in place. The gain rises by 6 dB/s at most and falls by
// 20 dB/s.
func (g *Gain) Apply(pcm []int16) {
	before := g.db
	if g.active.Add(pcm) {
		seconds := float64(len(pcm)) / g.rate
		// Syllables differ, so a mean is what counts.
		now := math.Pow(10, Level(pcm)/10)
		if g.speech == 0 {
			g.speech = now
		}
		g.speech += (now - g.speech) * min(seconds/speechMean, 1)
		wanted := min(max(g.target-10*math.Log10(g.speech), -g.most), g.most)
		g.db += min(max(wanted-g.db, -gainDown*seconds), gainUp*seconds)
	}
	from, to := math.Pow(10, before/20), math.Pow(10, g.db/20)
	g.ramp(pcm, from, to)
}

// ramp multiplies, and holds peaks down: at once, and back within a tenth of a second.
func (g *Gain) ramp(pcm []int16, from, to float64) {
	step := (to - from) / float64(max(len(pcm), 1))
	back := 1 / (limitReturn * g.rate)
	for i, v := range pcm {
		from += step
		x := float64(v) * from
		g.limit = min(g.limit+back, 1)
		if peak := math.Abs(x) * g.limit; peak > limitPeak {
			g.limit = limitPeak / math.Abs(x)
		}
		pcm[i] = int16(math.Round(x * g.limit))
	}
}

// levelFrames is how many frames a second ToLevel looks at.
const levelFrames = 50

// ToLevel brings a whole recording to target dBov in place, by one gain of at most most dB either way, so that
// nothing pumps: speech counts, not the pauses in it, and peaks stay below full scale. It returns the gain in dB,
// 0 for silence.
func ToLevel(pcm []int16, rate int, target, most float64) (db float64) {
	var active Activity
	var speech, all Meter
	for frame := range slices.Chunk(pcm, max(rate/levelFrames, 1)) {
		all.Add(frame)
		if active.Add(frame) {
			speech.Add(frame)
		}
	}
	if speech.Samples() == 0 || all.Peak() == 0 {
		return 0
	}
	most = math.Abs(most)
	db = min(max(target-speech.Level(), -most), most)
	db = min(db, max(20*math.Log10(limitPeak/float64(all.Peak())), 0))
	factor := math.Pow(10, db/20)
	for i, v := range pcm {
		pcm[i] = int16(math.Round(float64(v) * factor))
	}
	return db
}
