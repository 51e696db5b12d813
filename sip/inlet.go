package sip

import (
	"net"
	"net/netip"
	"time"
)

// inlet reads datagrams of a listener, and tells when each came: one that waited in the socket because
// nobody had time to read it has waited as much as one that was read (see admission).
type inlet struct {
	net.PacketConn
	udp  *net.UDPConn // nil when the kernel doesn't tell times
	ctrl [64]byte     // ancillary data of a datagram
}

// longestWait is what a wait in the socket is cut to: the kernel's clock may have been set meanwhile.
const longestWait = 2 * time.Second

func newInlet(pc net.PacketConn) *inlet {
	in := &inlet{PacketConn: pc}
	if c, ok := pc.(*net.UDPConn); ok && askArrivals(c) == nil {
		in.udp = c
	}
	return in
}

// read blocks for one datagram.
func (in *inlet) read(b []byte) (n int, from netip.AddrPort, came time.Time, err error) {
	if in.udp == nil {
		n, a, err := in.ReadFrom(b)
		if err != nil {
			return 0, netip.AddrPort{}, time.Time{}, err
		}
		return n, sourceOfPacket(a), time.Now(), nil
	}
	n, ctrl, _, from, err := in.udp.ReadMsgUDPAddrPort(b, in.ctrl[:])
	if err != nil {
		return 0, netip.AddrPort{}, time.Time{}, err
	}
	now := time.Now()
	if at, ok := arrivalIn(in.ctrl[:ctrl]); ok {
		came = now.Add(-min(max(0, now.Sub(at)), longestWait)) // by the clock that is never set
	} else {
		came = now
	}
	return n, plainAddr(from), came, nil
}

// plainAddr is an address as it is compared: IPv4 as such, and without a zone.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
