package server

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"hotline/config"
)

// Where a trunk's SDP names the address that its signalling comes from, a caller who says nothing yet isn't
// replaced by whoever sends to all ports; where the trunk may send from elsewhere, five packets tell.
func TestStrangerIsNoCallerOfATrustedTrunk(t *testing.T) {
	for _, c := range []struct {
		name             string
		change           func(*config.Trunk)
		received, others uint64
	}{
		{"trusted", func(*config.Trunk) {}, 0, 20},
		{"learn_rtp", func(t *config.Trunk) { t.LearnRTP = true }, 16, 4},
		{"symmetric", func(t *config.Trunk) { t.Symmetric = true }, 16, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, func(cfg *config.Config) { c.change(&cfg.Trunks[0]) })
			p := h.textPhone()
			p.send("INVITE", "sip:1@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=s", "<sip:1@127.0.0.1>", "silent", sdp(4004, "8", "sendrecv"))
			ok := p.until("SIP/2.0 200", "INVITE")
			p.send("ACK", "sip:1@"+h.SIPAddr().String(), "<sip:13800000001@127.0.0.1>;tag=s", field(ok, "To"), "silent", "")
			_, audio, _ := strings.Cut(ok, "m=audio ")
			port := 0
			if _, err := fmt.Sscan(audio, &port); err != nil {
				t.Fatal(err)
			}
			strangerSpeaks(t, port)
			h.until("the stranger's packets are judged", func() bool {
				s := h.media.Stats()
				return s.PacketsReceived == c.received && s.PacketsDropped == c.others
			})
		})
	}
}

// strangerSpeaks sends twenty packets of sound to a port from an address that nobody named.
func strangerSpeaks(t *testing.T, port int) {
	t.Helper()
	stranger, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	packet := make([]byte, 12+160)
	packet[0], packet[1] = 0x80, 8
	for i := range uint16(20) {
		binary.BigEndian.PutUint16(packet[2:], i)
		binary.BigEndian.PutUint32(packet[4:], 160*uint32(i))
		if _, err := stranger.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
}
