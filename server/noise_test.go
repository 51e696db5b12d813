package server

import (
	"net"
	"strings"
	"testing"

	"github.com/pion/rtp"

	"hotline/routing"
)

// Comfort noise that a caller's gateway sends in pauses gets through the queue's talk to the agent's phone.
func TestComfortNoiseReachesTheAgent(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	sound, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sound.Close() })
	p := h.textPhone()
	const from, uri = "<sip:+8613800000001@127.0.0.1>;tag=x", "sip:1@127.0.0.1"
	p.send("INVITE", uri, from, "<"+uri+">", "quiet", sdp(sound.LocalAddr().(*net.UDPAddr).Port, "8 13", "sendrecv"))
	ok := p.until("SIP/2.0 200", "INVITE")
	p.send("ACK", uri, from, field(ok, "To"), "quiet", "")
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	_, port, _ := strings.Cut(ok, "m=audio ")
	port, _, _ = strings.Cut(port, " ")
	to, err := net.ResolveUDPAddr("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	packet := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7}}
	say := func(payload uint8, what []byte, length uint32) {
		packet.PayloadType, packet.Payload = payload, what
		b, err := packet.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sound.WriteToUDP(b, to); err != nil {
			t.Fatal(err)
		}
		packet.SequenceNumber++
		packet.Timestamp += length
	}
	// All but noise are packets of 160 bytes.
	h.until("the noise has come", func() bool {
		say(8, make([]byte, 160), 160)
		say(13, []byte{70, 1, 2, 3, 4, 5, 6}, 0)
		return agent.Media.Stats().BytesReceived%160 != 0
	})
	if s := agent.Media.Stats(); s.Unknown != 0 {
		t.Errorf("stats %+v", s)
	}
}
