package sound

import (
	"math"
	"slices"
	"testing"
)

// gap plays pcm in 10 ms frames and loses those that lose names.
func gap(c *Concealer, pcm []int16, frame int, lose func(i int) bool) []int16 {
	out := slices.Clone(pcm)
	for i := 0; (i+1)*frame <= len(out); i++ {
		if f := out[i*frame : (i+1)*frame]; lose(i) {
			clear(f)
			c.Lost(f)
		} else {
			c.Good(f)
		}
	}
	return out
}

func rms(pcm []int16) float64 {
	var e float64
	for _, v := range pcm {
		e += float64(v) * float64(v)
	}
	return math.Sqrt(e / float64(len(pcm)))
}

// A steady voiced sound goes on through the first 10 ms as if nothing were lost, then fades by
// 20 % in 10 ms, and is silent from 60 ms on.
func TestConcealerFadesByTheBook(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		frame := rate / 100
		in := tone(rate, 200, float64(rate), 8000) // a period of 5 ms
		out := gap(NewConcealer(rate), in, frame, func(i int) bool { return i >= 50 && i < 60 })
		for i, want := range []float64{1, 0.9, 0.7, 0.5, 0.3, 0.1, 0, 0, 0, 0} {
			got := rms(out[(50+i)*frame:(51+i)*frame]) / (8000 / math.Sqrt2)
			if math.Abs(got-want) > 0.03 {
				t.Errorf("%d Hz: after %d0 ms the level is %.2f, want %.2f", rate, i, got, want)
			}
		}
		if snr := segmentalSNR(in[50*frame:51*frame], out[50*frame:51*frame], frame); snr < 35 {
			t.Errorf("%d Hz: the first 10 ms differ, SNR %.1f dB", rate, snr)
		}
	}
}

// Neither the beginning nor the end of a gap makes a click: no step between neighbours is
// much greater than the sound itself has.
func TestConcealerHasNoClicks(t *testing.T) {
	for _, hz := range []float64{97, 133, 211.3, 440} {
		for lostFrames := 1; lostFrames <= 8; lostFrames++ {
			in := tone(8000, hz, 8000, 10000)
			out := gap(NewConcealer(8000), in, 80, func(i int) bool { return i >= 50 && i < 50+lostFrames })
			most := 2 * math.Pi * hz / 8000 * 10000
			for i := 3990; i < 5000; i++ {
				if d := math.Abs(float64(out[i]) - float64(out[i-1])); d > 2*most+100 {
					t.Fatalf("%v Hz, %d lost: step of %.0f at %d, the tone has %.0f", hz, lostFrames, d, i-4000, most)
				}
			}
		}
	}
}

// A sound that grows is louder at the gap's begin than a period before: the repetition starts
// from there, without a step.
func TestConcealerBeginsWhereSoundEnded(t *testing.T) {
	in := make([]int16, 4080)
	for i := 3200; i < len(in); i++ {
		in[i] = int16(16000 * float64(i-3200) / 800 * math.Cos(2*math.Pi*100*float64(i)/8000))
	}
	out := gap(NewConcealer(8000), in, 80, func(i int) bool { return i == 50 })
	if d := int(out[4000]) - int(out[3999]); d < -300 || d > 300 {
		t.Errorf("a step of %d", d)
	}
}

// Without loss nothing is changed or delayed.
func TestConcealerPassesGoodSound(t *testing.T) {
	in := speech(t)
	out := gap(NewConcealer(16000), in, 160, func(int) bool { return false })
	if !slices.Equal(in, out) {
		t.Error("changed")
	}
}

// Each 10 ms frame of speech is lost once, alone. What is made up for half of the louder ones is
// clearly nearer to the truth than silence is (where one sound turns into the next, nothing can
// be), and has its level.
func TestConcealerHelpsSpeech(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		in, frame := speech(t), 160
		if rate == 8000 {
			frame = 80
			for i := range len(in) / 2 { // crude, and good enough here
				in[i] = int16((int(in[2*i]) + int(in[2*i+1])) / 2)
			}
			in = in[:len(in)/2]
		}
		var gains, levels []float64
		for k := 20; k < len(in)/frame-2; k++ {
			truth := in[k*frame : (k+1)*frame]
			if rms(truth) < 500 {
				continue
			}
			made := gap(NewConcealer(rate), in, frame, func(i int) bool { return i == k })[k*frame : (k+1)*frame]
			off := make([]int16, frame)
			for i := range off {
				off[i] = saturate(float32(truth[i]) - float32(made[i]))
			}
			gains = append(gains, 20*math.Log10(rms(truth)/rms(off)))
			levels = append(levels, math.Abs(20*math.Log10(rms(made)/rms(truth))))
		}
		slices.Sort(gains)
		slices.Sort(levels)
		gain, level := gains[len(gains)/2], levels[len(levels)*8/10]
		t.Logf("%d Hz, %d frames: median SNR %.1f dB, level within %.1f dB in 80 %%", rate, len(gains), gain, level)
		if gain < 2 || level > 4 {
			t.Errorf("%d Hz: median SNR %.1f dB, level within %.1f dB in 80 %%", rate, gain, level)
		}
	}
}

func TestConcealerTakesAnyLength(t *testing.T) {
	c := NewConcealer(8000)
	next := lcg()
	for range 2000 {
		pcm := make([]int16, next()>>16%700)
		for i := range pcm {
			pcm[i] = int16(next() >> 16)
		}
		if next()>>16&1 == 0 {
			c.Good(pcm)
		} else {
			c.Lost(pcm)
		}
	}
}

func TestFadeJoins(t *testing.T) {
	from, into := tone(80, 0, 8000, 0), make([]int16, 80)
	for i := range into {
		from[i], into[i] = 1000, -1000
	}
	Fade(from, from, into)
	for i := 1; i < len(from); i++ {
		if from[i] >= from[i-1] {
			t.Fatal("not falling")
		}
	}
	if from[0] < 950 || from[79] > -950 {
		t.Error("ends don't meet", from[0], from[79])
	}
}

func BenchmarkConcealGood20ms(b *testing.B) {
	c, pcm := NewConcealer(8000), tone(160, 200, 8000, 8000)
	b.ReportAllocs()
	for b.Loop() {
		c.Good(pcm)
	}
}

// One packet of 20 ms lost and one that came, by turns.
func BenchmarkConcealLost20ms(b *testing.B) {
	c, pcm := NewConcealer(8000), tone(160, 200, 8000, 8000)
	b.ReportAllocs()
	for b.Loop() {
		c.Lost(pcm)
		c.Good(pcm)
	}
}
