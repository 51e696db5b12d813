package media

import (
	"errors"
	"net/netip"
	"testing"
)

func TestPortsRunOutAndComeBack(t *testing.T) {
	probe := openEngine(t, nil)
	low := min(openLeg(t, probe).LocalAddr().Port(), 65000)
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	// Other programs may hold some of these pairs; what counts is that the rest runs out and returns.
	const pairs = 10
	e := openEngine(t, func(c *Config) { c.PortMin, c.PortMax, c.PortRest = low, low+2*pairs-1, -1 })
	var legs []*Leg
	for {
		l, err := e.NewLeg("caller")
		if errors.Is(err, ErrNoPorts) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if port := l.LocalAddr().Port(); port%2 != 0 || port < low || port >= low+2*pairs {
			t.Errorf("RTP port %d is odd or out of range", port)
		}
		if legs = append(legs, l); len(legs) > pairs {
			t.Fatalf("%d legs on %d pairs", len(legs), pairs)
		}
	}
	if s := e.Stats(); len(legs) == 0 || s.PortsInUse != len(legs) || s.PortsFree != pairs-len(legs) || s.Legs != len(legs) {
		t.Errorf("%d legs, stats %+v", len(legs), s)
	}
	for _, l := range legs {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s := e.Stats(); s.PortsInUse != 0 || s.PortsFree != pairs || s.Legs != 0 {
		t.Errorf("after Close: stats %+v", s)
	}
	openLeg(t, e)
}

func TestPortTakenBySomebodyElse(t *testing.T) {
	probe := openEngine(t, nil)
	l := openLeg(t, probe) // stays open: its ports are taken
	port := l.LocalAddr().Port()
	e := openEngine(t, func(c *Config) { c.PortMin, c.PortMax = port, port+1 })
	if _, err := e.NewLeg("x"); !errors.Is(err, ErrNoPorts) {
		t.Errorf("got %v, want %v", err, ErrNoPorts)
	}
	if s := e.Stats(); s.PortsInUse != 0 {
		t.Errorf("%d pairs in use, want none", s.PortsInUse)
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no address":               func(c *Config) { *c = Config{} },
		"nothing to advertise":     func(c *Config) { c.Bind = netip.MustParseAddrPort("0.0.0.0:1").Addr() },
		"two IP versions":          func(c *Config) { c.Advertise = netip.MustParseAddrPort("[::1]:1").Addr() },
		"range without a pair":     func(c *Config) { c.PortMin, c.PortMax = 10001, 10002 },
		"range turned around":      func(c *Config) { c.PortMin, c.PortMax = 20000, 10000 },
		"range without a start":    func(c *Config) { c.PortMax = 10000 },
		"a codec twice":            func(c *Config) { c.Codecs = []Codec{PCMA, PCMA} },
		"a codec nobody knows":     func(c *Config) { c.Codecs = []Codec{9} },
		"the range's end is 65535": func(c *Config) { c.PortMin, c.PortMax = 65535, 65535 },
	} {
		cfg := Config{Bind: loopback}
		change(&cfg)
		if e, err := Open(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			e.Close()
		}
	}
}
