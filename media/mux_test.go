package media

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// With rtcp-mux reports leave by the RTP port and are taken there, and voice goes on beside them.
func TestReportsByTheRTPPort(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.ReportInterval = 50 * time.Millisecond })
	p := newPhone(t, PCMA)
	l := openLeg(t, e)
	answer, err := l.Answer(p.offer("a=rtcp-mux"))
	if err != nil || !bytes.Contains(answer, []byte("a=rtcp-mux\r\n")) {
		t.Fatalf("answer %s, %v", answer, err)
	}
	p.speak(l, silence(PCMA))
	seen := map[bool]bool{}
	for deadline := time.Now().Add(patience); len(seen) < 2 && time.Now().Before(deadline); {
		seen[isReport(readDatagram(t, p.rtp))] = true
	}
	if !seen[true] || !seen[false] {
		t.Fatalf("reports %v, voice %v by the RTP port; want both", seen[true], seen[false])
	}
	bye, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc}, &rtcp.Goodbye{Sources: []uint32{p.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{}, 1)
	l.OnAudio(func([]int16) {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	p.send(l, bye)
	p.speak(l, silence(PCMA)) // comes by the same socket, after it
	wait(t, "what came after the BYE", heard)
	if s := l.Stats(); !s.PeerBye || s.Invalid != 0 || s.Unknown != 0 || s.PacketsReceived != 2 {
		t.Errorf("stats %+v", s)
	}

	// The phone wants its own port for reports again.
	if answer, err = l.Answer(p.offer()); err != nil || bytes.Contains(answer, []byte("rtcp-mux")) {
		t.Fatalf("answer %s, %v", answer, err)
	}
	if _, err := rtcp.Unmarshal(readDatagram(t, p.rtcp)); err != nil {
		t.Fatal(err)
	}
}
