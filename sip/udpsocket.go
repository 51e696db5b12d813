package sip

import (
	"net"
	"net/netip"
	"time"
)

// udpSocket is the socket of a listener. It tells when each datagram came: one that waited in the socket because
// nobody had time to read it has waited as much as one that was read (see admission).
type udpSocket struct {
	net.PacketConn
	udp  *net.UDPConn // nil when the kernel doesn't tell times
	ctrl [64]byte     // ancillary data of a datagram
}

// longestWait is what a wait in the socket is cut to: the kernel's clock may have been set meanwhile.
const longestWait = 2 * time.Second

func newUDPSocket(pc net.PacketConn) *udpSocket {
	u := &udpSocket{PacketConn: pc}
	if c, ok := pc.(*net.UDPConn); ok && askArrivals(c) == nil {
		u.udp = c
	}
	return u
}

// read blocks for one datagram.
func (u *udpSocket) read(b []byte) (n int, from netip.AddrPort, came time.Time, err error) {
	if u.udp == nil {
		n, a, err := u.PacketConn.ReadFrom(b)
		if err != nil {
			return 0, netip.AddrPort{}, time.Time{}, err
		}
		return n, sourceOfPacket(a), time.Now(), nil
	}
	n, ctrl, _, from, err := u.udp.ReadMsgUDPAddrPort(b, u.ctrl[:])
	if err != nil {
		return 0, netip.AddrPort{}, time.Time{}, err
	}
	now := time.Now()
	if at, ok := arrivalIn(u.ctrl[:ctrl]); ok {
		came = now.Add(-min(max(0, now.Sub(at)), longestWait)) // by the clock that is never set
	} else {
		came = now
	}
	return n, plainAddr(from), came, nil
}

// write sends one datagram.
func (u *udpSocket) write(b []byte, to netip.AddrPort) error {
	var err error
	if u.udp != nil {
		_, err = u.udp.WriteToUDPAddrPort(b, to)
	} else {
		_, err = u.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	}
	return err
}

// plainAddr is an address as it is compared: IPv4 as such, and without a zone.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
