package sip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// bind is a listener that is up: where it listens and what it calls itself.
type bind struct {
	network string // "UDP", "TCP", "TLS", "WS", "WSS"
	local   netip.AddrPort
	host    string // advertised
	port    int
	ua      *sipgo.UserAgent // that serves it, for UDP
	index   int              // in Options.Listen
}

// socketBuffer is for a burst of calls, which must not overflow the kernel's
// default of 208 KiB; the kernel may grant less.
const socketBuffer = 4 << 20

// listen binds one listener; start makes it receive.
func (s *Stack) listen(ua *sipgo.UserAgent, l Listener) (start func(), err error) {
	if l.PacketConn == nil && (!l.Addr.IsValid() || l.Addr.Addr().IsUnspecified()) {
		return nil, fmt.Errorf("listen %s %s: a concrete address is needed, not a wildcard; name the address the peers know", l.Network, l.Addr)
	}
	switch network := strings.ToUpper(l.Network); network {
	case "UDP":
		return s.listenUDP(ua, l)
	case "TCP", "TLS", "WS", "WSS":
		return s.listenStream(network, l)
	default:
		return nil, fmt.Errorf("listen %q %s: the network is one of udp, tcp, tls, ws and wss", l.Network, l.Addr)
	}
}

func (s *Stack) listenUDP(ua *sipgo.UserAgent, l Listener) (start func(), err error) {
	pc := l.PacketConn
	if pc == nil {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr))
		if err != nil {
			return nil, fmt.Errorf("listen udp %s: %w", l.Addr, err)
		}
		_ = c.SetReadBuffer(socketBuffer)
		_ = c.SetWriteBuffer(socketBuffer)
		pc = c
	}
	s.closers = append(s.closers, pc.Close)
	if slices.ContainsFunc(s.binds, func(b *bind) bool { return b.network == "UDP" }) {
		if ua, err = s.newUA(); err != nil {
			return nil, err
		}
	}
	b, err := s.addBind("UDP", pc.LocalAddr(), l.Advertise)
	if err != nil {
		return nil, err
	}
	b.ua = ua
	return newUDPFront(s, pc, b).start, nil
}

func (s *Stack) listenStream(network string, l Listener) (start func(), err error) {
	front := &streamFront{stack: s, fault: newSampler(sampleEvery)}
	if network == "TLS" || network == "WSS" {
		if front.tls, err = s.serverTLS(l.TLS); err != nil {
			return nil, fmt.Errorf("listen %s %s: %w", l.Network, l.Addr, err)
		}
	}
	if network == "WS" || network == "WSS" {
		front.web = newWebFront(front, l.Origins)
	}
	tl, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(l.Addr))
	if err != nil {
		return nil, fmt.Errorf("listen %s %s: %w", l.Network, l.Addr, err)
	}
	front.listener = tl
	s.closers = append(s.closers, tl.Close)
	if front.bind, err = s.addBind(network, tl.Addr(), l.Advertise); err != nil {
		return nil, err
	}
	return front.start, nil
}

// addBind notes a listener that is up.
func (s *Stack) addBind(network string, local net.Addr, advertise string) (*bind, error) {
	ap, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return nil, fmt.Errorf("local address %s: %w", local, err)
	}
	b := &bind{network: network, local: ap, host: ap.Addr().String(), port: int(ap.Port()), index: len(s.binds)}
	if advertise != "" {
		host, port, err := gosip.ParseAddr(advertise)
		if err != nil {
			host, port = advertise, b.port
		}
		b.host, b.port = host, port
	}
	s.binds = append(s.binds, b)
	return b, nil
}

// bindTo is the listener that requests to a host leave by: the first of that
// network and of the host's address family, else the first of that network, else
// the first that fits the family.
func (s *Stack) bindTo(network, host string) *bind {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	to, err := netip.ParseAddr(strings.Trim(host, "[]"))
	best, worth := s.binds[0], -1
	for _, b := range s.binds {
		w := 0
		if b.network == network {
			w += 2
		}
		if err != nil || to.Unmap().Is4() == b.local.Addr().Is4() {
			w++
		}
		if w > worth {
			best, worth = b, w
		}
	}
	return best
}

// carriedBy is the transport of sipgo's that carries ours: it gets whole messages
// from our connections and sees neither TLS nor WebSocket.
func carriedBy(network string) string {
	switch network {
	case "WS":
		return carrierTCP
	case "WSS":
		return carrierTLS
	default:
		return network
	}
}

const (
	carrierTCP = "TCP"
	carrierTLS = "TLS"
)

// reliable tells whether a transport brings answers back on the connection.
func reliable(network string) bool { return network != "UDP" }
