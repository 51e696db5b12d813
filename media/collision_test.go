package media

import (
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// A peer that happens to use our SSRC, as its packets or its reports say, has us take another one and say BYE; one
// that goes on doing so sends back what we send. Strangers decide nothing.
func TestPeerUsesOurSSRC(t *testing.T) {
	for _, by := range []string{"packets", "reports"} {
		t.Run(by, func(t *testing.T) {
			e := openEngine(t, func(c *Config) { c.ReportInterval = time.Hour })
			p := newPhone(t, PCMA)
			l := p.call(e)
			first := p.hear()
			stranger, err := net.Dial("udp4", l.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			imitate := func(ssrc uint32) {
				t.Helper()
				p.ssrc = ssrc
				if by == "packets" {
					p.speak(l, silence(PCMA))
					return
				}
				report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: ssrc}})
				if err != nil {
					t.Fatal(err)
				}
				l.receiveReport(report, addrOf(p.rtcp), e.now())
			}
			p.speak(l, silence(PCMA))
			imitate(first.SSRC - 1) // its own
			p.speak(l, silence(PCMA))
			p.ssrc = first.SSRC
			if _, err := stranger.Write(p.packet(8, silence(PCMA), frameSamples)); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if pkt := p.hear(); pkt.SSRC != first.SSRC {
					t.Fatal("a stranger changed our SSRC")
				}
			}
			imitate(first.SSRC)
			var before *rtp.Packet
			next := p.hearUntil("another SSRC", func(pkt *rtp.Packet) bool {
				if pkt.SSRC == first.SSRC {
					before = pkt
				}
				return pkt.SSRC != first.SSRC
			})
			if !next.Marker || before != nil && next.SequenceNumber != before.SequenceNumber+1 {
				t.Errorf("marker %v, number %d", next.Marker, next.SequenceNumber)
			}
			for bye := false; !bye; { // a report may have come before
				packets, err := rtcp.Unmarshal(readDatagram(t, p.rtcp))
				if err != nil {
					t.Fatal(err)
				}
				last, ok := packets[len(packets)-1].(*rtcp.Goodbye)
				if bye = ok; bye && (last.Sources[0] != first.SSRC || packets[0].(*rtcp.ReceiverReport).SSRC != first.SSRC) {
					t.Errorf("BYE of %v", packets)
				}
			}
			if ssrc, _, n, _, _ := l.sender.report(e.now()); ssrc != next.SSRC || n == 0 || n >= l.Stats().PacketsSent {
				t.Errorf("a report of %d packets of %x", n, ssrc)
			}
			imitate(next.SSRC)
			for range 10 {
				if pkt := p.hear(); pkt.SSRC != next.SSRC {
					t.Fatal("our own packets that come back changed our SSRC")
				}
			}
		})
	}
}
