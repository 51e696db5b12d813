package sound

import (
	"math"
	"slices"
	"testing"
)

func noiseAt(n int, dbov float64) []int16 {
	next := lcg()
	out := make([]int16, n)
	for i := range out {
		out[i] = saturate(float32(float64(int32(next())) / (1 << 31) * math.Sqrt(3) * amplitude(dbov)))
	}
	return out
}

func TestLevels(t *testing.T) {
	square := make([]int16, 800)
	for i := range square {
		square[i] = math.MinInt16
	}
	near(t, "full-scale square", Level(square), 0, 1e-9)
	sine := tone(8000, 1000, 8000, 32767)
	near(t, "full-scale sine", Level(sine), -3.01, 0.01)
	near(t, "the same in dBm0", DBm0(Level(sine)), 3.14, 0.01) // G.711: A-law overloads at 3.14 dBm0
	near(t, "silence", Level(make([]int16, 80)), Quietest, 0)
	near(t, "nothing", Level(nil), Quietest, 0)
	var m Meter
	near(t, "unused meter", m.Level(), Quietest, 0)
	for i := 0; i < len(sine); i += 80 {
		m.Add(sine[i : i+80])
	}
	near(t, "meter", m.Level(), Level(sine), 1e-9)
	m.Add(square[:1])
	if m.Peak() != 32768 || m.Samples() != 8001 {
		t.Error(m.Peak(), m.Samples())
	}
}

// Each hears all others, saturated, and one that only listens all.
func TestMixer(t *testing.T) {
	m := NewMixer(320)
	for _, parties := range []int{2, 3, 40} {
		var in [][]int16
		next := lcg()
		for range parties {
			pcm := make([]int16, 160)
			for i := range pcm {
				pcm[i] = int16(next()>>16) >> (i % 5)
			}
			in = append(in, pcm)
		}
		m.Begin(160)
		for _, pcm := range in {
			m.Add(pcm)
		}
		for who := -1; who < parties; who++ {
			want, got := make([]int16, 160), make([]int16, 160)
			for i := range want {
				sum := 0
				for k, pcm := range in {
					if k != who {
						sum += int(pcm[i])
					}
				}
				want[i] = int16(min(max(sum, math.MinInt16), math.MaxInt16))
			}
			if who < 0 {
				m.Without(got, nil)
			} else {
				m.Without(got, in[who])
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d parties: %d hears something else", parties, who)
			}
		}
	}
}

func TestActivity(t *testing.T) {
	for _, floor := range []float64{-80, -65, -50} {
		var a Activity
		frames := func(pcm []int16) (active int) {
			for ; len(pcm) >= 160; pcm = pcm[160:] {
				if a.Add(pcm[:160]) {
					active++
				}
			}
			return active
		}
		hum := noiseAt(8000*5, floor)
		if n := frames(hum); n > 0 {
			t.Errorf("noise of %v dBov: %d frames are active", floor, n)
		}
		if a.Silence() != len(hum) {
			t.Error("silence of", a.Silence())
		}
		if n := frames(noiseAt(16000, -26)); n != 100 {
			t.Errorf("%d of 100 frames of speech over %v dBov are active", n, floor)
		}
		if n := frames(hum); n != 8 {
			t.Errorf("%d frames of noise of %v dBov are active after speech", n, floor)
		}
		near(t, "floor", a.Floor(), floor, 1.5)
	}
	// Noise that becomes louder is speech for a time, then noise.
	var a Activity
	last := 0
	for i := range 50 * 60 {
		pcm := noiseAt(160, -60)
		if i > 500 {
			pcm = noiseAt(160, -45)
		}
		if a.Add(pcm) {
			last = i
		}
	}
	if last < 500 || last > 500+50*10 {
		t.Error("last active frame is", last)
	}
}

// Quiet and loud prompts come to the level aimed at, slowly, within bounds, and no peak
// passes the limit.
func TestGain(t *testing.T) {
	in := speech(t)
	var m Meter
	for _, change := range []float64{-20, -8, 6} {
		g := NewGain(16000, -22, 15)
		m.Reset()
		var last float64
		for round := range 8 {
			pcm := slices.Clone(in)
			for i := range pcm {
				pcm[i] = saturate(float32(float64(pcm[i]) * math.Pow(10, change/20)))
			}
			for f := pcm; len(f) >= 320; f = f[320:] {
				g.Apply(f[:320])
				if d := g.DB() - last; d > gainUp*0.02+1e-9 || d < -gainDown*0.02-1e-9 {
					t.Fatalf("the gain jumps by %.2f dB", d)
				}
				if last = g.DB(); math.Abs(last) > 15 {
					t.Fatalf("gain of %.1f dB", last)
				}
				if round == 7 && Level(f[:320]) > -45 {
					m.Add(f[:320])
				}
			}
		}
		// -20 dB is more than may be made up for.
		want, wide := -22.0, 3.0
		if change == -20 {
			want = min(want, Level(in)+change+15)
		}
		near(t, "level of speech", m.Level(), want, wide)
		if m.Peak() > limitPeak+1 {
			t.Errorf("peak of %d", m.Peak())
		}
	}
	// Whatever comes, the limit holds, and silence isn't blown up.
	g := NewGain(8000, -10, 30)
	for range 200 {
		g.Apply(tone(160, 1000, 8000, 1000))
	}
	loud := tone(160, 300, 8000, 32767)
	g.Apply(loud)
	for _, v := range loud {
		if v > limitPeak || v < -limitPeak {
			t.Fatal("over the limit:", v)
		}
	}
	before := g.DB()
	for range 500 {
		g.Apply(make([]int16, 160))
	}
	if g.DB() > before {
		t.Error("silence raised the gain")
	}
}

func TestComfortNoiseLevel(t *testing.T) {
	for _, level := range []byte{30, 45, 60, 75} {
		for _, spectrum := range [][]byte{nil, {60}, {40, 180, 127}, {200, 90, 140, 100, 120, 130}} {
			var c ComfortNoise
			if !c.Set(append([]byte{level}, spectrum...)) {
				t.Fatal("not taken")
			}
			pcm := make([]int16, 80000)
			c.Fill(pcm)
			near(t, "level of noise", Level(pcm), -float64(level), 0.5)
		}
	}
	var c ComfortNoise
	pcm := []int16{1, 2, 3}
	if c.Fill(pcm); c.Set(nil) || !slices.Equal(pcm, make([]int16, 3)) {
		t.Error("noise without a payload")
	}
	c.Set([]byte{127})
	c.Fill(pcm)
	if !slices.Equal(pcm, make([]int16, 3)) {
		t.Error("127 isn't silence")
	}
}

// What is described is what is made: level and spectrum of made noise are measured and made
// again.
func TestDescribeNoise(t *testing.T) {
	for _, payload := range [][]byte{{40}, {40, 60}, {50, 50, 170, 120}, {35, 180, 100, 127, 140}} {
		var c ComfortNoise
		c.Set(payload)
		pcm := make([]int16, 64000)
		c.Fill(pcm)
		got := DescribeNoise(nil, pcm, len(payload)-1)
		if len(got) != len(payload) {
			t.Fatal(got)
		}
		for i := range got {
			if d := int(got[i]) - int(payload[i]); d < -3 || d > 3 {
				t.Errorf("got %v, want %v", got, payload)
				break
			}
		}
	}
	// The sign as in use: a first coefficient below 0 is low noise.
	low := noiseAt(8000, -40)
	for i := 1; i < len(low); i++ {
		low[i] = int16((3*int(low[i-1]) + int(low[i])) / 4)
	}
	if p := DescribeNoise(nil, low, 1); p[1] >= 60 {
		t.Error("low noise has", p[1])
	}
	if p := DescribeNoise(nil, make([]int16, 160), 3); p[0] != 96 || p[1] != 127 {
		t.Error("silence is", p)
	}
}

func BenchmarkMix20msOfThree(b *testing.B) {
	m := NewMixer(160)
	in := [3][]int16{noiseAt(160, -30), noiseAt(160, -20), noiseAt(160, -10)}
	out := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		m.Begin(160)
		for _, pcm := range in {
			m.Add(pcm)
		}
		for _, pcm := range in {
			m.Without(out, pcm)
		}
	}
}

func BenchmarkGain20ms(b *testing.B) {
	g, pcm := NewGain(8000, -19, 12), noiseAt(160, -25)
	b.ReportAllocs()
	for b.Loop() {
		g.Apply(pcm)
	}
}

func BenchmarkComfortNoise20ms(b *testing.B) {
	var c ComfortNoise
	c.Set([]byte{60, 100, 140})
	pcm := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		c.Fill(pcm)
	}
}

// A recording is brought to its level by one gain; pauses don't count, peaks stay below full scale, and nothing is
// made of silence.
func TestToLevel(t *testing.T) {
	// Bursts of a sine for 300 ms, then 700 ms of pause, so many dBov while it sounds.
	talk := func(level float64) []int16 {
		pcm := make([]int16, 5*8000)
		for i := range pcm {
			if i%8000 < 2400 {
				pcm[i] = int16(math.Sqrt2 * math.Pow(10, level/20) * 32768 * math.Sin(2*math.Pi*500*float64(i)/8000))
			}
		}
		return pcm
	}
	for _, tc := range []struct {
		name       string
		pcm        []int16
		to         float64
		gain, near float64
	}{
		{"too soft", talk(-34), -24, 10, 2.5}, // hangover counts a little of the pause
		{"too loud", talk(-10), -24, -14, 2.5},
		{"right", talk(-24), -24, 0, 2.5},
		{"far too soft", talk(-50), -24, 18, 0.01},
		{"far too loud", talk(-4), -26, -18, 4},
		{"no room for more", talk(-6), -3, 1.1, 0.4},
		{"silence", make([]int16, 8000), -24, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.pcm)
			got := ToLevel(tc.pcm, 8000, tc.to, 18)
			if math.Abs(got-tc.gain) > tc.near {
				t.Errorf("gain %.2f dB, want %.2f", got, tc.gain)
			}
			for i, v := range tc.pcm {
				if want := float64(before[i]) * math.Pow(10, got/20); math.Abs(float64(v)-want) > 0.6 {
					t.Fatalf("sample %d is %d, want %.1f", i, v, want)
				}
			}
		})
	}
}
