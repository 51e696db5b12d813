package media

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// malformed begins as a sender report that a peer may send, goes on with an XR whose block is longer than the
// packet, and ends with BYE.
func malformed(t testing.TB, ours uint32) []byte {
	t.Helper()
	first, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{
		SSRC: 1, NTPTime: 5 << 32, Reports: []rtcp.ReceptionReport{{SSRC: ours, FractionLost: 64, TotalLost: 7}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	bye, err := rtcp.Marshal([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{1}}})
	if err != nil {
		t.Fatal(err)
	}
	xr := []byte{0x80, 207, 0, 2, 0, 0, 0, 1, 7, 0, 0xFF, 0xFF}
	return append(append(first, xr...), bye...)
}

// A packet that can't be read takes none of the others with it.
func TestReportBesideAMalformedOne(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	ours, _, _, _, _ := l.sender.report(e.now())
	data := malformed(t, ours)
	l.receiveReport(data, addrOf(p.rtcp), time.Second)
	if s := l.Stats(); s.PeerLost != 7 || s.PeerFraction != 0.25 || !s.PeerBye || s.Invalid != 1 || l.reports.lastSR != 5<<16 {
		t.Errorf("stats %+v", s)
	}
	data[2], data[3] = 0xFF, 0xFF // the first one's length
	l.receiveReport(data, addrOf(p.rtcp), time.Second)
	if s := l.Stats(); s.Invalid != 2 || l.reports.came != 1 {
		t.Errorf("%d invalid, %d came", s.Invalid, l.reports.came)
	}
}
