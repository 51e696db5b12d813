package media

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Legs at several addresses are bridged with each other; a leg at an address that isn't
// the engine's, or with one in SDP that can't stand for it, isn't opened.
func TestLegsAtSeveralAddresses(t *testing.T) {
	six, second := netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.2")
	e := openEngine(t, func(c *Config) {
		c.Others = []netip.Addr{six, second, loopback, six}
		// Below those that the kernel gives to others' sockets.
		c.PortMin = 12000 + 4*uint16(rand.IntN(4000))
		c.PortMax = c.PortMin + 3
	})
	for _, at := range []Address{{Bind: netip.MustParseAddr("127.0.0.9")}, {Bind: six, Advertise: second}, {Bind: second, Advertise: netip.IPv4Unspecified()}} {
		if l, err := e.NewLegAt("x", at); err == nil {
			t.Errorf("%v: opened %v", at, l.LocalAddr())
		}
	}
	var legs []*Leg
	for _, at := range []Address{{}, {Bind: six}, {Bind: second, Advertise: netip.MustParseAddr("192.0.2.1")}} {
		for range 2 { // each has the range for itself
			l, err := e.NewLegAt("x", at)
			if err != nil {
				t.Fatal(err)
			}
			legs = append(legs, l)
		}
		if l, err := e.NewLegAt("x", at); err == nil {
			t.Errorf("a third leg at %v", l.LocalAddr())
		}
	}
	for i, want := range []string{"127.0.0.1", "::1", "192.0.2.1"} {
		if got := legs[2*i].LocalAddr().Addr().String(); got != want {
			t.Errorf("a leg at %s, want %s", got, want)
		}
	}
	if st := e.Stats(); st.PortsInUse != 6 || st.Legs != 6 {
		t.Errorf("%d pairs in use by %d legs", st.PortsInUse, st.Legs)
	}
}
