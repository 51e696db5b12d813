package media

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// spoken is a talk whose packets are counted as they leave the first phone and reach the second.
type spoken struct {
	*talk
	numbers       uint32 // used by the first phone, the lost ones too
	heard, octets uint32 // by the second
}

func (s *spoken) speak() {
	s.t.Helper()
	mark := byte(s.phones[0].seq)&0x7F | 1
	s.numbers++
	s.phones[0].speak(s.legs[0], bytes.Repeat([]byte{mark}, wordSize))
	for {
		p := s.phones[1].hear()
		s.heard++
		s.octets += uint32(len(p.Payload))
		if p.Payload[0] == mark {
			return
		}
	}
}

// lose has the network lose what the first phone says next.
func (s *spoken) lose() {
	s.numbers++
	s.phones[0].seq++
	s.phones[0].ts += wordSize
}

// repeat has the network deliver the first phone's last packet once more.
func (s *spoken) repeat() {
	p := s.phones[0]
	p.seq--
	p.ts -= wordSize
	p.speak(s.legs[0], make([]byte, wordSize))
}

// reportsTo gathers the blocks and the sender reports that came to a phone by now.
func reportsTo(t *testing.T, c *net.UDPConn) (blocks []rtcp.ReceptionReport, senders []*rtcp.SenderReport) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 2048); ; {
		n, err := c.Read(buf)
		if err != nil {
			return blocks, senders
		}
		all, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		switch p := all[0].(type) {
		case *rtcp.SenderReport:
			blocks, senders = append(blocks, p.Reports...), append(senders, p)
		case *rtcp.ReceiverReport:
			blocks = append(blocks, p.Reports...)
		}
	}
}

// What our reports say of a stream that the kernel forwards is what was sent and what got lost: to the
// phone that speaks the highest number, the loss and its share since the report before, to the one that
// listens packets and octets.
func TestReportsFromTheKernel(t *testing.T) {
	s := &spoken{talk: newTalk(t, func(c *Config) { c.ReportInterval = 30 * time.Millisecond })}
	first := uint32(s.phones[0].seq)
	const lost = 3
	var blocks []rtcp.ReceptionReport
	var senders []*rtcp.SenderReport
	gather := func() {
		t.Helper()
		more, _ := reportsTo(t, s.phones[0].rtcp)
		blocks = append(blocks, more...)
		_, sent := reportsTo(t, s.phones[1].rtcp)
		senders = append(senders, sent...)
	}
	enter := func() (flow *flow) {
		await(t, "the kernel forwards", func() bool {
			s.speak()
			flow = s.legs[0].flow.Load()
			return flow != nil && !flow.over()
		})
		return flow
	}
	flow := enter()
	gather()
	before := len(senders)
	for i := range 60 {
		if i%20 == 10 {
			s.lose()
		}
		s.speak()
		if i%30 == 20 {
			s.repeat()
		}
		gather()
	}
	await(t, "reports tell of all that was said", func() bool {
		gather()
		if flow.over() { // the pause was too long
			flow = enter()
			for range 10 { // that only the kernel knows of
				s.speak()
			}
			return false
		}
		return len(senders) > before && senders[len(senders)-1].PacketCount == s.heard && blocks[len(blocks)-1].LastSequenceNumber == first+s.numbers-1
	})
	last := senders[len(senders)-1]
	if last.SSRC != s.legs[1].sender.hdr.SSRC || last.OctetCount != s.octets {
		t.Errorf("%d octets of %08X were reported, want %d", last.OctetCount, last.SSRC, s.octets)
	}
	if b := blocks[len(blocks)-1]; b.SSRC != s.phones[0].ssrc || b.TotalLost != lost {
		t.Errorf("%d lost of %08X were reported, want %d", b.TotalLost, b.SSRC, lost)
	}
	for i, b := range blocks[1:] {
		a := blocks[i]
		if n := b.LastSequenceNumber - a.LastSequenceNumber; n > 0 && b.FractionLost != uint8((b.TotalLost-a.TotalLost)<<8/n) {
			t.Errorf("a share of %d/256 was reported for %d lost of %d", b.FractionLost, b.TotalLost-a.TotalLost, n)
		}
	}
	if got := s.legs[0].Stats(); got.Forwarded < 60 || got.Duplicates != 2 {
		t.Errorf("stats %+v", got)
	}
}
