package server

import (
	"net"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/softphone"
)

// Keys travel as the trunk's dtmf says: events are agreed on or not, and INFO's are taken or
// refused.
func TestKeysOfATrunk(t *testing.T) {
	for _, tc := range []struct {
		way    string
		events bool
		info   string
	}{{"any", true, "200"}, {"rfc4733", true, "415"}, {"info", false, "200"}} {
		t.Run(tc.way, func(t *testing.T) {
			h := start(t, func(c *config.Config) { c.Trunks[0].DTMF = tc.way })
			p, uri := h.textPhone(), "sip:1@"+h.SIPAddr().String()
			const from, to = "<sip:13800000001@127.0.0.1>;tag=c", "<sip:1@127.0.0.1>"
			p.send("INVITE", uri, from, to, "keys", sdp(40000, "8 96\r\na=rtpmap:96 telephone-event/8000", "sendrecv"))
			ok := p.until("SIP/2.0 200", "INVITE")
			if got := strings.Contains(ok, "telephone-event"); got != tc.events {
				t.Errorf("answered %q", ok)
			}
			p.send("ACK", uri, from, field(ok, "To"), "keys", "")
			p.raw(strings.NewReplacer("TO", field(ok, "To"), "ADDR", p.addr(), "URI", uri, "FROM", from).Replace(
				"INFO URI SIP/2.0\r\nVia: SIP/2.0/UDP ADDR;branch=z9hG4bKkey;rport\r\nFrom: FROM\r\nTo: TO\r\nCall-ID: keys\r\nCSeq: 900 INFO\r\nMax-Forwards: 70\r\nContent-Type: application/dtmf\r\nContent-Length: 1\r\n\r\n5"))
			p.until("SIP/2.0 "+tc.info, "INFO")
		})
	}
}

// gateway is a peer of text that a trunk leads to: it is there before the server.
type gateway struct {
	*net.UDPConn
	to net.Addr
}

func (g *gateway) Write(data []byte) (int, error) { return g.WriteTo(data, g.to) }

// And with a trunk that is called: an agent's keys, which come as events, go to it by INFO
// when it wants that; then no events are offered.
func TestKeysToATrunk(t *testing.T) {
	for _, way := range []string{"any", "info"} {
		t.Run(way, func(t *testing.T) {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, cfg := outside(t)
			h := start(t, func(c *config.Config) {
				cfg(c)
				network := &c.Trunks[len(c.Trunks)-1]
				network.DTMF, network.Gateways[0].Host = way, conn.LocalAddr().String()
			})
			phone, _ := h.desk("alice")
			asked := make(chan *softphone.Call, 1)
			go func() {
				c, err := phone.Dial(h.context(), "+8613900000000", "alice", "")
				if err != nil {
					t.Error(err)
				}
				asked <- c
			}()
			far := &textPhone{t: t, conn: &gateway{conn, net.UDPAddrFromAddrPort(h.SIPAddr())}}
			invite := far.until("INVITE ", "INVITE")
			if got := strings.Contains(invite, "telephone-event"); got != (way == "any") {
				t.Errorf("offered %q", invite)
			}
			far.reply(invite, "200 OK", "far", sdp(40000, "8", "sendrecv"))
			far.until("ACK ", "ACK")
			call := <-asked
			if call == nil {
				t.FailNow()
			}
			if way == "info" {
				if err := call.Media.SendDigit('7', 100*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				info := far.until("INFO ", "INFO")
				if !strings.Contains(info, "\r\nSignal=7\r\n") {
					t.Errorf("sent %q", info)
				}
				far.reply(info, "200 OK", "far", "")
			}
			call.Hangup()
			far.reply(far.until("BYE ", "BYE"), "200 OK", "far", "")
		})
	}
}
