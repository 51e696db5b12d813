package media

import (
	"testing"
	"time"
)

// A tone laid over a talk is heard beside the voice, for as long as it sounds, whatever law packets cross to and
// in whatever lengths they come; G.722 has it in place of the voice.
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
