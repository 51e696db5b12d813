package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"hotline/config"
)

// silentGateway answers the first INVITE with an SDP of its own address, and sends no sound. It returns where the
// hotline's sound is to go.
func silentGateway(t *testing.T, conn *net.UDPConn) (port int) {
	t.Helper()
	buf := make([]byte, 4096)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	invite := string(buf[:n])
	body := sdp(4004, "8", "sendrecv")
	lines := []string{"SIP/2.0 200 OK"}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		line := name + ": " + field(invite, name)
		if name == "To" {
			line += ";tag=gateway"
		}
		lines = append(lines, line)
	}
	lines = append(lines, fmt.Sprintf("Contact: <sip:%s>", conn.LocalAddr()), "Content-Type: application/sdp",
		fmt.Sprintf("Content-Length: %d", len(body)), "", body)
	if _, err := conn.WriteToUDPAddrPort([]byte(strings.Join(lines, "\r\n")), from); err != nil {
		t.Fatal(err)
	}
	_, audio, _ := strings.Cut(invite, "m=audio ")
	if _, err := fmt.Sscan(audio, &port); err != nil {
		t.Fatalf("%v\n%s", err, invite)
	}
	return port
}

// A call that we make by a trunk is as strict as one that comes from it.
func TestStrangerIsNobodyCalledByATrustedTrunk(t *testing.T) {
	for _, c := range []struct {
		name   string
		learns bool
		others uint64
	}{{"trusted", false, 20}, {"learn_rtp", true, 4}} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, cfg := outside(t)
			h := start(t, func(cc *config.Config) {
				cfg(cc)
				trunk := &cc.Trunks[len(cc.Trunks)-1]
				trunk.Gateways[0].Host, trunk.LearnRTP = conn.LocalAddr().String(), c.learns
			})
			phone, _ := h.desk("alice")
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				if _, err := phone.Dial(h.context(), "+8613900000000", "alice", ""); err != nil {
					t.Error(err)
				}
			}()
			port := silentGateway(t, conn)
			h.await("the answer", answered)
			strangerSpeaks(t, port)
			h.until("the stranger's packets are judged", func() bool { return h.media.Stats().PacketsDropped == c.others })
		})
	}
}
