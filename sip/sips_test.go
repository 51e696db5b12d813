package sip

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// sipsScene is a server with a listener for each of UDP, TCP and TLS, and who is called.
func sipsScene(t *testing.T) (*Stack, *authority, chan *Leg) {
	t.Helper()
	return sipsSceneTold(t, nil)
}

// sipsSceneTold tells of alice's registrations.
func sipsSceneTold(t *testing.T, told func(user string, contacts int)) (*Stack, *authority, chan *Leg) {
	t.Helper()
	a, legs := newAuthority(t), make(chan *Leg, 4)
	srv := openStack(t, Options{
		Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Registered: told, Invite: func(l *Leg) {
			legs <- l
			_ = l.Answer([]byte("v=0\r\n"))
		}},
	}, Listener{Network: "udp", Addr: local}, Listener{Network: "tcp", Addr: local}, Listener{Network: "tls", Addr: local, TLS: a.host("server")})
	return srv, a, legs
}

// sipsPeer speaks SIP as text by a real socket.
type sipsPeer struct {
	*asker
	via string
}

// peerBy connects a peer by "UDP", "TCP" or "TLS", to the listener of that.
func peerBy(t *testing.T, srv *Stack, a *authority, network string) *sipsPeer {
	t.Helper()
	switch network {
	case "UDP":
		return &sipsPeer{newAsker(t, "udp", srv.Addr(0)), network}
	case "TCP":
		return &sipsPeer{newAsker(t, "tcp", srv.Addr(1)), network}
	}
	c := newTLSPeer(t, srv.Addr(2), a)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &sipsPeer{&asker{t, c}, network}
}

func (p *sipsPeer) request(method, uri, id string, seq int, lines ...string) {
	p.t.Helper()
	at := p.conn.LocalAddr().String()
	text := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=p\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", method, uri, p.via, at, id, seq, id, seq, method)
	if !strings.HasPrefix(strings.Join(lines, "\n"), "To:") {
		text += "To: <sip:alice@127.0.0.1>\r\n"
	}
	if _, err := io.WriteString(p.conn, text+strings.Join(append(lines, "Content-Length: 0", "", ""), "\r\n")); err != nil {
		p.t.Fatal(err)
	}
}

// register registers alice with a Contact; the final answer.
func (p *sipsPeer) register(id, contact string, lines ...string) string {
	p.t.Helper()
	lines = append(lines, "Contact: "+contact)
	p.request("REGISTER", "sip:127.0.0.1", id, 1, lines...)
	lines = append(lines, answer(p.t, p.await("SIP/2.0 401", "1 REGISTER"), "REGISTER", "sip:127.0.0.1", "alice", "wonderland", 1))
	p.request("REGISTER", "sip:127.0.0.1", id, 2, lines...)
	return p.await("SIP/2.0 ", "2 REGISTER")
}

// RFC 5630: a phone with a sips Contact is called by its TLS connection, with sips on both
// sides, and all of the dialog stays there, whatever the phone says in its answer. When
// the connection is gone the phone can't be called, though its address is known.
func TestPhoneWithSIPSIsCalledByTLSAlone(t *testing.T) {
	gone := make(chan struct{})
	srv, a, _ := sipsSceneTold(t, func(_ string, contacts int) {
		if contacts == 0 {
			close(gone)
		}
	})
	plain, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	phone := peerBy(t, srv, a, "TLS")
	contact := fmt.Sprintf("sips:alice@%s", plain.LocalAddr())
	if res := phone.register("reg", "<"+contact+">"); !strings.HasPrefix(res, "SIP/2.0 200") || !strings.Contains(res, contact) {
		t.Fatalf("registered: %q", res)
	}
	cs := srv.Contacts("alice")
	d := srv.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
	invite := phone.await("INVITE "+contact+" ", "")
	us := fmt.Sprintf("<sips:hotline@%s>", srv.Addr(2))
	if got := header(invite, "Contact"); got != us || !strings.Contains(header(invite, "To"), "<sips:") {
		t.Errorf("called with Contact %s, To %s", got, header(invite, "To"))
	}
	ok := fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=phone\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:alice@%s;transport=udp>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
		header(invite, "Via"), header(invite, "From"), header(invite, "To"), header(invite, "Call-ID"), header(invite, "CSeq"), plain.LocalAddr())
	if _, err := io.WriteString(phone.conn, ok); err != nil {
		t.Fatal(err)
	}
	phone.await("ACK ", "")
	within(t, "outcome", d.Done())
	d.Outcome().Leg.Hangup()
	phone.await("BYE ", "")

	_ = phone.conn.Close()
	within(t, "the end of the registration", gone)
	d = srv.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n"), Unreachable: time.Second})
	within(t, "outcome", d.Done())
	if out := d.Outcome(); len(srv.Contacts("alice")) != 0 || out.Cause != DialUnreachable {
		t.Errorf("%d contacts; dialled: %+v", len(srv.Contacts("alice")), out)
	}
	_ = plain.SetReadDeadline(time.Now())
	if n, _, err := plain.ReadFrom(make([]byte, 1500)); err == nil {
		t.Errorf("%d bytes came in the clear", n)
	}
}

// A sips Contact whose calls would go in the clear somewhere isn't taken.
func TestSIPSContactNeedsTLS(t *testing.T) {
	for _, tc := range []struct {
		network, contact, path, want string
	}{
		{"UDP", "sips:alice@127.0.0.1:9", "", "400"},
		{"TCP", "sips:alice@127.0.0.1:9;transport=tcp", "", "400"},
		{"TLS", "sips:alice@127.0.0.1:9", "", "200"},
		{"TLS", "sips:alice@127.0.0.1:9", "<sip:127.0.0.1:9;lr>", "400"},
		{"TLS", "sips:alice@127.0.0.1:9", "<sips:127.0.0.1:9;lr>, <sip:127.0.0.1:8;transport=tcp;lr>", "400"},
		{"TLS", "sips:alice@127.0.0.1:9", "<sips:127.0.0.1:9;lr>, <sip:127.0.0.1:8;transport=tls;lr>", "200"},
		{"UDP", "sip:alice@127.0.0.1:9", "", "200"},
	} {
		t.Run(tc.network+" "+tc.contact+" "+tc.path, func(t *testing.T) {
			srv, a, _ := sipsScene(t)
			var lines []string
			if tc.path != "" {
				lines = []string{"Supported: path", "Path: " + tc.path}
			}
			res := peerBy(t, srv, a, tc.network).register("reg", "<"+tc.contact+">", lines...)
			if !strings.HasPrefix(res, "SIP/2.0 "+tc.want) || (header(res, "Warning") == `380 hotline "SIPS Not Allowed"`) != (tc.want == "400") {
				t.Errorf("answered %q", res)
			}
			if got := len(srv.Contacts("alice")); (got == 1) != (tc.want == "200") {
				t.Errorf("%d contacts", got)
			}
		})
	}
}

// A call for a sips URI that comes in the clear was sent on by somebody who mustn't: it is
// refused, and told that sip would do. By TLS our side of the dialog is sips, too. What
// ends a call is served anyhow.
func TestSIPSRequestNeedsTLS(t *testing.T) {
	for _, tc := range []struct{ network, uri, want, contact string }{
		{"UDP", "sips:1@127.0.0.1", "480", ""}, {"TCP", "sips:1@127.0.0.1", "480", ""},
		{"TLS", "sips:1@127.0.0.1", "200", "<sips:hotline@%s>"}, {"TLS", "sip:1@127.0.0.1", "200", "<sip:hotline@%s;transport=tls>"},
		{"UDP", "sip:1@127.0.0.1", "200", "<sip:hotline@%s>"},
	} {
		t.Run(tc.network+" "+tc.uri, func(t *testing.T) {
			srv, a, legs := sipsScene(t)
			p := peerBy(t, srv, a, tc.network)
			p.request("INVITE", tc.uri, "call", 1, "Contact: <"+tc.uri+">")
			res := p.await("SIP/2.0 ", "1 INVITE")
			if !strings.HasPrefix(res, "SIP/2.0 "+tc.want) {
				t.Fatalf("answered %q", res)
			}
			if tc.want == "480" {
				if header(res, "Warning") != `380 hotline "SIPS Not Allowed"` || len(legs) != 0 {
					t.Errorf("answered %q", res)
				}
				p.request("CANCEL", tc.uri, "call", 1)
				// 481 once the INVITE's transaction is gone, 200 while it is there (RFC 3261 9.2).
				if res := p.await("SIP/2.0 ", "1 CANCEL"); !strings.HasPrefix(res, "SIP/2.0 200") && !strings.HasPrefix(res, "SIP/2.0 481") {
					t.Errorf("CANCEL answered %q", res)
				}
				return
			}
			at := srv.Addr(map[string]int{"UDP": 0, "TLS": 2}[tc.network])
			if want := fmt.Sprintf(tc.contact, at); header(res, "Contact") != want {
				t.Errorf("Contact %s, want %s", header(res, "Contact"), want)
			}
			to := "To: " + header(res, "To")
			p.request("ACK", tc.uri, "call", 1, to)
			l := <-legs
			within(t, "ACK", l.Confirmed())
			by := peerBy(t, srv, a, "UDP")
			by.request("BYE", "sips:hotline@127.0.0.1", "call", 2, to)
			by.await("SIP/2.0 200", "2 BYE")
			within(t, "the end", l.Done())
		})
	}
}

func TestSIPSIsDialledByTLS(t *testing.T) {
	srv, _, _ := sipsScene(t)
	for uri, want := range map[string]string{
		"sips:x@h": "TLS", "sips:x@h;transport=tcp": "TLS", "sips:x@h;transport=tls": "TLS", "sips:x@h;transport=udp": "", "sips:x@h;transport=ws": "", "sip:x@h": "UDP",
	} {
		if c, err := srv.ContactTo(uri); c.Network != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", uri, c.Network, err)
		}
	}
}

// newTLSPeer connects a client without a certificate of its own.
func newTLSPeer(t *testing.T, to netip.AddrPort, a *authority) net.Conn {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c, err := tls.Dial("tcp", to.String(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
