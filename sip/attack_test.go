package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// upgrade asks for a WebSocket (RFC 6455 1.3).
const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n"

// slowClients opens n connections from as many addresses, says the first words on
// each, and leaves them so.
func slowClients(t *testing.T, to netip.AddrPort, n int, words string) []net.Conn {
	t.Helper()
	var out []net.Conn
	for i := range n {
		out = append(out, slowClient(t, to, i, words))
	}
	return out
}

func slowClient(t *testing.T, to netip.AddrPort, i int, words string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, words)
	return c
}

// idleAgain waits until as few goroutines run as before.
func idleAgain(t *testing.T, before int) {
	t.Helper()
	fallsTo(t, "goroutines", before+5, runtime.NumGoroutine)
}

// fallsTo waits until there are no more than most.
func fallsTo(t *testing.T, what string, most int, count func() int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); count() > most; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s, want %d", count(), what, most)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyGoroutines has so many run at once: the runtime keeps what it needs for each for later ones, on the heap.
func manyGoroutines(n int) {
	var wg sync.WaitGroup
	end := make(chan struct{})
	for range n {
		wg.Go(func() { <-end })
	}
	close(end)
	wg.Wait()
}

// Thousands of clients that say nothing, stop within a TLS handshake, within the head of a WebSocket, behind either within
// a message, and stay, where there are a thousand places: phones register and are called meanwhile, by any
// transport; the server ends the clients, and all they held is free afterwards.
func TestSlowClientsByTheThousand(t *testing.T) {
	a, networks := newAuthority(t), []string{"udp", "tcp", "tls", "ws", "wss"}
	var ls []Listener
	for _, n := range networks {
		ls = append(ls, Listener{Network: n, Addr: local, TLS: a.host(n)})
	}
	srv := openStack(t, Options{Access: Access{Accounts: []Account{account(SHA256)}}}, ls...)
	tcp, secure, web, wss := srv.Addr(1), srv.Addr(2), srv.Addr(3), srv.Addr(4)
	phone := openStack(t, Options{TLS: TLSFiles{CA: a.path("ca.pem")}, Access: Access{Trunks: []Trunk{{Name: "server", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy Here") }}}, Listener{Network: "udp", Addr: local})
	used := func() {
		t.Helper()
		for _, transport := range []string{"udp", "tcp", "tls"} {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			start := time.Now()
			at := map[string]netip.AddrPort{"udp": srv.Addr(0), "tcp": tcp, "tls": secure}[transport]
			_, err := phone.Register(ctx, "sip:"+at.String()+";transport="+transport, account(SHA256).Credentials, time.Minute)
			cancel()
			if err != nil {
				t.Fatalf("%s, after %v: %v", transport, time.Since(start), err)
			}
			d := srv.Dial(Outgoing{Contacts: srv.Contacts("alice")[:1], FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
			within(t, "outcome", d.Done())
			if d.Outcome().Cause != DialBusy {
				t.Errorf("%s: called: %+v", transport, d.Outcome())
			}
		}
		b := openBrowser(t, srv, 3, nil)
		if got := b.ask("OPTIONS", "Content-Length: 0"); !strings.HasPrefix(got, "SIP/2.0 200") {
			t.Errorf("a browser got %q", got)
		}
		_ = b.ws.CloseNow()
	}
	open := func() int {
		srv.streams.mu.Lock()
		defer srv.streams.mu.Unlock()
		return len(srv.streams.open)
	}
	used() // with whatever is made once
	manyGoroutines(4000)
	fallsTo(t, "places taken", 2, open)
	goroutines, memory := runtime.NumGoroutine(), heap()
	var slow []net.Conn
	for _, k := range []struct {
		to    netip.AddrPort
		words string
	}{
		{tcp, ""}, {tcp, options}, {secure, ""}, {secure, "\x16\x03\x01\x02\x00\x01"}, {web, "GET / HTTP/1.1\r\nHost: x\r\n"}, {wss, ""},
		{web, upgrade + "\x81\xfe\x01"},
	} {
		slow = append(slow, slowClients(t, k.to, 500, k.words)...)
	}
	for i := range 100 {
		handshaken := tls.Client(slowClient(t, secure, i, ""), &tls.Config{InsecureSkipVerify: true})
		_ = handshaken.SetDeadline(time.Now().Add(20 * time.Second))
		if err := handshaken.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(handshaken, options)
		slow = append(slow, handshaken)
	}
	if n := open(); n > 1024+2 || n < 600 {
		t.Errorf("%d places are taken", n)
	}
	used()
	for _, c := range slow {
		_ = c.SetDeadline(time.Now().Add(firstBytesWithin + 10*time.Second))
		var over *net.OpError
		if _, err := io.Copy(io.Discard, c); errors.As(err, &over) && over.Timeout() {
			t.Fatal("the server doesn't end them")
		}
		_ = c.Close()
	}
	fallsTo(t, "places taken", 2, open)
	clear(slow)
	idleAgain(t, goroutines)
	if now := heap(); now > memory+memory/10 {
		t.Errorf("heap %d KiB, before %d KiB", now>>10, memory>>10)
	}
}

// Where all places are taken a stranger's, the oldest, is given to the newcomer; nobody loses his who has shown
// who he is; and a trunk's connection needs none.
func TestWhoGetsInWhereAllPlacesAreTaken(t *testing.T) {
	count := newCounter()
	srv := openStack(t, Options{Observer: count, MaxConnections: 3, MaxPerSource: 3,
		Access: Access{Trunks: []Trunk{{Name: "trunk", Addresses: []netip.Prefix{netip.MustParsePrefix("127.2.0.1/32")}}}}}, Listener{Network: "tcp", Addr: local})
	dial := func(from byte) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, 0, from)}}
		c, err := d.Dial("tcp", srv.Addr(0).String())
		if err != nil {
			return nil // closed at once
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		return c
	}
	lives := func(c net.Conn) bool {
		if c == nil {
			return false
		}
		_, _ = io.WriteString(c, "\r\n\r\n")
		_, err := c.Read(make([]byte, 2))
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("neither served nor closed")
		}
		return err == nil
	}
	known := func() {
		srv.streams.mu.Lock()
		defer srv.streams.mu.Unlock()
		for p := range srv.streams.open {
			p.known.Store(true)
		}
	}
	agent := dial(2)
	if !lives(agent) {
		t.Fatal("the first isn't served")
	}
	known()
	first, second := dial(3), dial(4)
	if !lives(first) || !lives(second) {
		t.Fatal("there were places")
	}
	third := dial(5)
	if !lives(third) || lives(first) || !lives(second) || !lives(agent) {
		t.Error("want the oldest of the strangers to give way, and no other")
	}
	if n := count.of("overload"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
	known()
	if lives(dial(6)) {
		t.Error("a stranger got in where everybody is known")
	}
	for range 3 {
		if !lives(dial(1)) {
			t.Error("a trunk doesn't get in")
		}
	}
	if !lives(agent) || !lives(second) || !lives(third) {
		t.Error("somebody known lost his place")
	}
}

// One source holds its share of the connections and no more, over all listeners;
// others get in.
func TestOneSourceHoldsItsShare(t *testing.T) {
	count := newCounter()
	srv := openStack(t, Options{Observer: count, MaxConnections: 40,
		Access: Access{Trunks: []Trunk{{Name: "trunk", Addresses: []netip.Prefix{netip.MustParsePrefix("127.2.0.1/32")}}}}}, Listener{Network: "tcp", Addr: local}, Listener{Network: "ws", Addr: local})
	held := 0
	for i := range 30 {
		c, err := net.Dial("tcp", srv.Addr(i%2).String())
		if err != nil {
			continue // refused at once
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if i%2 == 0 {
			_, _ = io.WriteString(c, "\r\n\r\n")
		} else {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
		}
		if _, err := c.Read(make([]byte, 2)); err == nil && i%2 == 0 {
			held++
		}
	}
	other := slowClients(t, srv.Addr(0), 1, options+"Content-Length: 0\r\n\r\n")[0]
	defer other.Close()
	_ = other.SetDeadline(time.Now().Add(5 * time.Second))
	readUntil(t, other, "SIP/2.0 200")
	if held > 10 || held < 8 {
		t.Errorf("one source held %d connections of 40, want 10", held)
	}
	if n := count.of("connections"); n < 5 {
		t.Errorf("%d counted as too many", n)
	}
	for range 15 { // a trunk is no stranger
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, 0, 1)}}
		c, err := d.Dial("tcp", srv.Addr(0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, "\r\n\r\n")
		if _, err := c.Read(make([]byte, 2)); err != nil {
			t.Fatalf("a trunk's connection: %v", err)
		}
	}
}

// A body of more than 64 KiB is refused and ends the connection, whether it comes or is only told of; nobody keeps
// memory for it, and the server answers the next who comes.
func TestOversizeBodies(t *testing.T) {
	a := newAuthority(t)
	srv := openStack(t, Options{}, Listener{Network: "tls", Addr: local, TLS: a.host("server")}, Listener{Network: "tcp", Addr: local}, Listener{Network: "udp", Addr: local})
	web := openStack(t, Options{MaxPerSource: 1000}, Listener{Network: "ws", Addr: local})
	large := strings.Repeat("x", maxMessage+1)
	for _, network := range []string{"tcp", "tls"} {
		for name, body := range map[string]string{"it comes": large, "it is only told of": ""} {
			t.Run(network+", "+name, func(t *testing.T) {
				c, err := net.Dial("tcp", srv.Addr(1).String())
				if network == "tls" {
					c, err = dialTLS(t, a, srv, TLSFiles{}, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				go func() { // it is refused by its head, and perhaps closed before all of it has gone
					_, _ = io.WriteString(c, strings.Replace(options, "OPTIONS", "MESSAGE", 2)+fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(large))+body)
				}()
				if body == "" {
					readUntil(t, c, "SIP/2.0 513")
				}
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection is still open")
				}
			})
		}
	}
	t.Run("udp", func(t *testing.T) {
		c, err := net.Dial("udp", srv.Addr(2).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, strings.NewReplacer("OPTIONS", "MESSAGE", "/TCP 127.0.0.1:9", "/UDP "+c.LocalAddr().String()).Replace(options)+"Content-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\n"+large[:60000])
		readUntil(t, c, "SIP/2.0 400")
	})
	t.Run("ws, frames of 1 GiB", func(t *testing.T) {
		const n = 200
		frame := "\x81\xff\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00" // masked by zeros
		before := heap()
		var told []*rawSocket
		for range n {
			w := rawWebSocket(t, web)
			_, _ = io.WriteString(w.c, frame+"MESSAGE sip:127.0.0.1 SIP/2.0\r\n")
			told = append(told, w)
		}
		if now := heap(); now > before+n*64<<10 {
			t.Errorf("%d connections take %d KiB", n, (now-before)>>10)
		}
		for _, w := range told[1:] {
			_ = w.c.Close()
		}
		go func() { _, _ = io.WriteString(told[0].c, large) }()
		_ = told[0].c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, told[0].r); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection is still open")
		}
	})
	if got := openBrowser(t, web, 0, nil).ask("OPTIONS", "Content-Length: 0"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("the next one got %q", got)
	}
}

// What is compressed is refused before it costs anything.
func TestCompressedBodies(t *testing.T) {
	srv := openStack(t, Options{}, Listener{Network: "ws", Addr: local})
	b := openBrowser(t, srv, 0, nil)
	if got := b.ask("MESSAGE", "Content-Type: text/plain", "Content-Encoding: gzip", "Content-Length: 0"); strings.HasPrefix(got, "SIP/2.0 2") {
		t.Errorf("got %q", got)
	}
	b.say(fmt.Sprintf("MESSAGE sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKz\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: z\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\n\r\n%s", "\x1f\x8b"))
	if got := b.hear("SIP/2.0"); !strings.HasPrefix(got, "SIP/2.0 415") || header(got, "Accept-Encoding") != "identity" {
		t.Errorf("got %q", got)
	}
}
