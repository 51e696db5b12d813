package server

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/sip"
	"hotline/softphone"
)

// phoneAt registers a phone of an agent's with a listener of the server's.
func (h *hotline) phoneAt(user, listen string, listener int) <-chan *softphone.Ringing {
	h.t.Helper()
	rings := make(chan *softphone.Ringing, 4)
	p, err := softphone.Open(softphone.Options{Server: "sip:" + h.SIPAddrs()[listener].String(), Listen: netip.AddrPortFrom(netip.MustParseAddr(listen), 0),
		Credentials: sip.Credentials{User: user, Password: "a-long-secret"}, Ring: func(r *softphone.Ringing) { rings <- r }})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = p.Close() })
	if err := p.Register(h.context(), time.Minute); err != nil {
		h.t.Fatal(err)
	}
	return rings
}

// A server in several networks: the sound of each call comes to an address of the network
// that its signalling comes by, and callers and agents of different ones hear each other.
func TestSoundComesToTheListenersNetwork(t *testing.T) {
	listeners := []config.Listen{{Network: "udp", Address: netip.MustParseAddrPort("127.0.0.1:0")},
		{Network: "udp", Address: netip.MustParseAddrPort("[::1]:0")},
		{Network: "udp", Address: netip.MustParseAddrPort("127.0.0.2:0"), MediaAddress: netip.MustParseAddr("127.0.0.2"), MediaAdvertise: netip.MustParseAddr("127.0.0.3")}}
	h := start(t, func(c *config.Config) { c.SIP.Listen = listeners })
	four, six := h.phoneAt("alice", "127.0.0.1", 0), h.phoneAt("alice", "::1", 1)
	h.seatIs("alice", routing.SeatIdle)
	caller := h.call()
	if got := caller.Media.Stats().RemoteAddr.Addr().String(); got != "127.0.0.1" {
		t.Errorf("the caller sends to %s", got)
	}
	ring4, ring6 := h.ring(four), h.ring(six)
	agent, err := ring6.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.await("the end of the other phone's ringing", ring4.Gone())
	h.seatIs("alice", routing.SeatTalking)
	if got := agent.Media.Stats().RemoteAddr.Addr().String(); got != "::1" {
		t.Errorf("the agent sends to %s", got)
	}
	h.hears("IPv4 to IPv6", caller, agent, '1')
	h.hears("IPv6 to IPv4", agent, caller, '2')
	if st := h.Media(); st.PortsInUse != 2 {
		t.Errorf("%d pairs of ports in use for two legs", st.PortsInUse)
	}
	caller.Hangup()

	p := h.textPhoneAt(2)
	p.send("INVITE", "sip:1@"+h.SIPAddrs()[2].String(), "<sip:13800000001@127.0.0.1>;tag=second", "<sip:1@127.0.0.2>", "second", sdp(40000, "8", "sendrecv"))
	if answer := p.until("SIP/2.0 200", "INVITE"); !strings.Contains(answer, "c=IN IP4 127.0.0.3\r\n") {
		t.Errorf("the caller of the second network is answered %q", answer)
	}
}

// carrier is a gateway that refuses with a code, or answers with 0; it tells what it was
// offered.
func carrier(t *testing.T, code int) (gateway config.Gateway, offered <-chan string) {
	t.Helper()
	got := make(chan string, 4)
	w, err := sip.Open(sip.Options{Logger: slog.New(slog.DiscardHandler),
		Listen: []sip.Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Access: sip.Access{Trunks: []sip.Trunk{{Name: "us", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}},
		Handlers: sip.Handlers{Invite: func(l *sip.Leg) {
			got <- string(l.Incoming().Offer)
			if code != 0 {
				_ = l.Reject(code, "No")
				return
			}
			_ = l.Answer([]byte(sdp(40002, "8", "sendrecv")))
		}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return config.Gateway{Host: w.Addr(0).String(), Transport: "udp", Weight: 1}, got
}

// Each trunk that is tried is offered its own codecs.
func TestEachTrunkIsOfferedItsCodecs(t *testing.T) {
	first, offered1 := carrier(t, 503)
	second, offered2 := carrier(t, 0)
	_, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		c.Trunks = append(c.Trunks,
			config.Trunk{Name: "first", Region: "CN", Codecs: []string{"pcmu"}, Gateways: []config.Gateway{first}},
			config.Trunk{Name: "second", Region: "CN", Codecs: []string{"pcma"}, DTMF: "info", Gateways: []config.Gateway{second}})
		c.Outbound.Routes = []config.Route{{Prefix: "+86", Trunks: []string{"first", "second"}}}
	})
	d, no := h.dialTo(destination{number: "+8613900000000"}, dialer{id: "x", who: byAgent("alice"), caller: "alice"})
	if no.code != 0 {
		t.Fatal(no)
	}
	h.await("an answer", d.dial.Done())
	if sdp := <-offered1; !strings.Contains(sdp, "RTP/AVP 0 101\r\n") {
		t.Errorf("the first trunk is offered %q", sdp)
	}
	if sdp := <-offered2; !strings.Contains(sdp, "RTP/AVP 8\r\n") {
		t.Errorf("the second trunk is offered %q", sdp)
	}
	p, why, _ := d.answered()
	if p == nil {
		t.Fatal(why)
	}
	if p.where != "trunk second" || p.audio.Codec().String() != "PCMA" || h.Media().PortsInUse != 1 {
		t.Errorf("%s talks %v, %d pairs of ports in use", p.where, p.audio.Codec(), h.Media().PortsInUse)
	}
	h.leave(p, nil)
}
