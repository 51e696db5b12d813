package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

// A tone laid over a talk is heard beside the voice, for as long as it sounds, whatever law packets cross to and
// in whatever lengths they come; so is one over G.722.
func TestOverlay(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec Codec
		lines []string
		voice bool
	}{
		{"the same law", PCMA, nil, true},
		{"the other law", PCMU, nil, true},
		{"packets of 40 ms", PCMA, []string{"a=ptime:40"}, true},
		{"G.722", G722, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := openEngine(t, func(cfg *Config) { cfg.Codecs = []Codec{PCMA, PCMU, G722} })
			from, to := newPhone(t, PCMA), newPhone(t, c.codec)
			a, b := from.call(e), to.call(e, c.lines...)
			if err := Bridge(a, b); err != nil {
				t.Fatal(err)
			}
			tone := Tone(400, 20*time.Millisecond, 0.25).Frame(PCMA, 0)
			listen := newEar(c.codec)
			voice, beep, both := 0, 0, 0
			b.Overlay(Tone(1400, 200*time.Millisecond, 0.1))
			for range 40 {
				from.speak(a, tone)
				pkt := to.hear()
				if len(c.lines) > 0 {
					from.speak(a, tone)
				}
				pcm := listen(pkt.Payload)
				low, high := Goertzel(pcm, 400, clockRate) > 0.15, Goertzel(pcm, 1400, clockRate) > 0.08
				switch n := len(pcm) / frameSamples; {
				case low && high:
					both += n
				case low:
					voice += n
				case high:
					beep += n
				}
			}
			if voice == 0 || c.voice && (both < 8 || both > 10 || beep > 2) || !c.voice && (beep < 8 || both > 2) {
				t.Errorf("frames of voice alone %d, the tone alone %d, both %d", voice, beep, both)
			}
		})
	}
}

// newEar decodes what a phone hears.
func newEar(codec Codec) func(payload []byte) []int16 {
	var e ear
	return func(payload []byte) []int16 { return e.hear(codec, payload) }
}

// A tone over G.711 ends when the phone changes to G.722: it neither sounds later nor keeps the bridge from the kernel.
func TestOverlayEndsWithTheCodec(t *testing.T) {
	e := openEngine(t, func(cfg *Config) { cfg.Codecs = []Codec{PCMA, G722} })
	from, to := newPhone(t, PCMA), newPhone(t, PCMA)
	a, b := from.call(e), to.call(e)
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		b.sender.mu.Lock()
		defer b.sender.mu.Unlock()
		return len(b.sender.over)
	}
	b.Overlay(Tone(1400, 200*time.Millisecond, 0.1))
	if left() == 0 {
		t.Fatal("nothing lies over the sound")
	}
	frame := Tone(400, 20*time.Millisecond, 0.25).Frame(PCMA, 0)
	for _, codec := range []Codec{G722, PCMA} {
		to.codec = codec
		if _, err := b.Answer(to.offer()); err != nil {
			t.Fatal(err)
		}
		from.speak(a, frame)
		to.hearUntil("voice", func(p *rtp.Packet) bool { return p.PayloadType == codec.PayloadType() })
		if n := left(); n != 0 {
			t.Errorf("%d samples of the tone are left after %v", n, codec)
		}
	}
}
