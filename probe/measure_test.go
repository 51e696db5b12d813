package probe

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"hotline/media"
)

// feed puts samples into a track, in packets of 20 ms that pass at their times plus delay; those that drop
// wants are left out.
func feed(t *track, pcm []int16, delay time.Duration, drop func(int) bool) {
	for i := 0; (i+1)*frame <= len(pcm); i++ {
		if drop != nil && drop(i) {
			continue
		}
		code := make([]byte, frame)
		for k, v := range pcm[i*frame : (i+1)*frame] {
			code[k] = media.EncodeALaw(v)
		}
		t.add(media.Voice{At: time.Duration(i)*20*time.Millisecond + delay, TS: uint32(math.MaxUint32 - 1000 + i*frame), Codec: media.PCMA, Payload: code})
	}
}

// The echo is found to the sample, at its level, through noise, losses and an inverted line.
func TestFindEcho(t *testing.T) {
	clip, at := makeSignal(6 * time.Second)
	for name, tt := range map[string]struct {
		shift int // samples
		gain  float64
		noise float64
		drop  func(int) bool
	}{
		"as it was":     {0, 1, 0, nil},
		"late":          {1234, 1, 0, nil},
		"very late":     {15000, 0.7, 0, nil},
		"faint":         {100, 0.03, 0, nil},
		"inverted":      {777, -0.5, 0, nil},
		"in noise":      {3000, 0.5, 0.02, nil},
		"with holes":    {801, 1, 0, func(i int) bool { return i%17 == 0 }},
		"a late spurt":  {4000, 1, 0, func(i int) bool { return i < 40 }},
		"barely there":  {40, 0.01, 0, nil},
		"between gains": {5600, 0.25, 0.005, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sent, back := clip.PCM(), make([]int16, 9*rate)
			for i := range back {
				v := tt.noise * 32767 * rand.NormFloat64()
				if k := i - tt.shift; k >= 0 && k < len(sent) {
					v += tt.gain * float64(sent[k])
				}
				back[i] = int16(v)
			}
			var out, in track
			feed(&out, sent, time.Second, nil)
			const network = 30 * time.Millisecond
			feed(&in, back, time.Second+network, tt.drop)
			e, ok := findEcho(&out, &in, at)
			want := network + samples(tt.shift)
			if !ok || e.sent != len(at) || e.heard < len(at)*2/3 || (e.delay-want).Abs() > samples(1) || math.Abs(e.gain-20*math.Log10(math.Abs(tt.gain))) > 0.5 {
				t.Errorf("%v, %d of %d, after %v, want %v, gain %.2f dB, want %.2f", ok, e.heard, e.sent, e.delay, want, e.gain, 20*math.Log10(math.Abs(tt.gain)))
			}
		})
	}
}

// What isn't the signal isn't taken for it.
func TestNoEcho(t *testing.T) {
	clip, at := makeSignal(6 * time.Second)
	noise := make([]int16, 7*rate)
	for i := range noise {
		noise[i] = int16(3000 * rand.NormFloat64())
	}
	for name, pcm := range map[string][]int16{
		"nothing": nil, "silence": make([]int16, 7*rate), "noise": noise,
		"a tone": media.Tone(media.ReferenceHz, 7*time.Second, 0.3).PCM(), "ringing": media.RingBack().PCM(),
	} {
		var out, in track
		feed(&out, clip.PCM(), 0, nil)
		feed(&in, pcm, 0, nil)
		if e, ok := findEcho(&out, &in, at); ok || e.heard > 0 || e.sent != len(at) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// The tone's level counts, whatever sounds before and after it, and not that of another tone.
func TestToneLevel(t *testing.T) {
	loud := media.Tone(450, time.Second, 0.5).PCM()
	for want := range map[float64]bool{-10: true, -30: true, -45: true} {
		tone := media.Tone(media.ReferenceHz, time.Second, media.SineAmplitude(want)).PCM()
		level, ok := toneLevel(append(append(append([]int16{}, loud...), tone...), loud...))
		if !ok || math.Abs(level-want) > 0.3 {
			t.Errorf("%.2f dBm0 (%v), want %.0f", level, ok, want)
		}
	}
	if level, ok := toneLevel(loud); ok {
		t.Errorf("450 Hz is taken for the tone, at %.1f dBm0", level)
	}
	if level, ok := toneLevel(make([]int16, rate)); ok {
		t.Errorf("silence is taken for the tone, at %.1f dBm0", level)
	}
}

// A peer whose timestamps jump starts anew where the clock says; one that sends nonsense takes no memory.
func TestTrackJumps(t *testing.T) {
	var tr track
	packet := func(at time.Duration, ts uint32) {
		tr.add(media.Voice{At: at, TS: ts, Codec: media.PCMU, Payload: make([]byte, frame)})
	}
	packet(0, 1000)
	packet(20*time.Millisecond, 1000+frame)
	packet(40*time.Millisecond, 1<<31)
	packet(60*time.Millisecond, 1<<31+frame)
	packet(24*time.Hour, 5)
	if n := len(tr.pcm); n != 4*frame || !tr.whole(0, n) {
		t.Errorf("%d samples", n)
	}
	if at, ok := tr.passed(2*frame + 80); !ok || at != 50*time.Millisecond {
		t.Errorf("passed at %v, %v", at, ok)
	}
}
