package media

import (
	"fmt"
	"net/netip"
	"slices"
)

// Address is where the sound of a leg comes to.
type Address struct {
	// Bind is the local address, [Config.Bind] or one of [Config.Others]; zero means the former.
	Bind netip.Addr
	// Advertise is the one in SDP, when phones reach Bind by another one (behind a NAT). Zero
	// means Bind, and for Config.Bind the engine's.
	Advertise netip.Addr
}

// NewLegAt is [Engine.NewLeg] at one of the engine's addresses. Legs of all of them can be
// bridged and mixed with each other.
func (e *Engine) NewLegAt(id string, at Address) (*Leg, error) {
	at.Bind, at.Advertise = at.Bind.Unmap(), at.Advertise.Unmap()
	if !at.Bind.IsValid() {
		at.Bind = e.cfg.Bind
	}
	switch {
	case at.Advertise.IsValid():
	case at.Bind == e.cfg.Bind:
		at.Advertise = e.cfg.Advertise
	default:
		at.Advertise = at.Bind
	}
	ports := e.ports
	if at.Bind != e.cfg.Bind {
		ports = e.others[at.Bind]
	}
	if ports == nil || at.Advertise.Is4() != at.Bind.Is4() || at.Advertise.IsUnspecified() {
		return nil, fmt.Errorf("opening leg: %s is none of the engine's addresses, or %s can't stand for it", at.Bind, at.Advertise)
	}
	return e.newLegOf(id, ports, at)
}

func (c *Config) completeOthers() error {
	others := []netip.Addr{}
	for _, a := range c.Others {
		a = a.Unmap()
		if !a.IsValid() || a.IsUnspecified() {
			return fmt.Errorf("media: %s is no address to listen at beside %s; name one of a network interface", a, c.Bind)
		}
		if a != c.Bind && !slices.Contains(others, a) {
			others = append(others, a)
		}
	}
	c.Others = others
	return nil
}

// openPools makes the ports of each address.
func (e *Engine) openPools() {
	pool := func(bind netip.Addr) *portPool {
		return newPortPool(e.cfg.PortMin, e.cfg.PortMax, e.cfg.PortRest, func(port uint16) (*pair, error) { return e.openPair(bind, port) })
	}
	e.ports, e.others = pool(e.cfg.Bind), make(map[netip.Addr]*portPool)
	for _, a := range e.cfg.Others {
		e.others[a] = pool(a)
	}
}

func (e *Engine) pools() []*portPool {
	all := []*portPool{e.ports}
	for _, a := range e.cfg.Others {
		all = append(all, e.others[a])
	}
	return all
}
