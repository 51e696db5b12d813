package probe

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// path is what a relay does to the packets of one direction; it returns nil to drop one. RTP
// payloads may be changed in place.
type path func(rtp []byte) []byte

// relay stands between a phone and a hotline: it forwards SIP with its own ports in the SDP, and RTP
// and RTCP with what each direction does to them.
type relay struct {
	t         *testing.T
	sip       *net.UDPConn
	hotline   netip.AddrPort
	phone     atomic.Pointer[netip.AddrPort]
	near, far pair // the phone sends to near, the hotline to far
	wg        sync.WaitGroup
}

// pair are sockets of an RTP port and the next.
type pair struct {
	conns [2]*net.UDPConn
	port  int
	peer  [2]atomic.Pointer[netip.AddrPort] // by the SDP
}

// startRelay gives the address to call in place of the hotline's.
// Each direction holds packets back for so long.
func startRelay(t *testing.T, hotline netip.AddrPort, there, back path, hold time.Duration) string {
	t.Helper()
	r := &relay{t: t, hotline: hotline, sip: listenUDP(t, 0)}
	r.near.open(t)
	r.far.open(t)
	r.wg.Go(r.signal)
	for i := range 2 {
		r.wg.Go(func() { forward(r.near.conns[i], r.far.conns[i], &r.far.peer[i], there, hold) })
		r.wg.Go(func() { forward(r.far.conns[i], r.near.conns[i], &r.near.peer[i], back, hold) })
	}
	t.Cleanup(func() {
		for _, c := range []*net.UDPConn{r.sip, r.near.conns[0], r.near.conns[1], r.far.conns[0], r.far.conns[1]} {
			_ = c.Close()
		}
		r.wg.Wait()
	})
	return "sip:" + r.sip.LocalAddr().String()
}

func listenUDP(t *testing.T, port int) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// open takes an even port of the kernel's choice whose successor is free, too.
func (p *pair) open(t *testing.T) {
	t.Helper()
	for range 100 {
		first := listenUDP(t, 0)
		port := first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		if port%2 == 0 && err == nil {
			p.conns, p.port = [2]*net.UDPConn{first, second}, port
			return
		}
		_ = first.Close()
		if err == nil {
			_ = second.Close()
		}
	}
	t.Fatal("no pair of ports is free")
}

// forward passes on what comes until the socket is closed.
func forward(from, to *net.UDPConn, peer *atomic.Pointer[netip.AddrPort], do path, hold time.Duration) {
	buf := make([]byte, 2048)
	for {
		n, _, err := from.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		at := peer.Load()
		if p := do(buf[:n]); p != nil && at != nil && hold > 0 {
			p = bytes.Clone(p)
			time.AfterFunc(hold, func() { _, _ = to.WriteToUDPAddrPort(p, *at) })
		} else if p != nil && at != nil {
			_, _ = to.WriteToUDPAddrPort(p, *at) // lost like a packet on the way
		}
	}
}

func (r *relay) signal() {
	buf := make([]byte, 65536)
	for {
		n, src, err := r.sip.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if src != r.hotline {
			r.phone.Store(&src)
			_, _ = r.sip.WriteToUDPAddrPort(rewrite(buf[:n], &r.near, &r.far), r.hotline)
		} else if phone := r.phone.Load(); phone != nil {
			_, _ = r.sip.WriteToUDPAddrPort(rewrite(buf[:n], &r.far, &r.near), *phone)
		}
	}
}

var (
	audioPort = regexp.MustCompile(`m=audio (\d+) `)
	rtcpPort  = regexp.MustCompile(`a=rtcp:\d+`)
	length    = regexp.MustCompile(`(?i)Content-Length: *\d+`)
)

// rewrite notes where a message's sender wants to be sent sound, by way of sending, and puts the port of
// shown in its place.
func rewrite(msg []byte, sending, shown *pair) []byte {
	head, body, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
	m := audioPort.FindSubmatch(body)
	if m == nil {
		return msg
	}
	port, _ := strconv.Atoi(string(m[1]))
	for i := range 2 {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port+i))
		sending.peer[i].Store(&to)
	}
	body = audioPort.ReplaceAll(body, fmt.Appendf(nil, "m=audio %d ", shown.port))
	body = rtcpPort.ReplaceAll(body, fmt.Appendf(nil, "a=rtcp:%d", shown.port+1))
	head = length.ReplaceAll(head, fmt.Appendf(nil, "Content-Length: %d", len(body)))
	return bytes.Join([][]byte{head, body}, []byte("\r\n\r\n"))
}

func isRTP(p []byte) bool { return len(p) > 12 && (p[1]&0x7F < 64 || p[1]&0x7F > 95) }

// clear passes everything on.
func clear(p []byte) []byte { return p }

// cut passes nothing on.
func cut([]byte) []byte { return nil }

// lossy drops one RTP packet in so many.
func lossy(every int) path {
	n := 0
	return func(p []byte) []byte {
		if isRTP(p) {
			if n++; n%every == 0 {
				return nil
			}
		}
		return p
	}
}
