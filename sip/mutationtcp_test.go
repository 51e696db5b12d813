package sip

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// memStream is one end of a stream in memory, with addresses.
type memStream struct {
	net.Conn
	local, remote net.Addr
}

func (c *memStream) LocalAddr() net.Addr  { return c.local }
func (c *memStream) RemoteAddr() net.Addr { return c.remote }

// memStreams are the streams of a stack that has no socket: as if it listened by TCP, too.
type memStreams struct {
	t     *testing.T
	front *streamFront
	port  uint16
}

func newMemStreams(t *testing.T, s *Stack) *memStreams {
	local := netip.MustParseAddrPort(serverAddr)
	b := &bind{network: "TCP", local: local, host: local.Addr().String(), port: int(local.Port()), index: 0}
	s.binds = append(s.binds, b)
	return &memStreams{t: t, front: &streamFront{stack: s, bind: b, fault: newSampler(time.Hour)}, port: 10_000}
}

// dial is a stream from an address; what the server says on it comes by the channel, closed in the end.
func (m *memStreams) dial(from string) (net.Conn, <-chan string) {
	m.t.Helper()
	m.port = 10_000 + (m.port-9_999)%50_000
	remote := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), m.port))
	far, near := net.Pipe()
	place, reason := m.front.stack.streams.take(&memStream{near, net.TCPAddrFromAddrPort(m.front.bind.local), remote}, true)
	if place == nil {
		m.t.Fatalf("no place for a stream: %s", reason)
	}
	m.front.stack.spawn(func() { m.front.serve(place) })
	said := make(chan string, 1000)
	go func() {
		defer close(said)
		buf := make([]byte, 65536)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			select {
			case said <- string(buf[:n]):
			default: // nobody reads that much
			}
		}
	}()
	return far, said
}

// alive has a peer of its own asked and answered over a stream.
func (m *memStreams) alive(after string) {
	m.t.Helper()
	c, said := m.dial("10.0.0.9")
	defer c.Close()
	_, _ = fmt.Fprintf(c, "%sContent-Length: 0\r\n\r\n", strings.Replace(options, "z9hG4bKk", fmt.Sprint("z9hG4bKk", m.port), 1))
	select {
	case res := <-said:
		if strings.HasPrefix(res, "SIP/2.0 200") {
			return
		}
		m.t.Fatalf("after %s: %q", after, res)
	case <-time.After(time.Second):
		m.t.Fatalf("no answer after %s", after)
	}
}

// Thousands of mutated messages over TCP, in pieces of any size, some of which wait for the rest for
// ever: when their timers are over, the server is as it was, its memory too.
func TestMutatedStreamsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, count := newMemNet(), newCounter()
		n.quiet = true
		srv := memStack(t, n, serverAddr, Options{Observer: count, TraceCalls: 20, Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: ringThenEnd}})
		defer srv.Close()
		streams, m := newMemStreams(t, srv), newMutator(11, callerAddr)
		streams.alive("nothing")
		run := func(messages int) {
			var c net.Conn
			for i := range messages {
				if i%4 == 0 {
					if c != nil {
						_ = c.Close()
					}
					c, _ = streams.dial("10.0.0.2")
				}
				_ = c.SetDeadline(time.Now().Add(time.Second))
				for msg := m.next("TCP"); len(msg) > 0; {
					n := min(len(msg), 1+m.dice.IntN(1500))
					if _, err := c.Write(msg[:n]); err != nil {
						break
					}
					msg = msg[n:]
				}
				streams.alive(fmt.Sprint("message ", i))
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(2 * time.Hour) // the last stream is one that may be silent for an hour
			_ = c.Close()
			synctest.Wait()
		}
		run(2000) // so much is remembered of calls anyway
		goroutines, memory := runtime.NumGoroutine(), heap()
		run(4000)
		if g := runtime.NumGoroutine(); g > goroutines+2 {
			t.Errorf("%d goroutines, %d before", g, goroutines)
		}
		if h := heap(); h > memory+memory/10 {
			t.Errorf("heap %d KiB, %d before", h>>10, memory>>10)
		}
		srv.streams.mu.Lock()
		open := len(srv.streams.open)
		srv.streams.mu.Unlock()
		if srv.Calls() != 0 || srv.pending.Load() != 0 || open != 0 {
			t.Errorf("%d calls, %d requests and %d streams are left", srv.Calls(), srv.pending.Load(), open)
		}
		if count.of("malformed") < 400 || count.server[486] < 20 {
			t.Errorf("the messages are too wrong or too right: %d malformed, answers %v", count.of("malformed"), count.server)
		}
	})
}
