package sip

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// goneConn waits until the server has noticed that its only connection is gone.
func goneConn(t *testing.T, s *Stack) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		s.streams.mu.Lock()
		n := len(s.streams.open)
		s.streams.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection is still there")
		}
	}
}

// invitesAndLeaves sends an INVITE whose Via names a port of its own, and hangs the connection up once the server
// has it.
func invitesAndLeaves(t *testing.T, s *Stack, c net.Conn, port int, legs <-chan *Leg) *Leg {
	t.Helper()
	_, _ = c.Write([]byte(strings.ReplaceAll(inviteBy("gone"), "127.0.0.1:9", fmt.Sprintf("127.0.0.1:%d", port))))
	select {
	case l := <-legs:
		_ = c.Close()
		goneConn(t, s)
		return l
	case <-time.After(5 * time.Second):
		t.Fatal("no INVITE")
	}
	return nil
}

// RFC 3261 18.2.2: where the connection that a trunk's request came by has gone, its answer goes by a new one, to the
// port in its Via; and so by TLS, to whom the name of the trunk's certificate is shown.
func TestAnswerByANewConnection(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server")
	files.CA = a.path("ca.pem")
	for _, tc := range []struct {
		name, shown string
		arrives     bool
	}{{"tcp", "", true}, {"tls", "trunk.example.com", true}, {"tls", "other.example.com", false}} {
		t.Run(tc.name+" "+tc.shown, func(t *testing.T) {
			legs := make(chan *Leg, 1)
			trunk := Trunk{Name: "trunk", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
			if tc.shown != "" {
				trunk.TLSName = "trunk.example.com"
			}
			srv := openStack(t, Options{TLS: TLSFiles{CA: a.path("ca.pem")}, Access: Access{Trunks: []Trunk{trunk}}, Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}},
				Listener{Network: tc.name, Addr: local, TLS: files})
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
			port := listener.Addr().(*net.TCPAddr).Port
			var c net.Conn
			if tc.shown == "" {
				c, err = net.Dial("tcp", srv.Addr(0).String())
			} else {
				c, err = dialTLS(t, a, srv, a.host("client", "trunk.example.com"), nil)
				own := a.host("far", tc.shown)
				pair, _ := tls.LoadX509KeyPair(own.Certificate, own.Key)
				listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
			}
			if err != nil {
				t.Fatal(err)
			}
			l := invitesAndLeaves(t, srv, c, port, legs)
			if err := l.Answer([]byte("v=0\r\n")); err != nil {
				t.Fatal(err)
			}
			back, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			_ = back.SetDeadline(time.Now().Add(5 * time.Second))
			if !tc.arrives {
				if n, err := back.Read(make([]byte, 1)); n != 0 || err == nil || !strings.Contains(err.Error(), "certificate") {
					t.Errorf("read %d, %v: want our certificate refused", n, err)
				}
				return
			}
			ok := readUntil(t, back, "SIP/2.0 200")
			_, _ = back.Write([]byte("ACK sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: " + header(ok, "From") + "\r\nTo: " + header(ok, "To") + "\r\nCall-ID: gone\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
			within(t, "the ACK on the new connection", l.Confirmed())
		})
	}
}

// A call by a trunk whose connection has gone is hung up where the trunk's Contact says.
func TestByeByANewConnection(t *testing.T) {
	legs := make(chan *Leg, 1)
	srv := realStack(t, "tcp", Options{Access: Access{Trunks: []Trunk{{Name: "trunk", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	c, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	invite := strings.NewReplacer("127.0.0.1:9", listener.Addr().String(), "TLS", "TCP", "tls", "tcp").Replace(inviteBy("gone"))
	_, _ = c.Write([]byte(invite))
	ok := readUntil(t, c, "SIP/2.0 200")
	_, _ = c.Write([]byte("ACK sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKa\r\nFrom: " + header(ok, "From") + "\r\nTo: " + header(ok, "To") + "\r\nCall-ID: gone\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
	l := <-legs
	within(t, "ACK", l.Confirmed())
	_ = c.Close()
	goneConn(t, srv)
	l.Hangup()
	back, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	_ = back.SetDeadline(time.Now().Add(5 * time.Second))
	readUntil(t, back, "BYE sip:x@"+listener.Addr().String())
}

// A stranger has nobody connected to: his answer is lost with his connection.
func TestNoNewConnectionForStrangers(t *testing.T) {
	srv := realStack(t, "tcp", Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write([]byte(strings.Replace(options, "127.0.0.1:9", listener.Addr().String(), 1) + "Content-Length: 0\r\n\r\n"))
	ok := readUntil(t, c, "SIP/2.0 200")
	var conn *streamConn
	srv.pooled(wayTo{network: "TCP", addr: netip.MustParseAddrPort(c.LocalAddr().String())}, func(c *streamConn) { conn = c })
	_ = c.Close()
	goneConn(t, srv)
	if err := (way{conn: conn}).send([]byte(ok)); err == nil {
		t.Error("an answer to a stranger who has gone is said to be under way")
	}
	srv.access.Store(newAccessTable(Access{Trunks: []Trunk{{Name: "t", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}}))
	if err := (way{conn: conn}).send([]byte(ok)); err != nil {
		t.Errorf("to a trunk: %v", err)
	}
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	back, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	_ = back.SetDeadline(time.Now().Add(5 * time.Second))
	readUntil(t, back, "SIP/2.0 200")
}
