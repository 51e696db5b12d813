package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"hotline/config"
	"hotline/sip"
)

// startTLSTunnel puts what connects to it by TCP on a TLS connection to the server: Debian's sipp has no TLS.
func startTLSTunnel(t *testing.T, to, ca string) (at string) {
	t.Helper()
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return serveEach(t, func(near net.Conn) {
		far, err := tls.Dial("tcp", to, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		if err != nil {
			return
		}
		defer far.Close()
		go func() { defer far.CloseWrite(); _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	})
}

// sipp by TLS: many calls on one connection, and each on one of its own.
func TestSippByTLS(t *testing.T) {
	certs := certificates(t)
	port := freePorts(t, 1)
	h := startHotline(t, func(c *config.Config) {
		c.Agents = nil
		c.SIP.Listen = append(c.SIP.Listen, config.Listen{Network: "tls", Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)),
			Certificate: filepath.Join(certs, "server.pem"), Key: filepath.Join(certs, "server.key")})
	})
	at := startTLSTunnel(t, fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(certs, "ca.pem"))
	const calls = 100
	for i, transport := range []string{"t1", "tn"} {
		callers := sippCallers{scenario: "caller.xml", server: at, did: "3", calls: calls, rate: 50, first: i * calls, args: []string{"-t", transport, "-max_socket", "1000"}}
		if err := awaitSipp(t, callers.start(t)); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
	if recs := h.finish(); len(recs) != 2*calls {
		t.Errorf("%d records, want %d", len(recs), 2*calls)
	}
}

// sipp is called, and wants what it lets us hear before its answer acknowledged (RFC 3262), by UDP and TCP, IPv4 and
// IPv6.
func TestSippWantsPrack(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for network, transport := range map[string]string{"udp": "u1", "tcp": "t1"} {
			t.Run(network+" "+ip, func(t *testing.T) {
				port := freePorts(t, 6)
				ended := startCalledAt(t, ip, "reliable.xml", port, 2, "-t", transport)
				at := netip.AddrPortFrom(netip.MustParseAddr(ip), 0)
				us, err := sip.Open(sip.Options{Logger: slog.New(slog.DiscardHandler), Listen: []sip.Listener{{Network: "udp", Addr: at}, {Network: "tcp", Addr: at}},
					Access: sip.Access{Trunks: []sip.Trunk{{Name: "carrier", Outbound: sip.Outbound{Gateways: []sip.Gateway{{Host: ip, Port: port, Network: network}}}}}}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = us.Close() })
				e := &end{Stack: us, t: t}
				for range 2 {
					d := us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)})
					e.over(d.Early(), "something to hear")
					l := e.dialled(d)
					e.over(l.Done(), "the other side to hang up")
					if c := l.End().Cause; c != sip.EndRemoteBye {
						t.Errorf("ended with %q", c)
					}
				}
				if err := awaitSipp(t, ended); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
