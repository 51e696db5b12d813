package config

import (
	"net/netip"
	"slices"

	"hotline/media"
)

// MediaAt is where the sound of calls by a listener comes to, by its place in SIP.Listen.
func (c *Config) MediaAt(listener int) media.Address {
	if listener < 0 || listener >= len(c.SIP.Listen) {
		return media.Address{}
	}
	l := c.SIP.Listen[listener]
	at := media.Address{Bind: l.MediaAddress, Advertise: l.MediaAdvertise}
	switch own := l.Address.Addr(); {
	case at.Bind.IsValid():
	case own.Is4() == c.Media.Address.Is4():
		at.Bind = c.Media.Address
	default:
		at.Bind = own
	}
	return at
}

// mediaOthers are the addresses for sound beside media.address.
func (c *Config) mediaOthers() (others []netip.Addr) {
	for i := range c.SIP.Listen {
		if at := c.MediaAt(i).Bind; at != c.Media.Address && !slices.Contains(others, at) {
			others = append(others, at)
		}
	}
	return others
}

// listenMedia finds addresses for sound that can't be.
func (c *checker) listenMedia(i int, l Listen) {
	at := func(field string) string { return index("sip.listen", i, field) }
	m, bind := c.cfg.Media.Address, c.cfg.MediaAt(i).Bind
	switch {
	case c.bad[at("media_address")] || c.bad["media.address"]:
		return
	case l.MediaAddress.IsUnspecified() && l.MediaAddress.IsValid() && l.MediaAddress != m:
		c.wrong(at("media_address"), "name the address of a network interface", "%s is every address", l.MediaAddress)
		return
	case m.IsUnspecified() && m.Is4() == bind.Is4() && bind != m:
		c.wrong(at("media_address"), "name a concrete media.address", "media.address takes the ports of %s already, as it is every address", bind)
		return
	}
	if a := l.MediaAdvertise; a.IsValid() && !c.bad[at("media_advertise")] {
		if a.IsUnspecified() {
			c.wrong(at("media_advertise"), "name the address that phones reach", "%s is no address to send to", a)
		} else if a.Is4() != bind.Is4() {
			c.wrong(at("media_advertise"), "name addresses of one IP version", "%s can't stand for %s: one is IPv4, the other IPv6", a, bind)
		}
	}
}
