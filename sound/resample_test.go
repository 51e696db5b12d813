package sound

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// decibel of a by b.
func decibel(a, b float64) float64 { return 20 * math.Log10(max(a, 1e-9)/b) }

func upsample(pcm []int16) []int16 {
	out := make([]int16, 2*len(pcm))
	new(Upsampler).Process(out, pcm)
	return out
}

func downsample(pcm []int16) []int16 {
	out := make([]int16, len(pcm)/2)
	new(Downsampler).Process(out, pcm)
	return out
}

// A tone keeps its level within 0.1 dB up to 3.4 kHz, and nothing else is there: the image at 8
// kHz less its own frequency is 50 dB down.
func TestUpsamplerTones(t *testing.T) {
	for hz := 100.0; hz <= 3400; hz += 100 {
		out := upsample(tone(9000, hz, 8000, 10000))[2000:]
		got, rest := toneLevel(out, hz, 16000)
		if d := decibel(got, 10000); math.Abs(d) > 0.1 {
			t.Errorf("%v Hz: %.3f dB", hz, d)
		}
		if d := decibel(rest, 10000/math.Sqrt2); d > -50 {
			t.Errorf("%v Hz: %.1f dB besides", hz, d)
		}
	}
}

func TestDownsamplerTones(t *testing.T) {
	for hz := 100.0; hz <= 7900; hz += 100 {
		out := downsample(tone(17000, hz, 16000, 10000))[500:]
		switch {
		case hz <= 3400:
			got, rest := toneLevel(out, hz, 8000)
			if d := decibel(got, 10000); math.Abs(d) > 0.1 || decibel(rest, 10000) > -50 {
				t.Errorf("%v Hz: %.3f dB, %.1f dB besides", hz, d, decibel(rest, 10000))
			}
		case hz >= 4600:
			if d := decibel(rms(out), 10000/math.Sqrt2); d > -50 {
				t.Errorf("%v Hz aliases at %.1f dB", hz, d)
			}
		}
	}
}

// Full scale saturates instead of wrapping around.
func TestResamplersSaturate(t *testing.T) {
	square := make([]int16, 4000)
	for i := range square {
		square[i] = math.MaxInt16
		if i/20%2 == 1 {
			square[i] = math.MinInt16
		}
	}
	for _, out := range [][]int16{upsample(square), downsample(square)} {
		if got := rms(out[100:]); got < 30000 {
			t.Errorf("RMS %.0f", got)
		}
	}
}

// Frames of any length make the same stream, and the delay is what the comments say.
func TestResamplersStream(t *testing.T) {
	in := speech(t)
	var d Downsampler
	var u Upsampler
	var narrow, wide []int16
	for rest, n := in, 0; len(rest) > 0; n = (n + 6) % 100 {
		k := min(n, len(rest))
		a := make([]int16, k/2)
		d.Process(a, rest[:k])
		b := make([]int16, k/2*2)
		u.Process(b, a)
		narrow, wide, rest = append(narrow, a...), append(wide, b...), rest[k:]
	}
	if !slices.Equal(narrow, downsample(in)) || !slices.Equal(wide, upsample(narrow)) {
		t.Error("frames don't join")
	}
	impulse := make([]int16, 200)
	impulse[100] = 20000
	if at := peakAt(upsample(impulse)); at != 200+31 && at != 200+32 {
		t.Errorf("up: the peak is at %d", at)
	}
	if at := peakAt(downsample(impulse)); at != 50+15 && at != 50+16 {
		t.Errorf("down: the peak is at %d", at)
	}
}

func peakAt(pcm []int16) (at int) {
	for i, v := range pcm {
		if v > pcm[at] {
			at = i
		}
	}
	return at
}

// Any rate: tones that fit keep their level and place; those above are gone.
func TestResampleTones(t *testing.T) {
	for _, from := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000} {
		for _, to := range []int{8000, 16000} {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) {
				half := float64(min(from, to)) / 2
				for _, share := range []float64{0.02, 0.1, 0.3, 0.5, 0.7, 0.85} {
					out, err := Resample(tone(from/2, share*half, float64(from), 10000), from, to)
					if err != nil || len(out) < to/2-1 || len(out) > to/2 {
						t.Fatal(err, len(out))
					}
					got, rest := toneLevel(out[to/8:to*3/8], share*half, float64(to))
					if d := decibel(got, 10000); math.Abs(d) > 0.1 || decibel(rest, 10000) > -60 {
						t.Errorf("%.0f Hz: %.3f dB, %.1f dB besides", share*half, d, decibel(rest, 10000))
					}
				}
				for _, hz := range []float64{float64(to)/2 + 100, float64(to) * 0.7, float64(to) - 500} {
					if hz >= float64(from)/2 {
						continue
					}
					out, _ := Resample(tone(from/2, hz, float64(from), 10000), from, to)
					if d := decibel(rms(out[to/8:to*3/8]), 10000/math.Sqrt2); d > -60 {
						t.Errorf("%.0f Hz aliases at %.1f dB", hz, d)
					}
				}
			})
		}
	}
}

func TestResampleLimits(t *testing.T) {
	for _, rates := range [][2]int{{0, 8000}, {7999, 8000}, {8000, 192001}, {-1, 16000}} {
		if _, err := Resample(nil, rates[0], rates[1]); err == nil {
			t.Error(rates)
		}
	}
	for _, n := range []int{0, 1, 5} {
		if out, err := Resample(make([]int16, n), 48000, 8000); err != nil || len(out) != n/6 {
			t.Error(n, len(out), err)
		}
	}
}

func BenchmarkUpsample20ms(b *testing.B) {
	var u Upsampler
	in, out := make([]int16, 160), make([]int16, 320)
	b.ReportAllocs()
	for b.Loop() {
		u.Process(out, in)
	}
}

func BenchmarkDownsample20ms(b *testing.B) {
	var d Downsampler
	in, out := make([]int16, 320), make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		d.Process(out, in)
	}
}
