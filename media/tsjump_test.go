package media

import (
	"bytes"
	"testing"
	"time"
)

// A peer that begins other timestamps within its stream, as one that transfers does, is no jitter: neither in
// our reports nor in the score of the call.
func TestTimestampJumpIsNoJitter(t *testing.T) {
	for _, jump := range []uint32{10 * clockRate, 1 << 30, 1 << 31, 1<<32 - 10*clockRate} {
		e := openEngine(t, nil)
		p := newPhone(t, PCMA)
		l := p.call(e)
		at := e.now()
		for i := range 20 {
			if i == 15 {
				p.ts += jump
			}
			at += ptime
			packet := p.packet(8, bytes.Repeat([]byte{0x2A}, frameSamples), frameSamples)
			l.receive(packet, addrOf(p.rtp), at)
		}
		if s := l.Stats(); s.Jitter > time.Millisecond || s.MOS < 4.3 {
			t.Errorf("timestamps that jump by %d: jitter %v, MOS %.2f", jump, s.Jitter, s.MOS)
		}
	}
}
