package sip

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// dialling is a connection being made; those who want the same one wait for it.
type dialling struct {
	done chan struct{}
	err  error
}

// wayTo is where a request goes: an address, and the name that a certificate there
// must bear.
type wayTo struct {
	network string // "TCP", "TLS"
	addr    netip.AddrPort
	name    string
	bind    *bind
}

func (h wayTo) key() string { return h.network + " " + h.addr.String() + " " + h.name }

// connect points a request to an address that its listener can reach, and makes sure
// that there is a connection if it goes by a stream. Within a dialog with a trunk whose
// connection has gone it goes where Contact or route set say. It blocks until ctx ends
// at the longest.
func (s *Stack) connect(ctx context.Context, req *gosip.Request) error {
	err := s.connectOnce(ctx, req)
	if err == nil || req.MessageData.Destination() == "" || !s.ofTrunk(req) {
		return err
	}
	req.SetDestination("")
	return s.connectOnce(ctx, req)
}

// ofTrunk tells whether a request is one within a dialog, to the address of a trunk.
func (s *Stack) ofTrunk(req *gosip.Request) bool {
	to := req.To()
	if to == nil || !to.Params.Has("tag") {
		return false
	}
	at, err := netip.ParseAddrPort(req.Destination())
	return err == nil && s.access.Load().trunkAt(at.Addr().Unmap()) != nil && !s.reg.knows(plainAddr(at))
}

func (s *Stack) connectOnce(ctx context.Context, req *gosip.Request) error {
	via := req.Via()
	if via == nil {
		return nil
	}
	host, port, err := gosip.ParseAddr(req.Destination())
	if err != nil {
		return fmt.Errorf("destination %q: %w", req.Destination(), err)
	}
	if !reliable(via.Transport) {
		s.resolveUDP(ctx, req, host, port)
		return nil
	}
	flow := req.MessageData.Destination() != ""
	h := wayTo{network: via.Transport, name: hostOf(req), bind: s.bindOf(req)}
	if port == 0 {
		port = gosip.DefaultPort(carriedBy(h.network))
	}
	addrs, err := s.resolve(ctx, strings.Trim(host, "[]"), h.bind)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		h.addr = netip.AddrPortFrom(a, uint16(port))
		if err = s.connectTo(ctx, h, flow); err == nil {
			req.SetDestination(h.addr.String())
			return nil
		}
	}
	return err
}

// resolveUDP gives a request by UDP an address of its listener's family: sipgo takes
// IPv4 wherever it can. A name without such an address is left to sipgo, which asks
// for SRV records then.
func (s *Stack) resolveUDP(ctx context.Context, req *gosip.Request, host string, port int) {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return
	}
	addrs, err := s.resolve(ctx, host, s.bindOf(req))
	if err != nil || len(addrs) == 0 {
		return
	}
	if port == 0 {
		port = gosip.DefaultPort(req.Transport())
	}
	req.SetDestination(netip.AddrPortFrom(addrs[0], uint16(port)).String())
}

// hostOf is the host that the next hop was asked for by.
func hostOf(req *gosip.Request) string {
	if r := req.Route(); r != nil {
		return strings.Trim(r.Address.Host, "[]")
	}
	return strings.Trim(req.Recipient.Host, "[]")
}

// bindOf is the listener that address chose for a request.
func (s *Stack) bindOf(req *gosip.Request) *bind {
	network := ""
	if via := req.Via(); via != nil {
		network = via.Transport
	}
	var near *bind
	for _, b := range s.binds {
		switch {
		case !req.Laddr.IP.Equal(b.local.Addr().AsSlice()):
		case b.network == network && (reliable(network) || req.Laddr.Port == int(b.local.Port())):
			return b
		case near == nil && reliable(b.network) == reliable(network):
			near = b
		}
	}
	if near == nil {
		near = s.binds[0]
	}
	return near
}

// resolve lists the addresses of a host that the listener can reach.
func (s *Stack) resolve(ctx context.Context, host string, b *bind) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	family := "ip6"
	if b.local.Addr().Is4() {
		family = "ip4"
	}
	addrs, err := s.lookup(ctx, family, host)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs[:min(len(addrs), 4)], nil
}

// connectTo finds a connection to a hop or dials one. A flow is one that exists: the
// peer opened it, and who he is was settled then.
func (s *Stack) connectTo(ctx context.Context, h wayTo, flow bool) error {
	if s.usable(h, flow) {
		return nil
	}
	if h.network == "WS" || h.network == "WSS" {
		return fmt.Errorf("%s: a browser can't be dialled and its connection is gone", h.network)
	}
	s.streams.mu.Lock()
	d := s.streams.dialling[h.key()]
	first := d == nil
	if first {
		d = &dialling{done: make(chan struct{})}
		s.streams.dialling[h.key()] = d
	}
	s.streams.mu.Unlock()
	if first && !s.spawn(func() { s.finishDial(d, h) }) {
		d.err = net.ErrClosed
		close(d.done)
	}
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return fmt.Errorf("connect to %s: %w", h.addr, ctx.Err())
	}
}

// usable tells whether the connection in sipgo's pool will do. Over TLS, one that
// came must have shown the name that we would ask for (RFC 5923 8).
func (s *Stack) usable(h wayTo, flow bool) (ok bool) {
	s.pooled(h, func(c *streamConn) { ok = h.network != "TLS" || flow && c.known.Load() || c.stands(h.name) })
	return ok
}

// stands tells whether who is at the other end of a TLS connection is the one of
// that name. An address names nobody: where a peer's Contact has one, whoever we
// dialled there by name is meant.
func (c *streamConn) stands(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil && c.server != "" {
		return true
	}
	return strings.EqualFold(c.server, name) || bearsName(c.peer, name)
}

func (s *Stack) finishDial(d *dialling, h wayTo) {
	ctx, cancel := context.WithTimeout(s.streams.life, connectWithin)
	defer cancel()
	d.err = s.dial(ctx, h)
	s.streams.mu.Lock()
	delete(s.streams.dialling, h.key())
	s.streams.mu.Unlock()
	close(d.done)
}

// dial opens a connection and returns when sipgo has it.
func (s *Stack) dial(ctx context.Context, h wayTo) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: h.bind.local.Addr().AsSlice()}}
	if h.addr.Addr().Is4() != h.bind.local.Addr().Is4() {
		d.LocalAddr = nil
	}
	c, err := d.DialContext(ctx, "tcp", h.addr.String())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	p, _ := s.streams.take(c, false)
	if p == nil {
		_ = c.Close()
		return net.ErrClosed
	}
	conn := s.newStreamConn(p, h.bind, h.network)
	conn.spoke.Store(true)
	if h.network == "TLS" {
		secure := tls.Client(p, s.client.dialling(h.name))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = p.Close()
			return fmt.Errorf("TLS with %s: %w", net.JoinHostPort(h.name, strconv.Itoa(int(h.addr.Port()))), err)
		}
		conn.secured(secure)
		conn.server = h.name
	}
	conn.link = &byteLink{conn: conn}
	s.streams.feed(carriedBy(h.network)).hand(conn)
	select {
	case <-conn.taken: // sipgo reads from it, so it is in the pool
		return nil
	case <-ctx.Done():
		_ = conn.Close()
		return ctx.Err()
	}
}

// networkOf is the transport that a URI asks for.
func networkOf(u gosip.Uri) (string, error) {
	t, _ := u.UriParams.Get("transport")
	switch t = strings.ToUpper(t); {
	case t == "TLS", u.Scheme == "sips" && (t == "" || t == "TCP"):
		return "TLS", nil
	case u.Scheme == "sips":
		return "", fmt.Errorf("nobody is called with sips by transport %s", t)
	case t == "", t == "UDP":
		return "UDP", nil
	case t == "TCP":
		return t, nil
	default:
		return "", fmt.Errorf("nobody is called by transport %s: use udp, tcp or tls", t)
	}
}
