package media

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// pair is the two sockets of a leg: RTP on an even port, RTCP on the next (RFC 3550 section 11).
type pair struct {
	rtp, rtcp *net.UDPConn
	port      uint16
}

func (p *pair) close() error { return errors.Join(p.rtp.Close(), p.rtcp.Close()) }

// kernelTries bounds the search for an even port with a free neighbour among those the kernel gives.
const kernelTries = 200

// openPair takes a pair from the range or from the kernel.
func (e *Engine) openPair() (*pair, error) {
	if e.ports.random {
		return e.kernelPair()
	}
	_, free, _ := e.ports.count(e.now())
	for range free {
		port := e.ports.take(e.now())
		if port == 0 {
			break
		}
		p, err := listenPair(e.cfg.Bind, port)
		if err == nil {
			return p, nil
		}
		e.ports.give(port, e.now())
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		e.cfg.Logger.Warn("RTP port is used by another process", "port", port)
	}
	return nil, ErrNoPorts
}

func (e *Engine) kernelPair() (*pair, error) {
	for range kernelTries {
		probe, err := listen(e.cfg.Bind, 0)
		if err != nil {
			return nil, err
		}
		port := probe.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if port&1 == 1 {
			probe.Close()
			continue
		}
		rtcp, err := listen(e.cfg.Bind, port+1)
		if err != nil {
			probe.Close()
			continue
		}
		e.ports.took()
		return &pair{probe, rtcp, port}, nil
	}
	return nil, ErrNoPorts
}

func listenPair(addr netip.Addr, port uint16) (*pair, error) {
	rtp, err := listen(addr, port)
	if err != nil {
		return nil, err
	}
	rtcp, err := listen(addr, port+1)
	if err != nil {
		rtp.Close()
		return nil, err
	}
	return &pair{rtp, rtcp, port}, nil
}

func listen(addr netip.Addr, port uint16) (*net.UDPConn, error) {
	network := "udp4"
	if addr.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	if err != nil {
		return nil, fmt.Errorf("opening RTP socket: %w", err)
	}
	return conn, nil
}
