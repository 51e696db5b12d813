package kernel

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	protocolUDP = 17
	moreToCome  = 0x2000 // flag of IPv4 fragments
	anyChecksum = 0xABCD // of what only looks like a datagram
)

// cable is the left phone's end of its cable, where a test puts whole frames.
type cable struct {
	*line
	six      bool
	fd       int
	to       unix.SockaddrLinklayer
	machine  net.HardwareAddr
	phoneMAC net.HardwareAddr
}

func newCable(n *networks, six bool) *cable {
	n.t.Helper()
	c := &cable{six: six}
	n.in(n.middle, func() {
		if i, err := net.InterfaceByName("west"); err != nil {
			n.t.Error(err)
		} else {
			c.machine = i.HardwareAddr
		}
	})
	n.in(n.left, func() {
		i, err := net.InterfaceByName("eth")
		if err != nil {
			n.t.Error(err)
			return
		}
		c.phoneMAC, c.to = i.HardwareAddr, unix.SockaddrLinklayer{Ifindex: i.Index}
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil {
			n.t.Error(err)
			return
		}
		n.t.Cleanup(func() { unix.Close(c.fd) })
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
	return c
}

// frame puts an IP packet on the cable, behind the tags given.
func (c *cable) frame(packet []byte, tags ...byte) {
	c.t.Helper()
	kind := []byte{0x08, 0x00}
	if c.six {
		kind = []byte{0x86, 0xDD}
	}
	b := bytes.Join([][]byte{c.machine, c.phoneMAC, tags, kind, packet}, nil)
	if err := unix.Sendto(c.fd, b, 0, &c.to); err != nil {
		c.t.Fatal(err)
	}
}

func sum(into uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		into += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		into += uint32(b[0]) << 8
	}
	return into
}

func folded(s uint32) uint16 {
	for s > 0xFFFF {
		s = s&0xFFFF + s>>16
	}
	return uint16(s)
}

// headerUDP is one from the phone to the port, its checksum as given.
func (c *cable) headerUDP(length int, check uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, c.forward.Source.Port())
	b = binary.BigEndian.AppendUint16(b, c.port)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return binary.BigEndian.AppendUint16(b, check)
}

// datagram is one from the phone to the port.
func (c *cable) datagram(payload []byte) []byte {
	b := append(c.headerUDP(8+len(payload), 0), payload...)
	s := sum(sum(0, c.forward.Source.Addr().AsSlice()), addrOf(c.up).Addr().Unmap().AsSlice())
	binary.BigEndian.PutUint16(b[6:], ^folded(sum(s+protocolUDP+uint32(len(b)), b)))
	return b
}

// ip4 makes an IPv4 packet.
func (c *cable) ip4(ttl byte, fragment uint16, options, body []byte) []byte {
	b := make([]byte, 20, 20+len(options)+len(body))
	b[0] = 0x40 | byte(5+len(options)/4)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(options)+len(body)))
	binary.BigEndian.PutUint16(b[4:], c.seq) // the same in all fragments of a datagram
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8], b[9] = ttl, protocolUDP
	copy(b[12:], c.forward.Source.Addr().AsSlice())
	copy(b[16:], addrOf(c.up).Addr().Unmap().AsSlice())
	b = append(b, options...)
	binary.BigEndian.PutUint16(b[10:], ^folded(sum(0, b)))
	return append(b, body...)
}

// ip6 makes an IPv6 packet.
func (c *cable) ip6(hops, next byte, body []byte) []byte {
	b := make([]byte, 40, 40+len(body))
	b[0], b[6], b[7] = 0x60, next, hops
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], c.forward.Source.Addr().AsSlice())
	copy(b[24:], addrOf(c.up).Addr().AsSlice())
	return append(b, body...)
}

// ip makes a packet of either family with nothing special in it.
func (c *cable) ip(ttl byte, body []byte) []byte {
	if c.six {
		return c.ip6(ttl, protocolUDP, body)
	}
	return c.ip4(ttl, 0, nil, body)
}

// odd is what only the headers before UDP keep from being forwarded: send puts it on the cable, and
// tells what the port's socket shall get. Where the headers can, they read as the phone's next packet
// to whoever takes them for UDP and RTP; that needs ports of a certain look.
type odd struct {
	name                  string
	six                   bool
	phonePort, serverPort uint16
	send                  func(c *cable, sound []byte) []byte
}

var oddities = []odd{
	{name: "a time to live that ends", send: ending},
	{name: "a hop limit that ends", six: true, send: ending},
	{name: "a VLAN tag", send: tagged},
	{name: "a VLAN tag", six: true, send: tagged},
	{name: "IP options", phonePort: 0x8804, send: func(c *cable, sound []byte) []byte {
		// A stream identifier, which is 4 long and holds the port, and the end of the options.
		options := append(c.headerUDP(180, anyChecksum), c.packet(8, sound)[:12]...)
		payload := sound[:152]
		c.frame(c.ip4(64, 0, options, c.datagram(payload)))
		return payload
	}},
	{name: "destination options", six: true, phonePort: 0x1102, serverPort: 0x1E14, send: func(c *cable, sound []byte) []byte {
		// UDP follows, the header is 3 times 8 long; an option to be skipped, 20 long.
		options := append(c.headerUDP(180, anyChecksum), c.packet(8, sound)[:16]...)
		payload := sound[:148]
		c.frame(c.ip6(64, 60, append(options, c.datagram(payload)...)))
		return payload
	}},
	{name: "a fragment", send: func(c *cable, sound []byte) []byte {
		in := append(c.headerUDP(180, 0), c.packet(8, sound)...)
		d := c.datagram(append(sound[:8:8], in...))
		c.frame(c.ip4(64, moreToCome, nil, d[:16]))
		c.frame(c.ip4(64, 16/8, nil, d[16:]))
		return d[8:]
	}},
	{name: "a first fragment", send: func(c *cable, sound []byte) []byte {
		d := c.datagram(append(c.packet(8, sound), sound[:16]...))
		c.frame(c.ip4(64, moreToCome, nil, d[:176]))
		c.frame(c.ip4(64, 176/8, nil, d[176:]))
		return d[8:]
	}},
	{name: "a fragment", six: true, phonePort: 0x1100, serverPort: 1400, send: func(c *cable, sound []byte) []byte {
		// UDP follows, the offset is 1,400, and the datagram's number reads as length and checksum.
		in := c.packet(8, sound)
		d := c.datagram(append(make([]byte, 1392), in...))
		first, last := c.headerUDP(180, anyChecksum), c.headerUDP(180, anyChecksum)
		binary.BigEndian.PutUint16(first[2:], 1)
		c.frame(c.ip6(64, 44, append(first, d[:1400]...)))
		c.frame(c.ip6(64, 44, append(last, d[1400:]...)))
		return d[8:]
	}},
}

func ending(c *cable, sound []byte) []byte {
	b := c.packet(8, sound)
	c.frame(c.ip(1, c.datagram(b)))
	return b
}

// tagged has a priority alone, so that it is for whoever has no VLANs too.
func tagged(c *cable, sound []byte) []byte {
	b := c.packet(8, sound)
	c.frame(c.ip(64, c.datagram(b)), 0x81, 0x00, 0xA0, 0x00)
	return b
}

// What bears more than IP, UDP and RTP headers, or mayn't travel on, goes up unchanged from a cable,
// leaves nothing behind in the state, and what is sent after it goes on.
func TestSendsUpOddHeaders(t *testing.T) {
	onCables(t, func(t *testing.T, n *networks, six bool, m Mode) {
		near, left, right := cableAddresses(six)
		c := newCable(n, six)
		var p *Path
		opened := monotonic()
		n.in(n.middle, func() {
			p = n.openPath(t, near, m)
		})
		for _, o := range oddities {
			if o.six != six {
				continue
			}
			t.Run(o.name, func(t *testing.T) {
				l := &line{t: t, path: p, seq: 65530, ts: 1000, firstByte: 0x80}
				n.in(n.left, func() { l.phone = listenAt(t, left, o.phonePort) })
				n.in(n.right, func() { l.far = listenAt(t, right, 0) })
				n.in(n.middle, func() { l.up, l.out = listenAt(t, near, o.serverPort), listenAt(t, near, 0) })
				l.describe()
				l.now(opened)
				n.meet(l)
				drain(t, l.up)
				l.now(opened)
				c.line = l
				o.check(t, c)
			})
		}
	})
}

func (o odd) check(t *testing.T, c *cable) {
	sound := bytes.Repeat([]byte{0x55}, soundSize)
	plain := func(what string) {
		t.Helper()
		b := c.packet(8, sound)
		c.frame(c.ip(64, c.datagram(b)))
		if got, _ := receive(t, what, c.far); !bytes.Equal(got[12:], sound) || len(got) != len(b) {
			t.Errorf("% x was heard, want %s", got, what)
		}
	}
	plain("voice")
	before, seq, ts := c.state(), c.seq, c.ts
	want := o.send(c, sound)
	got, from := receive(t, "what goes up", c.up)
	if !bytes.Equal(got, want) || from != c.forward.Source {
		t.Errorf("% x from %s came up, want % x", got, from, want)
	}
	if after := c.state(); after != before {
		t.Errorf("state %+v, want %+v", after, before)
	}
	c.seq, c.ts = seq, ts
	plain("voice after it")
}

// now has the stream begin now, not when the path was opened.
func (l *line) now(opened int64) {
	l.t.Helper()
	l.forward.Origin = l.ts + l.forward.TSOffset - uint32((monotonic()-opened+int64(time.Hour))/int64(time.Second/8000))
	l.set()
}

// listenAt is listen at a port, or 0.
func listenAt(t testing.TB, addr string, port uint16) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// drain reads what came by now.
func drain(t testing.TB, c *net.UDPConn) {
	t.Helper()
	for {
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFromUDPAddrPort(make([]byte, 2048)); err != nil {
			return
		}
	}
}
