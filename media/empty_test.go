package media

import (
	"bytes"
	"testing"
)

// A packet without sound, as some phones send to keep a way through NATs open, neither ends the bridge nor
// holds the shard up, whatever is done with sound.
func TestPacketWithoutSound(t *testing.T) {
	for name, c := range map[string]struct {
		from, to Codec
		lines    []string
		echo     bool
	}{
		"passed on":    {from: PCMA, to: PCMA},
		"other law":    {from: PCMA, to: PCMU},
		"transcoded":   {from: PCMA, to: G722},
		"repacketised": {from: PCMA, to: PCMA, lines: []string{"a=maxptime:10"}},
		"echoed":       {from: PCMA, to: PCMA, echo: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
			speaker := newPhone(t, c.from)
			a := speaker.call(e)
			b := a
			if c.echo {
				if err := a.Echo(true); err != nil {
					t.Fatal(err)
				}
			} else if b = newPhone(t, c.to).call(e, c.lines...); Bridge(a, b) != nil {
				t.Fatal("not bridged")
			}
			sent := make(chan Voice, 1000)
			b.Tap(func(v Voice) {
				if v.Sent && !bytes.Equal(v.Payload, silence(c.to)[:len(v.Payload)]) {
					sent <- Voice{TS: v.TS}
				}
			})
			frame := bytes.Repeat([]byte{0x2A}, frameSamples)
			speaker.speak(a, frame)
			first := wait(t, "sound", sent).TS
			for range 2 {
				speaker.speak(a, nil)
				speaker.seq++ // and one is lost
				speaker.ts += 2 * frameSamples
			}
			speaker.speak(a, frame)
			for wait(t, "sound after packets without any", sent).TS-first < 3*frameSamples {
			}
		})
	}
}
