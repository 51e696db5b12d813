package sip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// The sample of RFC 5769 2.2, without its integrity: the address comes back as the
// RFC has it.
func TestSTUNOnTheSIPPort(t *testing.T) {
	const request = "000100002112a442b7e7a701bc34d686fa87dfae"
	for _, tc := range []struct{ from, mapped string }{
		{"192.0.2.1:32853", "00200008" + "0001a147e112a643"},
		{"[2001:db8:1234:5678:11:2233:4455:6677]:32853", "00200014" + "0002a147" + "0113a9faa5d3f179bc25f4b5bed2b9d9"},
	} {
		t.Run(tc.from, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv := memStack(t, n, serverAddr, Options{})
				defer srv.Close()
				phone := n.listen(tc.from)
				ask := func(hexed string) string {
					req, err := hex.DecodeString(hexed)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = phone.WriteTo(req, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
					select {
					case p := <-phone.in:
						return hex.EncodeToString([]byte(p.text))
					case <-time.After(time.Second):
						return ""
					}
				}
				got := ask(request)
				if !strings.HasPrefix(got, "0101") || !strings.Contains(got, tc.mapped) || got[8:40] != request[8:40] {
					t.Errorf("got %s, want %s in it", got, tc.mapped)
				}
				for name, bad := range map[string]string{
					"another method":         "0003" + request[4:],
					"an indication":          "0011" + request[4:],
					"a length that is wrong": "00010008" + request[8:],
					"a must-understand":      "00010004" + request[8:] + "00030000",
				} {
					if got := ask(bad); got != "" {
						t.Errorf("%s: got %s", name, got)
					}
				}
				if got := ask("00010008" + request[8:] + "8022000361626300"); !strings.HasPrefix(got, "0101") {
					t.Errorf("with SOFTWARE: got %q", got)
				}
			})
		})
	}
}

func FuzzSTUN(f *testing.F) {
	b, _ := hex.DecodeString("000100082112a442b7e7a701bc34d686fa87dfae8022000361626300")
	f.Add(b)
	from := netip.MustParseAddrPort("192.0.2.1:5060")
	f.Fuzz(func(t *testing.T, data []byte) {
		if isSTUN(data) {
			if res := stunAnswer(data, from); len(res) > len(data)+32 {
				t.Errorf("%d bytes for %d", len(res), len(data))
			}
		}
	})
}

// piped is a connection whose far end the test holds.
func piped(t *testing.T, o Options) (*streamConn, net.Conn) {
	t.Helper()
	far, near := net.Pipe()
	o.defaults()
	s := &Stack{traces: newTraces(-1), peers: newPeers(), admission: newAdmission(-1, nil), flood: newFlood(-1), opt: o, obs: o.Observer, log: o.Logger, reg: &registrar{}, subs: &subscriptions{}, closed: make(chan struct{}), parser: gosip.NewParser(), streamFault: newSampler(time.Hour)}
	s.SetAccess(o.Access)
	s.streams = newStreams(s)
	place, _ := s.streams.take(near, true)
	c := s.newStreamConn(place, nil, "TCP")
	c.link = &byteLink{conn: c}
	t.Cleanup(func() { _ = far.Close(); s.streams.close() })
	return c, far
}

const options = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKk\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: k\r\nCSeq: 1 OPTIONS\r\n"

// fine is an answer to it, whose length comes last too.
const fine = "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKk\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: k\r\nCSeq: 1 OPTIONS\r\n"

// A double CRLF between messages is a ping, however it arrives; one within a
// message is none (RFC 5626 4.4.1).
func TestPingOnAStream(t *testing.T) {
	for name, tc := range map[string]struct {
		parts []string
		pongs int
		msgs  int
	}{
		"at once":               {[]string{"\r\n\r\n"}, 1, 0},
		"byte by byte":          {[]string{"\r", "\n", "\r", "\n"}, 1, 0},
		"two":                   {[]string{"\r\n\r\n\r\n", "\r\n"}, 2, 0},
		"a pong":                {[]string{"\r\n"}, 0, 0},
		"before a message":      {[]string{"\r\n\r\n" + fine + "Content-Length: 0\r\n\r\n"}, 1, 1},
		"a line before":         {[]string{"\r\n" + fine + "Content-Length: 0\r\n\r\n"}, 0, 1},
		"behind a message":      {[]string{fine + "Content-Length: 0\r\n\r\n\r\n", "\r\n"}, 1, 1},
		"a body of line ends":   {[]string{fine + "l: 4\r\n\r\n", "\r\n\r\n"}, 0, 1},
		"two messages":          {[]string{fine + "Content-Length: 0\r\n\r\n" + fine, "l:0\r\n\r\n"}, 0, 2},
		"a pong, then one more": {[]string{"\r\n", fine + "l: 0\r\n\r\n", "\r\n"}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, far := piped(t, Options{})
				pongs, msgs := 0, 0
				go func() {
					b := make([]byte, 64)
					for {
						n, err := far.Read(b)
						if err != nil {
							return
						}
						pongs += bytes.Count(b[:n], []byte("\r\n"))
					}
				}()
				go func() {
					b := make([]byte, 4096)
					for {
						if _, err := c.Read(b); err != nil {
							return
						}
						msgs++
					}
				}()
				for _, p := range tc.parts {
					_, _ = io.WriteString(far, p)
					synctest.Wait()
				}
				if pongs != tc.pongs || msgs != tc.msgs {
					t.Errorf("%d pongs and %d messages, want %d and %d", pongs, msgs, tc.pongs, tc.msgs)
				}
				_ = c.Close()
				_ = far.Close()
				synctest.Wait()
			})
		})
	}
}

// Each stage has its deadline, to the nanosecond.
func TestHowLongAStreamMayTake(t *testing.T) {
	whole := fine + "Content-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		name  string
		known bool
		say   func(io.Writer)
		want  time.Duration
	}{
		{"nothing", false, func(io.Writer) {}, firstBytesWithin},
		{"half a message", false, func(w io.Writer) { fmt.Fprint(w, fine) }, messageWithin},
		{"a letter each second", false, func(w io.Writer) {
			for _, b := range []byte(fine) {
				_, _ = w.Write([]byte{b})
				time.Sleep(time.Second)
			}
		}, messageWithin},
		{"a stranger's message", false, func(w io.Writer) { fmt.Fprint(w, whole) }, strangerLife},
		{"a stranger's pings", false, func(w io.Writer) {
			for range 100 {
				fmt.Fprint(w, "\r\n\r\n")
				time.Sleep(time.Second)
			}
		}, strangerLife},
		{"somebody known", true, func(w io.Writer) { fmt.Fprint(w, whole) }, time.Hour},
		{"somebody known who stops within a message", true, func(w io.Writer) { fmt.Fprint(w, whole+fine) }, messageWithin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, far := piped(t, Options{})
				c.known.Store(tc.known)
				start := time.Now()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				said := make(chan struct{})
				go func() { defer close(said); tc.say(far) }()
				var err error
				for b := make([]byte, 4096); err == nil; {
					_, err = c.Read(b)
				}
				if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != tc.want {
					t.Errorf("ended after %v with %v, want %v", took, err, tc.want)
				}
				_ = c.Close()
				_ = far.Close()
				<-said
			})
		})
	}
}

// What can't be framed is answered and ends the connection; what can is answered
// and doesn't.
func TestMessagesThatAreWrongOnAStream(t *testing.T) {
	ok := options + "Content-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		name, msg, answer string
		goesOn            bool
	}{
		{"no length", options + "\r\n", "SIP/2.0 400", false},
		{"two lengths", options + "Content-Length: 0\r\nl: 1\r\n\r\n", "SIP/2.0 400", false},
		{"the same length twice", options + "Content-Length: 0\r\nl: 0\r\n\r\n", "SIP/2.0 400", true},
		{"a negative length", options + "Content-Length: -1\r\n\r\n", "SIP/2.0 400", false},
		{"a long body", options + "Content-Length: 65536\r\n\r\n", "SIP/2.0 513", false},
		{"a body of all memory", options + "Content-Length: 99999999999999999999\r\n\r\n", "SIP/2.0 400", false},
		{"a long head", options + "Subject: " + strings.Repeat("x", maxMessage), "SIP/2.0 513", false},
		{"another version", strings.Replace(ok, "SIP/2.0\r", "SIP/3.0\r", 1), "SIP/2.0 505", true},
		{"another scheme", strings.Replace(ok, "sip:127.0.0.1 ", "nobody:x ", 1), "SIP/2.0 416", true},
		{"a compressed body", strings.Replace(options, "OPTIONS", "MESSAGE", 2) + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "SIP/2.0 415", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := realStack(t, "tcp", Options{})
			conn, err := net.Dial("tcp", srv.Addr(0).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, tc.msg)
			if got := readUntil(t, conn, "SIP/2.0 "); !strings.HasPrefix(got, tc.answer) {
				t.Errorf("got %q, want %s", got, tc.answer)
			}
			if tc.goesOn {
				_, _ = io.WriteString(conn, strings.Replace(ok, "z9hG4bKk", "z9hG4bKnext", 1))
				readUntil(t, conn, "SIP/2.0 200")
			} else if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%v, want the connection closed", err)
			}
		})
	}
}

func FuzzFraming(f *testing.F) {
	f.Add([]byte("\r\n\r\n" + options + "l: 2\r\n\r\nab"))
	f.Add([]byte("A\r\nContent-Length : 3\r\n\r\nabc\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, parts := &byteLink{}, &byteLink{}
		got, err := all(whole, data, len(data))
		again, err2 := all(parts, data, 1)
		if got != again || (err == nil) != (err2 == nil) {
			t.Errorf("at once %q, %v; byte by byte %q, %v", got, err, again, err2)
		}
		if msg, ok := withLength(data); ok {
			if got, err := all(&byteLink{}, msg, len(msg)); err == nil && !bytes.HasPrefix(data, []byte("\r\n")) && got != string(msg)+"|" {
				t.Errorf("with its length: %q of %q, %v", got, msg, err)
			}
		}
	})
}

// all are the messages in data, which comes in pieces.
func all(l *byteLink, data []byte, piece int) (string, error) {
	var out strings.Builder
	for len(data) > 0 {
		n := min(piece, len(data))
		l.buf, data = append(l.buf, data[:n]...), data[n:]
		for {
			l.keepAlives()
			msg, err := l.take()
			if err != nil {
				return out.String(), err
			}
			if msg == nil {
				break
			}
			out.WriteString(string(msg) + "|")
		}
	}
	return out.String(), nil
}

// A client that stops within the TLS handshake, or within the head of a WebSocket,
// is given up after five seconds, to the nanosecond.
func TestHowLongAHandshakeMayTake(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server")
	for _, network := range []string{"TLS", "WS"} {
		t.Run(network, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, near := net.Pipe()
				count := newCounter()
				s := &Stack{traces: newTraces(-1), peers: newPeers(), admission: newAdmission(-1, nil), flood: newFlood(-1), obs: count, log: slog.New(slog.DiscardHandler), reg: &registrar{}, subs: &subscriptions{}, closed: make(chan struct{})}
				s.opt.defaults()
				s.SetAccess(Access{})
				s.streams = newStreams(s)
				f := &streamFront{stack: s, bind: &bind{network: network}, fault: newSampler(time.Hour)}
				if network == "WS" {
					f.listener, f.web = &net.TCPListener{}, newWebFront(f, nil)
					f.web.start()
				} else {
					cfg, err := s.serverTLS(files)
					if err != nil {
						t.Fatal(err)
					}
					f.tls = cfg
				}
				place, _ := s.streams.take(near, true)
				start := time.Now()
				go f.serve(place)
				_, _ = io.Copy(io.Discard, far)
				if took := time.Since(start); took != handshakeWithin {
					t.Errorf("given up after %v, want %v", took, handshakeWithin)
				}
				_ = far.Close()
				synctest.Wait()
				if len(s.streams.open) != 0 {
					t.Error("its place was not given back")
				}
				close(s.closed)
				s.wg.Wait()
			})
		})
	}
}
