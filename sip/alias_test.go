package sip

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// RFC 5923: on a TLS connection that we opened and showed a certificate on, the peer may call us: our Via says so by
// alias, his INVITE is the trunk's that his certificate names, and our BYE goes back the same way. Without a
// certificate of ours, and by TCP, there is no alias.
func TestPeerCallsOnOurConnection(t *testing.T) {
	a := newAuthority(t)
	far := a.host("far", "trunk.example.com", "localhost")
	pair, err := tls.LoadX509KeyPair(far.Certificate, far.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	for _, tc := range []struct {
		name, network string
		own           bool
	}{{"mutual TLS", "TLS", true}, {"TLS without our certificate", "TLS", false}, {"TCP", "TCP", true}} {
		t.Run(tc.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
			if tc.network == "TLS" {
				listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven})
			}
			ours := TLSFiles{CA: a.path("ca.pem")}
			if tc.own {
				ours = a.host("ours", "hotline.example.com")
				ours.CA = a.path("ca.pem")
			}
			legs := make(chan *Leg, 1)
			us := openStack(t, Options{TLS: ours,
				Access:   Access{Trunks: []Trunk{{Name: "mutual", TLSName: "trunk.example.com"}, {Name: "plain", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}},
				Listener{Network: "udp", Addr: local})
			_, port, _ := net.SplitHostPort(listener.Addr().String())
			to, err := us.ContactTo("sip:x@localhost:" + port + ";transport=" + strings.ToLower(tc.network))
			if err != nil {
				t.Fatal(err)
			}
			d := us.Dial(Outgoing{Contacts: []Contact{to}, FromUser: "1", ToUser: "x", Offer: []byte("v=0\r\n")})
			defer d.Cancel()
			c, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			via := header(readUntil(t, c, "INVITE sip:x@"), "Via")
			mutual := tc.network == "TLS" && tc.own
			if strings.Contains(via, ";alias") != mutual {
				t.Errorf("Via %q", via)
			}
			if !mutual {
				return
			}
			_, _ = c.Write([]byte(inviteBy("back")))
			ok := readUntil(t, c, "SIP/2.0 200")
			l := <-legs
			if tr := l.Incoming().Trunk; tr == nil || tr.Name != "mutual" {
				t.Errorf("the call came by %+v", tr)
			}
			_, _ = c.Write([]byte("ACK sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: " + header(ok, "From") + "\r\nTo: " + header(ok, "To") + "\r\nCall-ID: back\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
			within(t, "ACK", l.Confirmed())
			l.Hangup()
			readUntil(t, c, "BYE ")
		})
	}
}
