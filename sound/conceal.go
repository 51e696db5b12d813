package sound

import "math"

// Concealer fills gaps in a stream by ITU-T G.711 Appendix I: the last pitch period is
// repeated (two of them after 10 ms, three after 20 ms), fades by 20 % per 10 ms after the first
// 10 ms, and is silence from 60 ms on; the first good frame is faded in. At 16 kHz lengths are
// doubled; G.722's own appendices conceal within the decoder and are more elaborate.
//
// The appendix delays all sound by 3.75 ms to blend the end of the last good frame into the
// repeated period. Here nothing is delayed: the repeated period begins where the good frame
// ended, and the step between both fades out over a quarter of a period.
type Concealer struct {
	scale   int     // samples per 1/8000 s: 1, 2
	history []int16 // what was heard, the newest last; three periods and a quarter

	lost    int     // samples concealed in a row
	pitch   int     // of the gap, samples
	past    []int16 // history when the gap began
	periods int     // repeated, 1 to 3
	cycle   []int16 // what is repeated: the end of past, its end blended into its beginning
	at      int     // next sample of cycle
	step    float32 // between the last good sample and the repeated period's predecessor
	blend   []int16
}

// In samples at 8 kHz (Appendix I, table I.1).
const (
	pitchMin     = 40
	pitchMax     = 120
	correlated   = 160
	historyLen   = 3*pitchMax + pitchMax/4
	subFrame     = 80
	silentAfter  = 6 * subFrame
	fadePerFrame = 0.2
	blendMax     = 80
)

// NewConcealer begins a stream of 8,000 or 16,000 samples a second; another rate panics.
func NewConcealer(rate int) *Concealer {
	if rate != 8000 && rate != 16000 {
		panic("sound: concealment needs 8 or 16 kHz")
	}
	n := rate / 8000
	return &Concealer{
		scale:   n,
		history: make([]int16, n*historyLen),
		past:    make([]int16, n*historyLen),
		cycle:   make([]int16, 0, n*3*pitchMax),
		blend:   make([]int16, n*blendMax),
	}
}

// Reset begins a new stream.
func (c *Concealer) Reset() {
	clear(c.history)
	c.lost = 0
}

// Good takes a frame that came, of any length. After a gap its beginning is blended with what
// had been made up, in place.
func (c *Concealer) Good(pcm []int16) {
	if c.lost > 0 && len(pcm) > 0 {
		// A quarter of a period, and 4 ms more for each 10 ms lost, up to 10 ms.
		n := c.pitch/4 + c.lost/(subFrame*c.scale)*32*c.scale
		n = min(n, blendMax*c.scale, len(pcm))
		c.synthesise(c.blend[:n])
		for i, made := range c.blend[:n] {
			w := float32(i+1) / float32(n+1)
			pcm[i] = saturate((1-w)*float32(made) + w*float32(pcm[i]))
		}
		c.lost = 0
	}
	c.remember(pcm)
}

// Lost writes what stands in for a frame that didn't come. Frames are multiples of 10 ms (others
// work, too).
func (c *Concealer) Lost(pcm []int16) {
	if c.lost == 0 {
		c.begin()
	}
	c.synthesise(pcm)
	c.remember(pcm)
}

func (c *Concealer) remember(pcm []int16) {
	h := c.history
	if len(pcm) >= len(h) {
		copy(h, pcm[len(pcm)-len(h):])
		return
	}
	copy(h, h[len(pcm):])
	copy(h[len(h)-len(pcm):], pcm)
}

// begin finds the pitch and starts the repetition.
func (c *Concealer) begin() {
	c.pitch = c.findPitch()
	h := c.history
	copy(c.past, h)
	c.step = float32(h[len(h)-1]) - float32(h[len(h)-1-c.pitch])
	c.setPeriods(1)
	c.at = 0
}

// setPeriods makes the cycle of that many pitch periods, its last quarter period blended into
// what precedes it in the past, so that it repeats without a step.
func (c *Concealer) setPeriods(n int) {
	c.periods = n
	h, length, quarter := c.past, n*c.pitch, c.pitch/4
	c.cycle = append(c.cycle[:0], h[len(h)-length:]...)
	before := h[len(h)-length-quarter:]
	end := c.cycle[length-quarter:]
	for i := range quarter {
		w := float32(i+1) / float32(quarter+1)
		end[i] = saturate((1-w)*float32(end[i]) + w*float32(before[i]))
	}
}

// synthesise writes the next samples of the gap.
func (c *Concealer) synthesise(pcm []int16) {
	if c.lost >= silentAfter*c.scale {
		clear(pcm)
		c.lost += len(pcm)
		return
	}
	quarter := c.pitch / 4
	for i := range pcm {
		v := float32(c.cycle[c.at])
		if c.lost < quarter {
			v += c.step * float32(quarter-c.lost) / float32(quarter+1)
		}
		pcm[i] = saturate(v * c.gain())
		c.lost++
		if c.at++; c.at == len(c.cycle) {
			c.wrap()
		}
	}
}

// wrap begins the cycle anew, with one more period of the past in its front when it is due:
// what followed the end until now is then one period within.
func (c *Concealer) wrap() {
	c.at = 0
	if c.periods < min(3, 1+c.lost/(subFrame*c.scale)) {
		c.setPeriods(c.periods + 1)
		c.at = c.pitch
	}
}

// gain is 1 for 10 ms, then falls by 0.2 in 10 ms, and is 0 after 60 ms.
func (c *Concealer) gain() float32 {
	n := c.lost - subFrame*c.scale
	if n < 0 {
		return 1
	}
	return max(0, 1-fadePerFrame*float32(n)/float32(subFrame*c.scale))
}

// findPitch is the lag of 5 to 15 ms at which the last 20 ms resemble what was before: first
// every second (fourth at 16 kHz) lag and sample, then all around the best.
func (c *Concealer) findPitch() int {
	skip := 2 * c.scale
	best := c.bestLag(pitchMin*c.scale, pitchMax*c.scale, skip)
	return c.bestLag(max(best-skip+1, pitchMin*c.scale), min(best+skip-1, pitchMax*c.scale), 1)
}

// bestLag prefers the shortest of equals. The power is bounded from below, so that silence
// doesn't win by division.
func (c *Concealer) bestLag(from, to, skip int) int {
	n := correlated * c.scale
	now := c.history[len(c.history)-n:]
	best, bestAt := math.Inf(-1), from
	for lag := from; lag <= to; lag += skip {
		past := c.history[len(c.history)-n-lag:][:n]
		var corr, power int64
		for i := 0; i < n; i += skip {
			p := int64(past[i])
			corr += int64(now[i]) * p
			power += p * p
		}
		if v := float64(corr) / math.Sqrt(float64(max(power, 250))); v > best {
			best, bestAt = v, lag
		}
	}
	return bestAt
}

func saturate(v float32) int16 {
	return int16(math.Round(float64(min(max(v, math.MinInt16), math.MaxInt16))))
}

// Fade writes a cross-fade from one run of samples into another of the same length, which is
// also how a frame is left out without a click: fade from it into the next one. dst may be
// either of them.
func Fade(dst, from, into []int16) {
	from, into = from[:len(dst)], into[:len(dst)]
	for i := range dst {
		w := float32(i+1) / float32(len(dst)+1)
		dst[i] = saturate((1-w)*float32(from[i]) + w*float32(into[i]))
	}
}
