package sip

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var local = netip.MustParseAddrPort("127.0.0.1:0")

func realStack(t *testing.T, network string, o Options) *Stack {
	t.Helper()
	o.Listen = []Listener{{Network: network, Addr: local}}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func within(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: nothing within 5 s", what)
	}
}

// Over real sockets: the call is answered, the server's BYE comes back by the
// way the call came, and all of it from the listener's own port.
func TestCallOverRealSockets(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			legs := make(chan *Leg, 1)
			srv := realStack(t, network, Options{
				Access:   Access{Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }},
			})
			ua := realStack(t, network, Options{})
			c, err := ua.ContactTo("sip:1@" + srv.Addr(0).String() + ";transport=" + network)
			if err != nil {
				t.Fatal(err)
			}
			d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "1", Offer: []byte("v=0\r\n")})
			within(t, "answer", d.Done())
			leg := d.Outcome().Leg
			if leg == nil {
				t.Fatalf("%+v", d.Outcome())
			}
			a := <-legs
			within(t, "ACK", a.Confirmed())
			if src := a.Incoming().Source; network == "udp" && src != ua.Addr(0).String() {
				t.Errorf("the INVITE came from %s, want the caller's listener %s", src, ua.Addr(0))
			}
			a.Hangup()
			within(t, "BYE at the caller", leg.Done())
			if leg.End().Cause != EndRemoteBye {
				t.Errorf("caller ended with %q", leg.End().Cause)
			}
		})
	}
}

// The BYE of a call that came by TCP goes back on its connection: the caller has
// nothing else that listens.
func TestByeUsesTheCallersConnection(t *testing.T) {
	legs := make(chan *Leg, 1)
	srv := realStack(t, "tcp", Options{
		Access:   Access{Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }},
	})
	conn, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	say := func(s string) {
		if _, err := conn.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	const head = "From: <sip:13800000000@127.0.0.1>;tag=f\r\nCall-ID: tcp1\r\nMax-Forwards: 70\r\n"
	say("INVITE sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nTo: <sip:1@127.0.0.1>\r\nCSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.1:9;transport=tcp>\r\n" + head + "Content-Length: 0\r\n\r\n")
	answer := readUntil(t, conn, "SIP/2.0 200")
	say("ACK sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK2\r\nTo: " + header(answer, "To") + "\r\nCSeq: 1 ACK\r\n" + head + "Content-Length: 0\r\n\r\n")
	a := <-legs
	within(t, "ACK", a.Confirmed())
	a.Hangup()
	readUntil(t, conn, "BYE ")
}

// readUntil reads messages without bodies until one starts with prefix.
func readUntil(t *testing.T, conn net.Conn, prefix string) string {
	t.Helper()
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		if i := strings.Index(all.String(), prefix); i >= 0 && strings.Contains(all.String()[i:], "\r\n\r\n") {
			return all.String()[i:]
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v; got %q", prefix, err, all.String())
		}
		all.Write(buf[:n])
	}
}

// A TCP client that says nothing is given up, and one that spoke isn't.
func TestSilentConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, near := net.Pipe()
		s := &Stack{traces: newTraces(-1), peers: newPeers(), admission: newAdmission(-1, nil), flood: newFlood(-1), reg: &registrar{}, subs: &subscriptions{}, closed: make(chan struct{})}
		s.opt.defaults()
		s.SetAccess(Access{})
		s.streams = newStreams(s)
		place, _ := s.streams.take(near, true)
		c := s.newStreamConn(place, nil, "TCP")
		c.link = &byteLink{conn: c}
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != firstBytesWithin {
			t.Errorf("read ended with %v after %v, want a deadline after %v", err, time.Since(start), firstBytesWithin)
		}
		_ = c.Close()
		_ = c.Close()
		_ = far.Close()
		if len(s.streams.open) != 0 || len(s.streams.bySource) != 0 {
			t.Error("its place was not given back")
		}
	})
}

func TestWildcardListenersAreRefused(t *testing.T) {
	_, err := Open(Options{Listen: []Listener{{Network: "udp", Addr: netip.MustParseAddrPort("0.0.0.0:0")}}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "concrete address") {
		t.Errorf("got %v", err)
	}
}

func TestNumbersAreBroughtToE164(t *testing.T) {
	for _, tc := range []struct{ number, region, want string }{
		{"13800000000", "CN", "+8613800000000"},
		{"+8613800000000", "CN", "+8613800000000"},
		{"008613800000000", "CN", "+8613800000000"},
		{"01065001234", "CN", "+861065001234"},
		{"+442079460000", "CN", "+442079460000"},
		{"13800000000", "", ""},
		{"anonymous", "CN", ""},
		{"12", "CN", ""},
		{"13800000000;phone-context=+86", "CN", "+8613800000000"},
		{strings.Repeat("1", 40), "CN", ""},
		{"1380000'; DROP", "CN", ""},
	} {
		if got := E164(tc.number, tc.region); got != tc.want {
			t.Errorf("E164(%q, %q) = %q, want %q", tc.number, tc.region, got, tc.want)
		}
	}
}

func FuzzRawMessages(f *testing.F) {
	f.Add([]byte("INVITE sip:a@b SIP/2.0\r\nVia: x\r\nFrom: <sip:a@b>;tag=1\r\nTo: c\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add([]byte("CANCEL sip:a@b SIP/2.0\r\nt: <sip:c>\r\ni: 7\r\nf: x;tag=9\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nTo: <sip:c;tag=x>;tag=x\r\nCall-ID: 7\r\nFrom: x;tag=9\r\nCSeq: 1 CANCEL\r\n\r\n"))
	f.Add([]byte("\r\n SIP/2.0 200 OK\r\n folded\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = supportedVersion(data)
		if res := rawResponse(data, 400, "Bad Request"); res != nil && !strings.HasSuffix(string(res), "\r\n\r\n") {
			t.Errorf("answer without an end: %q", res)
		}
		if d, ok := infoDigit(string(data)); ok && !strings.ContainsRune("0123456789*#ABCD", rune(d)) {
			t.Errorf("digit %q", d)
		}
	})
}

// A TCP peer that goes away sent nothing malformed; one that sends rubbish did.
func TestWhatCountsAsMalformedOverTCP(t *testing.T) {
	c := newCounter()
	srv := realStack(t, "tcp", Options{Observer: c})
	dial := func() *net.TCPConn {
		conn, err := net.Dial("tcp", srv.Addr(0).String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		return conn.(*net.TCPConn)
	}
	const ping = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKp\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: p\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	gone := dial()
	_, _ = gone.Write([]byte(ping))
	readUntil(t, gone, "SIP/2.0 200")
	_ = gone.SetLinger(0) // a reset
	_ = gone.Close()
	bad := dial()
	_, _ = bad.Write([]byte("rubbish\r\n\r\n"))
	if _, err := bad.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("rubbish: %v, want the connection closed", err)
	}
	_ = bad.Close()
	c.until(t, "malformed", 1)
	_ = srv.Close() // all connections have ended and been counted
	if got := c.of("malformed"); got != 1 {
		t.Errorf("malformed counted %d times, want once", got)
	}
}

// Trap 10 over TCP: 180, 200 to CANCEL and 487 carry one To tag.
func TestOneTagOverTCP(t *testing.T) {
	srv := realStack(t, "tcp", Options{
		Access:   Access{Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { l.Ring() }},
	})
	conn, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	const head = "Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nTo: <sip:1@127.0.0.1>\r\nFrom: <sip:13800000000@127.0.0.1>;tag=f\r\nCall-ID: tcp2\r\nMax-Forwards: 70\r\nContact: <sip:x@127.0.0.1:9;transport=tcp>\r\nContent-Length: 0\r\n"
	_, _ = conn.Write([]byte("INVITE sip:1@127.0.0.1 SIP/2.0\r\nCSeq: 1 INVITE\r\n" + head + "\r\n"))
	ringing := readUntil(t, conn, "SIP/2.0 180")
	_, _ = conn.Write([]byte("CANCEL sip:1@127.0.0.1 SIP/2.0\r\nCSeq: 1 CANCEL\r\n" + head + "\r\n"))
	both := readUntil(t, conn, "SIP/2.0 200")
	if !strings.Contains(both, "SIP/2.0 487") {
		both += readUntil(t, conn, "SIP/2.0 487")
	}
	want := header(ringing, "To")
	if strings.Count(both, want+"\r\n") != 2 || !strings.Contains(want, ";tag=") {
		t.Errorf("180 has %q, then came %q", want, both)
	}
}

// Trap 16: a TCP connection that has fallen silent is closed after IdleTimeout,
// and gives its place back.
func TestIdleConnectionIsClosed(t *testing.T) {
	srv := realStack(t, "tcp", Options{IdleTimeout: 50 * time.Millisecond, MaxConnections: 1})
	for range 3 {
		conn, err := net.Dial("tcp", srv.Addr(0).String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write([]byte("OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKi\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: i\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"))
		readUntil(t, conn, "SIP/2.0 200")
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("read %d bytes, %v; want the connection closed", n, err)
		}
		_ = conn.Close()
	}
}
