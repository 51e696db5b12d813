package sip

import (
	"net"
	"net/netip"
)

// Listener is the listener that the call came by, or left by: its place in Options.Listen.
func (l *Leg) Listener() int { return l.bind.index }

// Listener is the listener that the contact is reached by: its place in Options.Listen.
func (c *Contact) Listener() int {
	if c.bind == nil {
		return 0
	}
	return c.bind.index
}

// bindToward is the listener by which requests leave for an address: of its network and
// its IP version, and with several of these one at the local address that the machine
// would send from. nil when there is none.
func (s *Stack) bindToward(to hop) *bind {
	ap, err := netip.ParseAddrPort(to.addr)
	if err != nil {
		return nil
	}
	v4 := ap.Addr().Unmap().Is4()
	var first *bind
	var from netip.Addr
	for _, b := range s.binds {
		if b.network != to.network || b.local.Addr().Unmap().Is4() != v4 {
			continue
		}
		if first == nil {
			first = b
			continue
		}
		if !from.IsValid() {
			if from = localToward(ap); from == first.local.Addr().Unmap() {
				return first
			}
		}
		if b.local.Addr().Unmap() == from {
			return b
		}
	}
	return first
}

// localToward is the address that the machine sends from to another one; zero when it
// knows no way. Nothing is sent.
func localToward(to netip.AddrPort) netip.Addr {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
