package media

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; it passes only when something is broken.
const patience = 10 * time.Second

var loopback = netip.MustParseAddr("127.0.0.1")

// throughKernel has all engines opened with the kernel's path.
var throughKernel bool

func openEngine(t testing.TB, change func(*Config)) *Engine {
	t.Helper()
	cfg := Config{Bind: loopback, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if change != nil {
		change(&cfg)
	}
	if throughKernel {
		cfg.Kernel, cfg.settled = true, time.Millisecond
	}
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if in, _, _ := e.ports.count(e.now()); in != 0 {
			t.Errorf("%d port pairs still in use after Close", in)
		}
	})
	return e
}

func openLeg(t testing.TB, e *Engine) *Leg {
	t.Helper()
	l, err := e.NewLeg(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// phone is the far end of a leg: bare sockets, so that a test decides what is on the wire.
type phone struct {
	t         testing.TB
	rtp, rtcp *net.UDPConn
	codec     Codec
	ssrc      uint32
	seq       uint16
	ts        uint32
}

func newPhone(t testing.TB, codec Codec) *phone {
	t.Helper()
	p := &phone{t: t, codec: codec, ssrc: 0xC0FFEE, seq: 65530, ts: 0xFFFFFF00}
	for _, conn := range []**net.UDPConn{&p.rtp, &p.rtcp} {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		*conn = c
	}
	return p
}

// openSocket is a socket as legs have it, read by nobody.
func openSocket(t testing.TB) *socket {
	t.Helper()
	s, err := listen(loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// offer is the phone's SDP: its codec, telephone-event as 96, and the lines given.
func (p *phone) offer(lines ...string) []byte {
	pt := p.codec.PayloadType()
	return []byte(strings.Join(append([]string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP %d 96", addrOf(p.rtp).Port(), pt),
		fmt.Sprintf("a=rtcp:%d", addrOf(p.rtcp).Port()),
		"a=rtpmap:96 telephone-event/8000",
	}, append(lines, "")...), "\r\n"))
}

// call connects the phone to a new leg.
func (p *phone) call(e *Engine, lines ...string) *Leg {
	p.t.Helper()
	l := openLeg(p.t, e)
	if _, err := l.Answer(p.offer(lines...)); err != nil {
		p.t.Fatal(err)
	}
	return l
}

// packet makes the next packet of the stream: payload, and the time it takes in timestamp units.
func (p *phone) packet(pt uint8, payload []byte, length uint32) []byte {
	pkt := rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: pt, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc,
	}, Payload: payload}
	p.seq++
	p.ts += length
	b, err := pkt.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *phone) send(l *Leg, datagram []byte) {
	p.t.Helper()
	if _, err := p.rtp.WriteToUDPAddrPort(datagram, l.LocalAddr()); err != nil {
		p.t.Fatal(err)
	}
}

// speak sends one frame.
func (p *phone) speak(l *Leg, frame []byte) {
	p.t.Helper()
	p.send(l, p.packet(p.codec.PayloadType(), frame, uint32(len(frame))))
}

// press sends one event packet; the timestamp stays.
func (p *phone) press(l *Leg, key byte, duration uint16, end bool) {
	p.t.Helper()
	code, _ := keyCode(key)
	payload := make([]byte, 4)
	telephoneEvent{code, end, duration}.put(payload)
	p.send(l, p.packet(96, payload, 0))
}

// hear returns the next packet from the leg.
func (p *phone) hear() *rtp.Packet {
	p.t.Helper()
	return readPacket(p.t, p.rtp)
}

// hearUntil skips packets until one fits.
func (p *phone) hearUntil(what string, fits func(*rtp.Packet) bool) *rtp.Packet {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if pkt := p.hear(); fits(pkt) {
			return pkt
		}
	}
	p.t.Fatalf("no packet with %s came", what)
	return nil
}

func readDatagram(t testing.TB, conn *net.UDPConn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, _, err := conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatalf("waiting for a packet: %v", err)
	}
	return buf[:n]
}

func readPacket(t testing.TB, conn *net.UDPConn) *rtp.Packet {
	t.Helper()
	pkt := new(rtp.Packet)
	if err := pkt.Unmarshal(readDatagram(t, conn)); err != nil {
		t.Fatal(err)
	}
	return pkt
}

// wait receives from ch or fails.
func wait[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// wav builds a WAV file.
func wav(tag, channels uint16, rate uint32, bits uint16, data []byte) []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 16, 0, 0, 0)
	b = le.AppendUint16(b, tag)
	b = le.AppendUint16(b, channels)
	b = le.AppendUint32(b, rate)
	b = le.AppendUint32(b, rate*uint32(channels)*uint32(bits)/8)
	b = le.AppendUint16(b, channels*bits/8)
	b = le.AppendUint16(b, bits)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	le.PutUint32(b[4:], uint32(len(b)-8))
	return b
}
