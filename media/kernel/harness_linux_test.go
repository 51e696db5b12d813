package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// soundSize is a packet of 20 ms.
const soundSize = 160

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// line is a phone, the local port that it sends to, and the phone that its packets are forwarded to.
type line struct {
	t         testing.TB
	path      *Path
	phone     *net.UDPConn
	up        *net.UDPConn // the local port's socket
	out       *net.UDPConn // holds the port that packets leave from
	far       *net.UDPConn
	forward   Forward
	seq       uint16
	ts        uint32
	port      uint16
	floor     uint16
	marker    bool
	firstByte byte
}

// openPath opens a path. These tests need what the program needs, CAP_BPF and CAP_NET_ADMIN.
func openPath(t testing.TB, o Options) *Path {
	t.Helper()
	o.Epoch = monotonic() - int64(time.Hour)
	p, err := Open(o)
	if errors.Is(err, unix.EPERM) {
		t.Fatalf("no right to load eBPF programs; run the tests as root or with CAP_BPF and CAP_NET_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

func listen(t testing.TB, addr netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func newLine(t testing.TB, p *Path, addr netip.Addr) *line {
	t.Helper()
	l := &line{
		t: t, path: p, seq: 65530, ts: 1000, firstByte: 0x80,
		phone: listen(t, addr), up: listen(t, addr), out: listen(t, addr), far: listen(t, addr),
	}
	l.describe()
	return l
}

// describe fills in what is to be done with the port's packets.
func (l *line) describe() {
	l.port = addrOf(l.up).Port()
	l.floor = (65530 + 100) % 65536
	l.forward = Forward{
		Source: addrOf(l.phone), Destination: addrOf(l.far), OutPort: addrOf(l.out).Port(),
		SSRCIn: 0x11223344, SSRCOut: 0x55667788, SeqOffset: 100, TSOffset: 5000,
		VoiceIn: 8, VoiceOut: 8, NoiseIn: 13, NoiseOut: 14, Size: soundSize, Most: 1400,
	}
	l.forward.Origin = l.ts + l.forward.TSOffset - uint32(3600*8000)
}

// set opens the forward as if the packet before the next had been handled already.
func (l *line) set() { l.t.Helper(); l.setAt(monotonic()) }

// setAt says when the phone was heard last.
func (l *line) setAt(seen int64) {
	l.t.Helper()
	before := 1<<16 + uint32(l.seq-1)
	if err := l.path.Set(l.port, l.forward, State{
		Highest: before, Base: before, Received: 1, Window: 1, Seen: seen,
		Floor: l.floor, NextSeq: l.seq + l.forward.SeqOffset, NextTS: l.ts + l.forward.TSOffset,
	}); err != nil {
		l.t.Fatal(err)
	}
}

// packet makes the next packet.
func (l *line) packet(payload uint8, sound []byte) []byte {
	b := make([]byte, 12, 12+len(sound))
	b[0], b[1] = l.firstByte, payload
	if l.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], l.seq)
	binary.BigEndian.PutUint32(b[4:], l.ts)
	binary.BigEndian.PutUint32(b[8:], l.forward.SSRCIn)
	l.seq++
	l.ts += uint32(len(sound))
	return append(b, sound...)
}

func (l *line) send(from *net.UDPConn, b []byte) {
	l.t.Helper()
	if _, err := from.WriteToUDPAddrPort(b, addrOf(l.up)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) speak() []byte {
	l.t.Helper()
	b := l.packet(8, bytes.Repeat([]byte{byte(l.seq)}, soundSize))
	l.send(l.phone, b)
	return b
}

func (l *line) state() State {
	l.t.Helper()
	s, err := l.path.Read(l.port)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func receive(t testing.TB, what string, c *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
	return b[:n], from
}
