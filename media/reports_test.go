package media

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestReports(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.ReportInterval = 50 * time.Millisecond })
	p := newPhone(t, PCMA)
	l := p.call(e)
	for _, skip := range []uint16{0, 0, 2} { // two lost
		p.seq += skip
		p.speak(l, silence(PCMA))
	}
	report := func() (sr *rtcp.SenderReport, bye bool) {
		packets, err := rtcp.Unmarshal(readDatagram(t, p.rtcp))
		if err != nil {
			t.Fatal(err)
		}
		for _, pkt := range packets {
			switch pkt := pkt.(type) {
			case *rtcp.SenderReport:
				sr = pkt
			case *rtcp.Goodbye:
				bye = true
			}
		}
		return sr, bye
	}
	var sr *rtcp.SenderReport
	for sr == nil || len(sr.Reports) == 0 || sr.Reports[0].TotalLost != 2 {
		sr, _ = report()
	}
	if sr.SSRC != p.hear().SSRC || sr.PacketCount == 0 || sr.Reports[0].SSRC != p.ssrc {
		t.Errorf("report %+v", sr)
	}

	// Our report comes back 30 ms after the phone got it, as the phone says; it lost a quarter.
	src := addrOf(p.rtcp)
	reply, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc, Reports: []rtcp.ReceptionReport{{
		SSRC: sr.SSRC, FractionLost: 64, TotalLost: 5, Jitter: 80,
		LastSenderReport: uint32(sr.NTPTime >> 16), Delay: ntpUnits(30 * time.Millisecond),
	}}}, &rtcp.Goodbye{Sources: []uint32{p.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Unix(int64(sr.NTPTime>>32)-2208988800, int64(sr.NTPTime&0xFFFFFFFF)*1e9>>32)
	l.receiveReport(reply, src, sent.Sub(e.start)+50*time.Millisecond)
	s := l.Stats()
	if d := s.RTT - 20*time.Millisecond; d < -time.Millisecond || d > time.Millisecond {
		t.Errorf("round trip %v, want 20 ms", s.RTT)
	}
	if s.PeerLost != 5 || s.PeerFraction != 0.25 || s.PeerJitter != 10*time.Millisecond || !s.PeerBye || s.Lost != 2 {
		t.Errorf("stats %+v", s)
	}

	l.receiveReport([]byte("garbage"), src, e.now())
	l.receiveReport(reply, netip.MustParseAddrPort("192.0.2.1:5"), e.now())
	if s := l.Stats(); s.Invalid != 1 || s.Stray != 1 {
		t.Errorf("%d invalid, %d stray; want 1, 1", s.Invalid, s.Stray)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, bye := report(); bye {
			return
		}
	}
}
