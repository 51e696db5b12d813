package probe

import (
	"math"
	"math/bits"
	"math/cmplx"
	"time"

	"hotline/media"
)

const (
	chirpLen       = rate / 5 // samples
	chirpLow       = 300.0    // Hz
	chirpHigh      = 3000.0
	guard          = time.Second // of silence at the end, for the last echo to come back
	shortestSignal = 500 * time.Millisecond
)

// gaps are the distances between the beginnings of chirps, over and over. No two sums of neighbours are near
// each other, so that a late echo isn't taken for one that comes early.
var gaps = []time.Duration{500 * time.Millisecond, 710 * time.Millisecond, 590 * time.Millisecond, 830 * time.Millisecond, 640 * time.Millisecond}

// chirp sweeps through the telephone's band at an amplitude, 1 being full scale.
func chirp(amplitude float64) []float64 {
	out := make([]float64, chirpLen)
	const span = float64(chirpLen) / rate
	for i := range out {
		t := float64(i) / rate
		out[i] = amplitude * math.Sin(2*math.Pi*(chirpLow*t+(chirpHigh-chirpLow)*t*t/(2*span)))
	}
	return out
}

// makeSignal makes chirps for so long, and tells at which samples they begin.
func makeSignal(span time.Duration) (*media.Clip, []int) {
	pcm := make([]int16, int(span*rate/time.Second))
	one := chirp(media.SineAmplitude(media.ReferenceLevel))
	var at []int
	for pos, i := rate/10, 0; pos+chirpLen <= len(pcm); i++ {
		for k, v := range one {
			pcm[pos+k] = int16(math.Round(math.MaxInt16 * v))
		}
		at = append(at, pos)
		pos += int(gaps[i%len(gaps)] * rate / time.Second)
	}
	return media.NewClip(pcm), at
}

// matched is how much of a chirp of amplitude 1 begins at each sample: the matched filter's output.
func matched(pcm []int16) []float64 {
	size := 1 << bits.Len(uint(len(pcm)+chirpLen))
	a, b := make([]complex128, size), make([]complex128, size)
	for i, v := range pcm {
		a[i] = complex(float64(v)/math.MaxInt16, 0)
	}
	for i, v := range chirp(1) {
		b[i] = complex(v, 0)
	}
	fft(a)
	fft(b)
	for i := range a {
		// The conjugate of the product's spectrum: a second transform forwards then runs backwards.
		a[i] = cmplx.Conj(a[i] * cmplx.Conj(b[i]))
	}
	fft(a)
	out := make([]float64, len(pcm))
	for i := range out {
		out[i] = real(a[i]) / float64(size)
	}
	return out
}

// fft transforms x in place; its length is a power of two.
func fft(x []complex128) {
	n := len(x)
	shift := bits.UintSize - bits.Len(uint(n-1))
	for i := range x {
		if j := int(bits.Reverse(uint(i)) >> shift); j > i {
			x[i], x[j] = x[j], x[i]
		}
	}
	for half := 1; half < n; half *= 2 {
		for k := range half {
			w := cmplx.Rect(1, -math.Pi*float64(k)/float64(half))
			for i := k; i < n; i += 2 * half {
				u, v := x[i], w*x[i+half]
				x[i], x[i+half] = u+v, u-v
			}
		}
	}
}

// locate finds where a row of chirps begins: the shift in [from, to) by which most of them are found.
func locate(match []float64, at []int, from, to int) int {
	best, where := -1.0, from
	for s := from; s < to; s++ {
		sum := 0.0
		for _, p := range at {
			if i := s + p; i >= 0 && i < len(match) {
				sum += math.Abs(match[i])
			}
		}
		if sum > best {
			best, where = sum, s
		}
	}
	return where
}

// peak is where the match is greatest within reach of a sample.
func peak(match []float64, near, reach int) int {
	best := near
	for i := max(near-reach, 0); i < min(near+reach, len(match)); i++ {
		if best < 0 || best >= len(match) || math.Abs(match[i]) > math.Abs(match[best]) {
			best = i
		}
	}
	return best
}
