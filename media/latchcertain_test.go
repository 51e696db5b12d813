package media

import (
	"net/netip"
	"testing"
	"time"
)

// Who was believed before the answer came isn't any more when the answer says for certain where the peer is.
func TestCertainAnswerAfterAStranger(t *testing.T) {
	gateway, stranger := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.66:5000")
	for _, certain := range []bool{true, false} {
		l := latch{trusting: certain}
		for i := range uint16(learnPackets) {
			l.accept(stranger, i, time.Second)
		}
		l.hint = gateway.Addr()
		if moved := l.signal(gateway, time.Second); moved != certain || (l.locked == stranger) == certain {
			t.Errorf("certain %v: moved %v, locked on %v", certain, moved, l.locked)
		}
	}
}
