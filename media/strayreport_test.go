package media

import (
	"testing"

	"github.com/pion/rtcp"
)

// Reports that come by the RTP port, though nobody agreed to that, are no other stream.
func TestReportsOnTheVoicePort(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	report, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: p.ssrc, NTPTime: 1 << 60, RTPTime: 7, PacketCount: 3, OctetCount: 480},
		rtcp.NewCNAMESourceDescription(p.ssrc, "phone"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.receive(p.packet(8, silence(PCMA), frameSamples), addrOf(p.rtp), e.now())
		l.receive(report, addrOf(p.rtp), e.now())
	}
	if s := l.Stats(); s.SSRCChanges != 0 || s.PacketsReceived != 5 || s.Unknown != 5 || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}
