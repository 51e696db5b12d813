package sip

import (
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// memNet is a network of UDP sockets in memory, so that timers and losses are
// tested exactly under testing/synctest.
type memNet struct {
	mu    sync.Mutex
	conns map[string]*memConn
	// drop tells whether a datagram is lost; nil loses nothing.
	drop func(from, to, text string) bool
	// nat maps addresses to those that their datagrams seem to come from.
	nat map[string]string
	log []memPacket
	// quiet keeps no log.
	quiet bool
	t0    time.Time
}

type memPacket struct {
	at       time.Duration
	from, to string
	text     string
}

func newMemNet() *memNet { return &memNet{conns: make(map[string]*memConn), t0: time.Now()} }

type memConn struct {
	net    *memNet
	addr   *net.UDPAddr
	in     chan memPacket
	closed chan struct{}
	once   sync.Once
}

func (n *memNet) listen(addr string) *memConn {
	ua := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	c := &memConn{net: n, addr: ua, in: make(chan memPacket, 256), closed: make(chan struct{})}
	n.mu.Lock()
	n.conns[addr] = c
	n.mu.Unlock()
	return c
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.in:
		return copy(b, p.text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(p.from)), nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (c *memConn) WriteTo(b []byte, to net.Addr) (int, error) {
	n := c.net
	p := memPacket{time.Since(n.t0), c.addr.String(), to.String(), string(b)}
	n.mu.Lock()
	if outside := n.nat[p.from]; outside != "" {
		p.from = outside
	}
	if !n.quiet {
		n.log = append(n.log, p)
	}
	peer := n.conns[p.to]
	lost := n.drop != nil && n.drop(p.from, p.to, p.text)
	n.mu.Unlock()
	if peer != nil && !lost {
		select {
		case peer.in <- p:
		default:
		}
	}
	return len(b), nil
}

func (c *memConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *memConn) LocalAddr() net.Addr              { return c.addr }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// sent lists when datagrams that start with prefix left an address.
func (n *memNet) sent(from, prefix string) []memPacket {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []memPacket
	for _, p := range n.log {
		if p.from == from && strings.HasPrefix(p.text, prefix) {
			out = append(out, p)
		}
	}
	return out
}

// header is the value of a header field in a raw message.
func header(text, name string) string {
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

const (
	serverAddr = "10.0.0.1:5060"
	callerAddr = "10.0.0.2:5060"
	agentAddr  = "10.0.0.3:5060"
)

func memStack(t *testing.T, n *memNet, addr string, o Options) *Stack {
	t.Helper()
	o.Listen = []Listener{{Network: "udp", PacketConn: n.listen(addr)}}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var carrier = Trunk{Name: "carrier", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, Region: "CN"}

// counter is an Observer that keeps what it was told.
type counter struct {
	mu      sync.Mutex
	refused map[string]int
	server  map[int]int
}

func newCounter() *counter { return &counter{refused: map[string]int{}, server: map[int]int{}} }

func (c *counter) ServerRequest(_ string, code int) { c.mu.Lock(); c.server[code]++; c.mu.Unlock() }
func (c *counter) ClientRequest(string, int)        {}
func (c *counter) Refused(reason string)            { c.mu.Lock(); c.refused[reason]++; c.mu.Unlock() }

func (c *counter) of(reason string) int { c.mu.Lock(); defer c.mu.Unlock(); return c.refused[reason] }

// answered tells how many requests got which final status.
func (c *counter) answered() map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.server)
}

// until waits for a reason to be counted n times: a peer knows of its refusal before
// it is counted.
func (c *counter) until(t *testing.T, reason string, n int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for c.of(reason) < n && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := c.of(reason); got != n {
		t.Errorf("%s counted %d times, want %d", reason, got, n)
	}
}

var anyTrunk = Trunk{Name: "server", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}

func (b *bind) udpAddr() net.Addr { return net.UDPAddrFromAddrPort(b.local) }
