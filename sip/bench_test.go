package sip

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// deaf is a socket that nothing comes from; what is written to it is gone.
type deaf struct{ closed chan struct{} }

func (d *deaf) ReadFrom([]byte) (int, net.Addr, error) { <-d.closed; return 0, nil, net.ErrClosed }
func (d *deaf) WriteTo(b []byte, _ net.Addr) (int, error) {
	return len(b), nil
}
func (d *deaf) Close() error                     { close(d.closed); return nil }
func (d *deaf) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5060} }
func (d *deaf) SetDeadline(time.Time) error      { return nil }
func (d *deaf) SetReadDeadline(time.Time) error  { return nil }
func (d *deaf) SetWriteDeadline(time.Time) error { return nil }

// What a datagram costs, the socket aside: an INVITE that is refused in an overload, with its answer, and one that
// comes again and gets its answer again.
func BenchmarkDatagram(b *testing.B) {
	for _, bm := range []struct {
		name     string
		overload bool
	}{{"refused", true}, {"repeated", false}} {
		b.Run(bm.name, func(b *testing.B) {
			d := &deaf{make(chan struct{})}
			s, err := Open(Options{Listen: []Listener{{Network: "udp", PacketConn: d}}, MaxSourceRate: -1,
				Access: Access{Trunks: []Trunk{{Name: "t", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if bm.overload {
				overload(s)
			}
			front := newUDPFront(s, d, s.binds[0])
			from := netip.MustParseAddrPort("10.1.2.3:5060")
			msg := request("INVITE", from, 1)
			b.ReportAllocs()
			for b.Loop() {
				front.take(msg, from, time.Now())
			}
		})
	}
}
