package sound

import "math"

// Mixer sums a frame of each party, so that each hears all others: one sum, less its own.
type Mixer struct {
	sum []int32
}

// NewMixer holds frames of up to most samples. At most 65,536 parties fit into one sum.
func NewMixer(most int) *Mixer { return &Mixer{make([]int32, 0, most)} }

// Begin starts a frame of n samples, at most what NewMixer was told.
func (m *Mixer) Begin(n int) {
	m.sum = m.sum[:n]
	clear(m.sum)
}

// Add sums a party's frame of the length that Begin was told.
func (m *Mixer) Add(pcm []int16) {
	pcm = pcm[:len(m.sum)]
	for i, v := range pcm {
		m.sum[i] += int32(v)
	}
}

// Without writes what a party hears that has itself added own: the others, saturated. own is
// nil for one that only listens. dst may be own.
func (m *Mixer) Without(dst, own []int16) {
	dst = dst[:len(m.sum)]
	if own == nil {
		for i, v := range m.sum {
			dst[i] = int16(clamp(v, 16))
		}
		return
	}
	own = own[:len(m.sum)]
	for i, v := range m.sum {
		dst[i] = int16(clamp(v-int32(own[i]), 16))
	}
}

// Quietest is the level of silence in dBov, and the least that [Level] gives.
const Quietest = -96.0

// DBm0 of a level in dBov for A-law (ITU-T G.100.1).
func DBm0(dbov float64) float64 { return dbov + 6.15 }

// Level is the power of pcm in dBov, from Quietest to 0.
func Level(pcm []int16) float64 {
	var sum int64
	for _, v := range pcm {
		sum += int64(v) * int64(v)
	}
	return power(float64(sum), len(pcm))
}

// power is the level of a sum of squares.
func power(sum float64, n int) float64 {
	if n == 0 || sum <= 0 {
		return Quietest
	}
	return max(10*math.Log10(sum/float64(n)/(1<<30)), Quietest)
}

// amplitude is the linear RMS of a level in dBov.
func amplitude(dbov float64) float64 { return 32768 * math.Pow(10, dbov/20) }
