package sound

import (
	"fmt"
	"math"
)

// Between 8 and 16 kHz works a half-band filter: flat to 3.4 kHz, 60 dB down from 4.6 kHz
// on. Every second of its taps is 0 but the middle one, so half of the samples cost nothing.
const halfTaps = 16 // on either side of the middle: at ±1, ±3 ... ±31

// halfBand are the taps from the middle outwards, in 1/65536; the middle one is 1/2.
var halfBand = makeHalfBand()

func makeHalfBand() (taps [halfTaps]int32) {
	var sum float64
	var exact [halfTaps]float64
	for i := range exact {
		d := float64(2*i + 1)
		exact[i] = math.Sin(math.Pi*d/2) / (math.Pi * d) * kaiser(d/(2*halfTaps), 7)
		sum += 2 * exact[i]
	}
	for i, v := range exact {
		taps[i] = int32(math.Round(v * 0.5 / sum * 65536)) // both halves pass the same at 0 Hz
	}
	return taps
}

// kaiser is the window of that shape at x of -1 to 1.
func kaiser(x, beta float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel(beta*math.Sqrt(1-x*x)) / bessel(beta)
}

// bessel is the modified Bessel function of the first kind, order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

// taps32 is a line of the last 32 samples, written at two places to be one run of memory.
type taps32 struct {
	x  [4 * halfTaps]int32
	at int
}

func (l *taps32) push(v int16) {
	l.x[l.at], l.x[l.at+2*halfTaps] = int32(v), int32(v)
	l.at = (l.at + 1) % (2 * halfTaps)
}

// run is the line, the oldest first.
func (l *taps32) run() []int32 { return l.x[l.at : l.at+2*halfTaps] }

// sum weighs a line with the half-band filter's outer taps, in 1/65536.
func (l *taps32) sum() (sum int64) {
	x := l.run()
	for i, c := range halfBand {
		sum += int64(c) * int64(x[halfTaps-1-i]+x[halfTaps+i])
	}
	return sum
}

// Upsampler turns a stream of 8 kHz into one of 16 kHz, 2 ms later (15.5 samples of 8 kHz). Its
// zero value begins a stream.
type Upsampler struct{ line taps32 }

// Process writes two samples for each of pcm; dst must hold 2*len(pcm) and not overlap it.
func (u *Upsampler) Process(dst, pcm []int16) {
	dst = dst[:2*len(pcm)]
	for i, v := range pcm {
		u.line.push(v)
		dst[2*i] = int16(u.line.run()[halfTaps-1])
		dst[2*i+1] = int16(clamp(int32((u.line.sum()*2+1<<15)>>16), 16))
	}
}

// Downsampler turns a stream of 16 kHz into one of 8 kHz, 2 ms later (31 samples of 16
// kHz). Its zero value begins a stream.
type Downsampler struct{ even, odd taps32 }

// Process writes one sample for two of pcm; a last odd one is left out. dst must hold
// len(pcm)/2 and may be the beginning of pcm.
func (d *Downsampler) Process(dst, pcm []int16) {
	dst = dst[:len(pcm)/2]
	for i := range dst {
		middle, outer := pcm[2*i], pcm[2*i+1]
		d.even.push(middle)
		sum := d.odd.sum() + int64(d.even.run()[halfTaps-1])<<15
		d.odd.push(outer)
		dst[i] = int16(clamp(int32((sum+1<<15)>>16), 16))
	}
}

// crossings of the sinc on each side in Resample, and steps of its table for each.
const (
	crossings = 32
	sincSteps = 512
)

// Resample converts a whole recording to another rate: flat to 85 % of half the lower rate,
// and what would alias more than 60 dB down. It is for prompts: it allocates, and takes as long
// as it does. Rates are 8,000 to 192,000.
func Resample(pcm []int16, from, to int) ([]int16, error) {
	for _, rate := range []int{from, to} {
		if rate < 8000 || rate > 192000 {
			return nil, fmt.Errorf("resampling %d to %d Hz: rates are 8000 to 192000", from, to)
		}
	}
	if from == to {
		return append([]int16(nil), pcm...), nil
	}
	table := sincTable()
	// The cut lies at 93 % of half the lower rate; a crossing is so many samples wide.
	cut := 0.93 * min(1, float64(to)/float64(from))
	reach := crossings / cut
	out := make([]int16, int(int64(len(pcm))*int64(to)/int64(from)))
	for i := range out {
		at := float64(int64(i)*int64(from)/int64(to)) + float64(int64(i)*int64(from)%int64(to))/float64(to)
		first, last := max(int(math.Ceil(at-reach)), 0), min(int(at+reach), len(pcm)-1)
		var sum float64
		for k := first; k <= last; k++ {
			x := math.Abs(float64(k)-at) * cut * sincSteps
			n := int(x)
			v := table[n]
			sum += float64(pcm[k]) * (v + (x-float64(n))*(table[n+1]-v))
		}
		out[i] = saturate(float32(sum * cut))
	}
	return out, nil
}

// sincTable is one half of the windowed sinc, with zeros behind its end.
func sincTable() []float64 {
	table := make([]float64, crossings*sincSteps+2)
	table[0] = 1
	for i := 1; i < crossings*sincSteps; i++ {
		x := float64(i) / sincSteps
		table[i] = math.Sin(math.Pi*x) / (math.Pi * x) * kaiser(x/crossings, 8)
	}
	return table
}
