//go:build !linux

package media

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// socket is one bound UDP port, read by a goroutine of its own: fit to try the hotline out where there
// is no epoll(7), not to carry many calls.
type socket struct {
	conn *net.UDPConn
	port uint16
	done chan struct{} // closed when nobody reads any more; nil: nobody ever did

	mu     sync.Mutex // held while a datagram is handled, so that silence waits for it
	handle handler    // nil: what comes is thrown away
}

// handler takes a datagram; it must not keep data.
type handler func(data []byte, src netip.AddrPort, now time.Duration)

// listen binds a port; 0 lets the system choose.
func listen(addr netip.Addr, port uint16) (*socket, error) {
	network := "udp4"
	if addr.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		return nil, fmt.Errorf("opening RTP socket: %w", err)
	}
	return &socket{conn: conn, port: conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()}, nil
}

func (s *socket) close() error {
	err := s.conn.Close()
	if s.done != nil {
		<-s.done
	}
	return err
}

// again does nothing: all is read at once anyway.
func (s *socket) again() {}

// holds is for the kernel's path, which isn't here.
func (s *socket) holds() bool { return false }

// target is an address to send to.
type target struct{ addr netip.AddrPort }

func newTarget(to netip.AddrPort) target { return target{to} }

func (s *socket) send(data []byte, to *target) error {
	_, err := s.conn.WriteToUDPAddrPort(data, to.addr)
	return err
}

// listenTo makes fn the one that takes what comes; nil throws it away. It waits for the datagram
// being handled, so that after listenTo(nil) nothing is.
func (s *socket) listenTo(fn handler) {
	s.mu.Lock()
	s.handle = fn
	s.mu.Unlock()
}

// poller waits for ticks; sockets read themselves.
type poller struct {
	now    func() time.Duration
	log    *slog.Logger
	ticker *time.Ticker
	closed chan struct{}
}

func newPoller(now func() time.Duration, log *slog.Logger) (*poller, error) {
	p := &poller{now: now, log: log, ticker: time.NewTicker(time.Hour), closed: make(chan struct{})}
	return p, p.pace(0)
}

// pace sets the time between ticks; 0 ends them.
func (p *poller) pace(every time.Duration) error {
	if every == 0 {
		p.ticker.Stop()
	} else {
		p.ticker.Reset(every)
	}
	return nil
}

func (p *poller) add(s *socket) error {
	s.done = make(chan struct{})
	go p.read(s)
	return nil
}

func (p *poller) remove(*socket) {}

// read hands each datagram on until the socket is closed.
func (p *poller) read(s *socket) {
	defer close(s.done)
	buf := make([]byte, 2048)
	for {
		n, src, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		if s.handle != nil {
			s.handle(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), p.now())
		}
		s.mu.Unlock()
	}
}

// close ends the wait of turn for good.
func (p *poller) close() error {
	close(p.closed)
	return nil
}

// turn waits for the next tick. It returns an error when the poller is closed.
func (p *poller) turn() error {
	select {
	case <-p.ticker.C:
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}
