package sip

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	gosip "github.com/emiago/sipgo/sip"
)

// streams are all stream connections of a stack, those that came and those that
// it dialled. Each has a place here from the moment it is open until it is
// closed, and its source may hold only so many.
type streams struct {
	stack *Stack
	feeds map[string]*feed // by carrier
	life  context.Context  // ends when the stack closes
	end   context.CancelFunc

	mu       sync.Mutex
	open     map[*openConn]struct{}
	bySource map[netip.Prefix]int
	// strangers are those that came from somebody unknown, the oldest first. Who has shown who he is
	// stays among them until somebody looks.
	strangers list.List
	dialling  map[string]*dialling
	serial    uint64
	closed    bool
}

func newStreams(s *Stack) *streams {
	st := &streams{stack: s, open: make(map[*openConn]struct{}), bySource: make(map[netip.Prefix]int), dialling: make(map[string]*dialling)}
	st.life, st.end = context.WithCancel(context.Background())
	st.feeds = map[string]*feed{carrierTCP: newFeed(st.life), carrierTLS: newFeed(st.life)}
	return st
}

func (st *streams) feed(carrier string) *feed { return st.feeds[carrier] }

// openConn is an open connection that is counted.
type openConn struct {
	net.Conn
	streams *streams
	came    bool // else we dialled it
	source  netip.Prefix
	known   atomic.Bool   // the peer has shown who he is
	queued  *list.Element // among the strangers; nil for somebody known
}

// take gives a connection its place; nil when there is none, with the reason for
// the Observer, "" when the stack is closed. One of our own making (came is false) and a trunk's always get one.
// Where all are taken, the oldest of somebody unknown is closed for the newcomer: else a few who only hold places
// would keep out everybody.
func (st *streams) take(c net.Conn, came bool) (*openConn, string) {
	p, oldest, reason := st.place(c, came)
	if oldest != nil {
		st.stack.obs.Refused("overload")
		oldest.abort()
	}
	return p, reason
}

func (st *streams) place(c net.Conn, came bool) (p, oldest *openConn, reason string) {
	p = &openConn{Conn: c, streams: st, came: came}
	p.known.Store(!came || st.stack.isTrunk(c.RemoteAddr()))
	if came {
		p.source = sourceOf(c.RemoteAddr())
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, nil, ""
	}
	if !p.known.Load() {
		if st.bySource[p.source] >= st.stack.opt.MaxPerSource {
			return nil, nil, "connections"
		}
		if len(st.open) >= st.stack.opt.MaxConnections {
			if oldest = st.oldestStranger(); oldest == nil {
				return nil, nil, "overload"
			}
			st.release(oldest)
		}
		p.queued = st.strangers.PushBack(p)
	}
	st.open[p] = struct{}{}
	if came {
		st.bySource[p.source]++
	}
	return p, oldest, ""
}

// oldestStranger is nil when everybody is known. The lock is held.
func (st *streams) oldestStranger() *openConn {
	for e := st.strangers.Front(); e != nil; e = st.strangers.Front() {
		p := e.Value.(*openConn)
		if !p.known.Load() {
			return p
		}
		st.strangers.Remove(e)
		p.queued = nil
	}
	return nil
}

// release gives a place back, once. The lock is held.
func (st *streams) release(p *openConn) {
	if _, ok := st.open[p]; !ok {
		return
	}
	delete(st.open, p)
	if p.queued != nil {
		st.strangers.Remove(p.queued)
		p.queued = nil
	}
	if !p.came {
		return
	}
	if st.bySource[p.source]--; st.bySource[p.source] == 0 {
		delete(st.bySource, p.source)
	}
}

// isTrunk tells whether a trunk is known by that address.
func (s *Stack) isTrunk(a net.Addr) bool { return s.access.Load().trunkAt(addrOf(a)) != nil }

// Close closes the connection and gives its place back.
func (p *openConn) Close() error {
	p.streams.mu.Lock()
	p.streams.release(p)
	p.streams.mu.Unlock()
	return p.Conn.Close()
}

// abort closes the connection so that the kernel keeps nothing of it either.
func (p *openConn) abort() {
	if c, ok := p.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = p.Close()
}

// sourceOf is whom a connection is counted for: its address, or the network of 64
// bits that a host has to itself with IPv6.
func sourceOf(a net.Addr) netip.Prefix {
	return prefixOf(addrOf(a))
}

func prefixOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}

// addrOf is the IP address in a host:port.
func addrOf(a net.Addr) netip.Addr {
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap().WithZone("")
}

// close closes all connections; no more come.
func (st *streams) close() {
	st.end()
	st.mu.Lock()
	st.closed = true
	open := make([]*openConn, 0, len(st.open))
	for p := range st.open {
		open = append(open, p)
	}
	st.mu.Unlock()
	for _, p := range open {
		_ = p.Close()
	}
}

// feed hands connections that are ready to speak SIP to sipgo, as a listener.
type feed struct {
	conns chan *streamConn
	life  context.Context
}

func newFeed(life context.Context) *feed { return &feed{conns: make(chan *streamConn), life: life} }

// hand gives a connection to sipgo, or closes it when the stack is closed.
func (f *feed) hand(c *streamConn) {
	select {
	case f.conns <- c:
	case <-f.life.Done():
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.life.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the feed ends with the stack.
func (f *feed) Close() error { return nil }

// Addr implements net.Listener. sipgo only reads a port from it.
func (f *feed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// errOwnDial keeps sipgo from dialling: it would do so for an answer whose
// connection is gone, to wherever the peer's Via points, and without our limits.
var errOwnDial = errors.New("connections are dialled by the stack")

func streamTransports() gosip.TransportsConfig {
	tcp := func() *gosip.TransportTCP {
		return &gosip.TransportTCP{DialerCreate: func(net.Addr) net.Dialer {
			return net.Dialer{Control: func(string, string, syscall.RawConn) error { return errOwnDial }}
		}}
	}
	return gosip.TransportsConfig{TCP: tcp(), TLS: &gosip.TransportTLS{TransportTCP: tcp()}}
}
