package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// What a peer on a stream may take its time for. One that connects and says
// nothing, or speaks by the letter, holds nothing for long.
const (
	handshakeWithin  = 5 * time.Second  // TLS, and the head of a WebSocket
	firstBytesWithin = 10 * time.Second // from then to the first message
	messageWithin    = 10 * time.Second // from the first byte of a message to its last
	// strangerLife is how long a connection lives on which nobody has shown who
	// he is: by his address, his certificate or his password.
	strangerLife = timeout
	// A peer that lets a connection or a write hang is given up after these;
	// Close may wait for one of them.
	connectWithin = 5 * time.Second
	writeWithin   = 10 * time.Second

	sampleEvery = time.Second
)

// streamFront is one listener for streams. Each connection becomes ready for SIP
// on a goroutine of its own, so that one that is slow keeps no other waiting.
type streamFront struct {
	stack    *Stack
	bind     *bind
	listener *net.TCPListener
	tls      *tls.Config // nil for plain TCP and WS
	web      *webFront   // nil for TCP and TLS
	fault    *sampler
}

func (f *streamFront) start() {
	if f.web != nil {
		f.web.start()
	}
	f.stack.wg.Go(f.accept)
}

func (f *streamFront) accept() {
	for {
		c, err := f.next()
		if err != nil {
			return
		}
		if !f.stack.spawn(func() { f.serve(c) }) {
			_ = c.Close()
		}
	}
}

// next is the next connection that gets a place.
func (f *streamFront) next() (*openConn, error) {
	for {
		c, err := f.listener.AcceptTCP()
		if err != nil {
			if f.stack.isClosed() || errors.Is(err, net.ErrClosed) {
				return nil, net.ErrClosed
			}
			f.fault.do(func(n int) { f.stack.log.Warn("accept failed", "error", err, "since_last", n) })
			select {
			case <-time.After(50 * time.Millisecond): // out of file descriptors: let some go first
			case <-f.stack.closed:
				return nil, net.ErrClosed
			}
			continue
		}
		p, reason := f.stack.streams.take(c, true)
		if p == nil {
			if reason != "" {
				f.stack.obs.Refused(reason)
			}
			_ = c.SetLinger(0) // no state in the kernel either
			_ = c.Close()
			continue
		}
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
		return p, nil
	}
}

// serve makes a connection ready and hands it to sipgo.
func (f *streamFront) serve(p *openConn) {
	conn := f.stack.newStreamConn(p, f.bind, f.bind.network)
	if f.tls != nil {
		secure := tls.Server(p, f.tls)
		if err := f.handshake(secure); err != nil {
			f.refused("handshake", p, err)
			return
		}
		conn.secured(secure)
	}
	if f.web != nil {
		f.web.hand(conn)
		return
	}
	conn.link = &byteLink{conn: conn}
	f.stack.streams.feed(carriedBy(f.bind.network)).hand(conn)
}

func (f *streamFront) handshake(c *tls.Conn) error {
	ctx, cancel := context.WithTimeout(f.stack.streams.life, handshakeWithin)
	defer cancel()
	return c.HandshakeContext(ctx)
}

// refused ends a connection that never spoke SIP.
func (f *streamFront) refused(reason string, p *openConn, err error) {
	_ = p.Close()
	if f.stack.isClosed() || errors.Is(err, io.EOF) { // a load balancer that looks whether we live
		return
	}
	f.stack.obs.Refused(reason)
	f.fault.do(func(n int) {
		f.stack.log.Warn("sip connection refused", "reason", reason, "network", f.bind.network, "from", p.RemoteAddr().String(), "error", err, "since_last", n)
	})
}

// link is how messages come and go on a connection.
type link interface {
	// next is the next whole message. It blocks; an error ends the connection.
	next() ([]byte, error)
	// write sends one whole message.
	write([]byte) error
}

// streamConn is one connection as sipgo sees it: each Read gives bytes of whole
// responses that can be parsed, each Write takes one message. Requests are served on the way.
type streamConn struct {
	net.Conn // the connection, or TLS over it
	place    *openConn
	stack    *Stack
	bind     *bind
	network  string // "TCP", "TLS", "WS", "WSS"
	local    connAddr
	link     link
	peer     *x509.Certificate // verified, else nil
	server   string            // whom we dialled and verified; "" for one that came
	opened   time.Time

	rest   []byte // of the last message
	spoke  atomic.Bool
	known  *atomic.Bool // the peer has shown who he is
	bound  atomic.Bool  // some account registered by it
	users  []string     // these did, guarded by the registrar
	gone   atomic.Bool  // it is being closed
	ended  atomic.Bool  // reading ended: the peer, a deadline or we ended it
	taken  chan struct{}
	taking sync.Once
	once   sync.Once
}

// connAddr is a connection's local address with a number: sipgo's pool would take
// all connections of a listener for one, and a request to the listener itself
// would go to some client.
type connAddr struct {
	net.Addr
	serial uint64
}

// String implements net.Addr.
func (a connAddr) String() string { return fmt.Sprintf("%s#%d", a.Addr, a.serial) }

func (s *Stack) newStreamConn(p *openConn, b *bind, network string) *streamConn {
	s.streams.mu.Lock()
	s.streams.serial++
	serial := s.streams.serial
	s.streams.mu.Unlock()
	c := &streamConn{Conn: p, place: p, stack: s, bind: b, network: network, local: connAddr{p.LocalAddr(), serial},
		opened: time.Now(), taken: make(chan struct{}), known: &p.known}
	return c
}

// secured puts TLS over the connection.
func (c *streamConn) secured(t *tls.Conn) {
	c.Conn = t
	if chains := t.ConnectionState().VerifiedChains; len(chains) > 0 {
		c.peer = chains[0][0]
		c.known.Store(true)
	}
}

// LocalAddr implements net.Conn.
func (c *streamConn) LocalAddr() net.Addr { return c.local }

// Read gives the bytes of the next response that is fit to be worked on.
func (c *streamConn) Read(b []byte) (int, error) {
	c.taking.Do(func() { close(c.taken) })
	for len(c.rest) == 0 {
		msg, err := c.link.next()
		if err != nil {
			c.ended.Store(true)
			c.failed(msg, err)
			return 0, err
		}
		c.spoke.Store(true)
		if !c.takes(msg) {
			continue
		}
		m, bad := examine(c.stack.parser, msg)
		if bad != nil {
			c.refuse(msg, bad)
			continue
		}
		if req, ok := m.(*gosip.Request); ok {
			req.SetTransport(carriedBy(c.network))
			stamp(req, sourceOfPacket(c.RemoteAddr()))
			c.stack.serve(req, way{conn: c})
			continue
		}
		c.rest = msg
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// patience is until when the next message must begin.
func (c *streamConn) patience() time.Time {
	if !c.spoke.Load() {
		return c.opened.Add(firstBytesWithin)
	}
	until := time.Now().Add(c.stack.opt.IdleTimeout)
	if end := c.opened.Add(strangerLife); !c.known.Load() && end.Before(until) {
		return end
	}
	return until
}

// failed answers what can't be followed by anything: nobody knows where the next
// message would begin.
func (c *streamConn) failed(head []byte, err error) {
	var bad *framingError
	if errors.As(err, &bad) {
		c.refuse(head, &refusal{"malformed", bad.code, bad.phrase})
	}
}

func (c *streamConn) refuse(msg []byte, bad *refusal) {
	c.stack.obs.Refused(bad.reason)
	c.stack.streamFault.do(func(n int) {
		c.stack.log.Warn("sip message refused", "reason", bad.reason, "network", c.network, "from", c.RemoteAddr().String(), "bytes", len(msg), "since_last", n)
	})
	if res := rawResponse(msg, bad.code, bad.phrase); res != nil {
		_, _ = c.Write(res)
	}
}

// Write sends one message. A peer that doesn't take it in time is cut off.
func (c *streamConn) Write(b []byte) (int, error) {
	sight := look(b)
	c.stack.tally(&sight, true, c.network, sourceOfPacket(c.RemoteAddr()), c)
	c.stack.trace(&sight, b, true, c.network, sourceOfPacket(c.Conn.LocalAddr()), sourceOfPacket(c.RemoteAddr()))
	if err := c.link.write(b); err != nil {
		c.ended.Store(true)
		_ = c.place.Close()
		return 0, err
	}
	return len(b), nil
}

// Close closes the connection, once. sipgo ends one by itself only when what came
// was no SIP for it. It doesn't block: sipgo holds the lock of its pool, and TLS
// waits for a peer to take its last word.
func (c *streamConn) Close() error {
	c.once.Do(func() {
		c.gone.Store(true)
		if !c.ended.Load() && !c.stack.isClosed() {
			c.stack.obs.Refused("malformed")
		}
		if c.bound.Load() {
			c.stack.spawn(func() { c.stack.reg.connectionLost(c) })
		}
		if c.Conn == net.Conn(c.place) || !c.stack.spawn(func() { _ = c.Conn.Close() }) {
			_ = c.place.Close()
		}
	})
	return nil
}
