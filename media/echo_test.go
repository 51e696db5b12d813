package media

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/pion/rtp"

	"hotline/sound"
)

// A phone hears itself, byte for byte and in time; what is lost on the way here is missing in time and not in
// numbers. The end of the echo, and Close within it, leave nothing behind.
func TestEcho(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMU)
	l := p.call(e)
	if err := l.Echo(true); err != nil {
		t.Fatal(err)
	}
	if err := l.Echo(true); err != nil {
		t.Errorf("again: %v", err)
	}
	said := func(b byte) *rtp.Packet {
		t.Helper()
		frame := bytes.Repeat([]byte{b}, frameSamples)
		p.speak(l, frame)
		return p.hearUntil("the echo", func(pkt *rtp.Packet) bool { return bytes.Equal(pkt.Payload, frame) })
	}
	first := said(0x11)
	second := said(0x12)
	if ts := second.Timestamp - first.Timestamp; second.SequenceNumber != first.SequenceNumber+1 || ts != frameSamples {
		t.Errorf("the echo goes on by %d packets and %d samples", second.SequenceNumber-first.SequenceNumber, ts)
	}
	p.packet(0, nil, frameSamples) // is lost
	third := said(0x13)
	if ts := third.Timestamp - second.Timestamp; third.SequenceNumber != second.SequenceNumber+1 || ts != 2*frameSamples {
		t.Errorf("after a loss the echo goes on by %d packets and %d samples", third.SequenceNumber-second.SequenceNumber, ts)
	}

	q := newPhone(t, PCMU)
	other := q.call(e)
	if err := Bridge(l, other); !errors.Is(err, ErrBridged) {
		t.Errorf("bridging a leg with an echo: %v", err)
	}
	if err := l.Echo(false); err != nil {
		t.Error(err)
	}
	p.hearUntil("silence again", func(pkt *rtp.Packet) bool { return bytes.Equal(pkt.Payload, silentULaw[:]) })
	if err := Bridge(l, other); err != nil {
		t.Errorf("bridging after the echo: %v", err)
	}
	if err := l.Echo(true); !errors.Is(err, ErrBridged) {
		t.Errorf("echo on a bridged leg: %v", err)
	}
	if err := l.Echo(false); err != nil || l.peer.Load() != other {
		t.Errorf("the end of no echo: %v, and the bridge is %v", err, l.peer.Load())
	}
	if err := errors.Join(other.Close(), l.Echo(true), l.Close()); err != nil {
		t.Error(err)
	}
	if err := l.Echo(true); !errors.Is(err, ErrClosed) {
		t.Errorf("echo on a closed leg: %v", err)
	}
}

// The reference tone has its level in each codec, as it is heard.
func TestReferenceLevel(t *testing.T) {
	tone := Reference()
	for _, codec := range []Codec{PCMA, PCMU, G722} {
		ear := new(ear)
		var pcm []int16
		for i := range tone.Frames() {
			pcm = append(pcm, ear.hear(codec, tone.Frame(codec, i))...)
		}
		level := sound.DBm0(sound.Level(pcm[400 : len(pcm)-400]))
		if math.Abs(level-ReferenceLevel) > 0.05 {
			t.Errorf("%v: %.3f dBm0", codec, level)
		}
	}
}
