package sip

import (
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

// udpSocket is the socket of a listener. It tells when each datagram came: one that waited in the socket because
// nobody had time to read it has waited as much as one that was read (see admission).
type udpSocket struct {
	net.PacketConn
	udp      *net.UDPConn // nil when the kernel doesn't tell times
	buf      [1<<16 - 1]byte
	ctrl     [64]byte // ancillary data of a datagram
	batch    *ipv4.PacketConn
	many     []ipv4.Message // read at once, and
	next     int            // the first of them that wasn't taken yet
	got      int
	piled    bool      // datagrams wait to be read
	oneByOne time.Time // until then they are read so, whatever waits
	lost     int       // were cut; who reads counts them
}

const (
	// longestWait is what a wait in the socket is cut to: the kernel's clock may have been set meanwhile.
	longestWait = 2 * time.Second
	// atOnceRead is how many datagrams are read by one system call once they have waited for piledUp. One of more than
	// readTogether bytes, behind another, is cut then: it will come again, by Timer A or E, and find that they are read one by one.
	atOnceRead   = 16
	piledUp      = time.Millisecond
	readTogether = 4096
)

func newUDPSocket(pc net.PacketConn) *udpSocket {
	u := &udpSocket{PacketConn: pc}
	if c, ok := pc.(*net.UDPConn); ok && askArrivals(c) == nil {
		u.udp, u.batch = c, ipv4.NewPacketConn(c)
	}
	return u
}

// read blocks for one datagram, which is there until the next is read.
func (u *udpSocket) read() (data []byte, from netip.AddrPort, came time.Time, err error) {
	if u.udp == nil {
		n, a, err := u.ReadFrom(u.buf[:])
		if err != nil {
			return nil, netip.AddrPort{}, time.Time{}, err
		}
		return u.buf[:n], sourceOfPacket(a), time.Now(), nil
	}
	for u.piled || u.next < u.got {
		m, err := u.oneOfMany()
		if err != nil {
			return nil, netip.AddrPort{}, time.Time{}, err
		}
		came, _ := arrival(m.OOB[:m.NN])
		if !isCut(m.Flags) {
			return m.Buffers[0][:m.N], sourceOfPacket(m.Addr), came, nil
		}
		u.oneByOne, u.piled = time.Now().Add(timeout), false
		u.lost++
	}
	n, ctrl, _, from, err := u.udp.ReadMsgUDPAddrPort(u.buf[:], u.ctrl[:])
	if err != nil {
		return nil, netip.AddrPort{}, time.Time{}, err
	}
	came, waited := arrival(u.ctrl[:ctrl])
	u.piled = waited > piledUp && came.After(u.oneByOne)
	return u.buf[:n], plainAddr(from), came, nil
}

// oneOfMany is one of those that have piled up: a system call for each is a good part of what refusing it costs.
func (u *udpSocket) oneOfMany() (*ipv4.Message, error) {
	if u.many == nil {
		u.many = make([]ipv4.Message, atOnceRead)
		for i := range u.many {
			u.many[i].Buffers, u.many[i].OOB = [][]byte{make([]byte, readTogether)}, make([]byte, len(u.ctrl))
		}
		u.many[0].Buffers[0] = u.buf[:] // one that comes alone is never cut
	}
	if u.next == u.got {
		var err error
		u.next = 0
		if u.got, err = u.batch.ReadBatch(u.many, 0); err != nil {
			u.got = 0
			return nil, err
		}
		u.piled = u.got == atOnceRead
	}
	m := &u.many[u.next]
	u.next++
	return m, nil
}

// arrival is when a datagram came, by the clock that is never set.
func arrival(ctrl []byte) (came time.Time, waited time.Duration) {
	now := time.Now()
	if at, ok := arrivalIn(ctrl); ok {
		waited = min(max(0, now.Sub(at)), longestWait)
	}
	return now.Add(-waited), waited
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
