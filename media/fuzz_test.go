package media

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// Whatever arrives: no panic, and the books agree.
func FuzzReceive(f *testing.F) {
	p := newPhone(f, PCMA)
	f.Add(p.packet(8, silence(PCMA), frameSamples))
	f.Add(p.packet(96, []byte{5, 0x8A, 1, 0x40}, 0))
	e, err := Open(Config{Bind: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLeg(e, "fuzz", &pair{port: 4000})
		l.rx.expect([]format{{8, PCMA}, {0, PCMU}, {96, event}})
		l.OnAudio(func(pcm []int16) {})
		src := netip.MustParseAddrPort("127.0.0.1:4000")
		for now := time.Duration(0); len(data) > 0 && now < 100*ptime; now += ptime {
			n := min(1+int(data[0]), len(data))
			l.receive(data[1:n], src, now)
			l.receive(data, src, now)
			data = data[n:]
		}
		if s := l.Stats(); s.Lost < 0 || s.Duplicates+s.Late > s.PacketsReceived {
			t.Errorf("stats %+v", s)
		}
	})
}

func FuzzReceiveReport(f *testing.F) {
	seed, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2, TotalLost: 0xFFFFFF}}},
		rtcp.NewCNAMESourceDescription(1, "x"), &rtcp.Goodbye{Sources: []uint32{1}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	seed, err = rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, &rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{
		&rtcp.VoIPMetricsReportBlock{SSRC: 2, DiscardRate: 255, MOSLQ: 127, MOSCQ: 50},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(malformed(f, 2))
	e, err := Open(Config{Bind: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLeg(e, "fuzz", &pair{port: 4000})
		src := netip.MustParseAddrPort("127.0.0.1:4001")
		l.reports.redirect(src)
		l.receiveReport(data, src, time.Second)
		if s := l.Stats(); s.RTT < 0 || s.RTT > time.Minute || s.PhoneMOS != 0 && s.PhoneMOS < 1 || s.PhoneMOS > 5 || s.PhoneDiscarded > 1 {
			t.Errorf("round trip %v, the phone's score %v, discarded %v", s.RTT, s.PhoneMOS, s.PhoneDiscarded)
		}
	})
}
