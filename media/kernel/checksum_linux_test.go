package kernel

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is all that comes in by the far phone's cable.
func wire(n *networks) (fd int) {
	n.t.Helper()
	n.in(n.right, func() {
		var err error
		const all = unix.ETH_P_ALL<<8&0xFF00 | unix.ETH_P_ALL>>8 // in network order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, all); err != nil {
			n.t.Error(err)
			return
		}
		n.t.Cleanup(func() { unix.Close(fd) })
		limit := unix.NsecToTimeval(int64(patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			n.t.Error(err)
		}
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
	return fd
}

// checksum is that of the next datagram on the wire to the port.
func (c *cable) checksum(fd int, port uint16) uint16 {
	c.t.Helper()
	at := 20
	if c.six {
		at = 40
	}
	b := make([]byte, 2048)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		if n > at+8 && binary.BigEndian.Uint16(b[at+2:]) == port {
			return binary.BigEndian.Uint16(b[at+6:])
		}
	}
	c.t.Fatal("the datagram isn't on the wire")
	return 0
}

// zeroSum is sound whose last two bytes make the checksum 0 of the packet that is sent on for the next one.
func (c *cable) zeroSum() []byte {
	sound := bytes.Repeat([]byte{0x55}, soundSize)
	clear(sound[soundSize-2:])
	f := c.forward
	b := binary.BigEndian.AppendUint16(nil, f.OutPort)
	b = binary.BigEndian.AppendUint16(b, f.Destination.Port())
	b = binary.BigEndian.AppendUint16(b, 8+12+soundSize)
	b = append(b, 0, 0, c.firstByte, f.VoiceOut)
	b = binary.BigEndian.AppendUint16(b, c.seq+f.SeqOffset)
	b = binary.BigEndian.AppendUint32(b, c.ts+f.TSOffset)
	b = binary.BigEndian.AppendUint32(b, f.SSRCOut)
	b = append(b, sound...)
	s := sum(sum(0, addrOf(c.out).Addr().Unmap().AsSlice()), f.Destination.Addr().AsSlice())
	s = sum(s+protocolUDP+uint32(len(b)), b)
	binary.BigEndian.PutUint16(sound[soundSize-2:], 0xFFFF-folded(s))
	return sound
}

// A checksum that comes to 0 is sent as 0xFFFF, for 0 says that there is none. In IPv4 a packet without one is forwarded
// without one; in IPv6, where that isn't allowed, it goes up.
func TestChecksumOfZero(t *testing.T) {
	onCables(t, func(t *testing.T, n *networks, six bool, m Mode) {
		near, left, right := cableAddresses(six)
		c := newCable(n, six)
		l := &line{t: t, seq: 65530, ts: 1000, firstByte: 0x80}
		c.line = l
		opened := monotonic()
		n.in(n.middle, func() {
			l.path = n.openPath(t, near, m)
		})
		n.in(n.left, func() { l.phone = listenAt(t, left, 0) })
		n.in(n.right, func() { l.far = listenAt(t, right, 0) })
		n.in(n.middle, func() { l.up, l.out = listenAt(t, near, 0), listenAt(t, near, 0) })
		l.describe()
		l.now(opened)
		n.meet(l)
		drain(t, l.up)
		drain(t, l.far)
		l.now(opened)
		c.checkZero(wire(n))
	})
}

func (c *cable) checkZero(fd int) {
	t := c.t
	t.Helper()
	far := c.forward.Destination.Port()
	sound := c.zeroSum()
	c.frame(c.ip(64, c.datagram(c.packet(8, sound))))
	if got, _ := receive(t, "a packet whose checksum comes to 0", c.far); !bytes.Equal(got[12:], sound) {
		t.Errorf("% x was heard", got)
	}
	if got := c.checksum(fd, far); got != 0xFFFF {
		t.Errorf("checksum %04X on the wire, want FFFF", got)
	}

	before := c.state()
	sound = bytes.Repeat([]byte{0x55}, soundSize)
	b := c.packet(8, sound)
	bare := append(c.headerUDP(8+len(b), 0), b...)
	if !c.six {
		c.frame(c.ip(64, bare))
		if got, _ := receive(t, "a packet without checksum", c.far); !bytes.Equal(got[12:], sound) {
			t.Errorf("% x was heard", got)
		}
		if got := c.checksum(fd, far); got != 0 {
			t.Errorf("a packet without checksum was given %04X", got)
		}
		return
	}
	raw, err := c.up.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if failed := raw.Control(func(fd uintptr) { // else the kernel drops it on its way up
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_RX, 1)
	}); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	c.frame(c.ip(64, bare))
	if got, _ := receive(t, "what has no checksum", c.up); !bytes.Equal(got, b) {
		t.Errorf("% x came up", got)
	}
	if after := c.state(); after != before {
		t.Errorf("state %+v, want %+v", after, before)
	}
}
