package media

import (
	"bytes"
	"testing"
)

// A tap sees what a phone says and what it hears, whatever that comes from, once each.
func TestTapSeesBothDirections(t *testing.T) {
	e := openEngine(t, nil)
	p, q := newPhone(t, PCMA), newPhone(t, PCMU)
	a, b := p.call(e), q.call(e)
	type seen struct {
		sent  bool
		codec Codec
		first byte
	}
	taps := make(chan seen, 1000)
	a.Tap(func(v Voice) { taps <- seen{v.Sent, v.Codec, v.Payload[0]} })
	until := func(want seen) {
		t.Helper()
		for got := wait(t, "the tap", taps); got != want; got = wait(t, "the tap", taps) {
		}
	}
	until(seen{true, PCMA, silence(PCMA)[0]})
	p.speak(a, bytes.Repeat([]byte{0x11}, frameSamples))
	until(seen{false, PCMA, 0x11})
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	q.speak(b, bytes.Repeat([]byte{0x22}, frameSamples))
	want := make([]byte, 1)
	transcode(want, PCMA, []byte{0x22}, PCMU)
	until(seen{true, PCMA, want[0]})
	a.Tap(nil)
}
