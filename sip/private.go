package sip

import "strings"

// Private tells whether the peer's first hop sends and gets this dialog's signalling encrypted (TLS,
// WSS). What lies behind a proxy there nobody sees from here.
func (l *Leg) Private() bool { return private(l.network) }

// Private tells whether the contact is reached by signalling that is encrypted, see [Leg.Private].
func (c *Contact) Private() bool { return private(c.Network) }

func private(network string) bool {
	return strings.EqualFold(network, "TLS") || strings.EqualFold(network, "WSS")
}

// Browser tells whether the phone has registered by WebSocket, as browsers do (RFC 7118).
func (c *Contact) Browser() bool {
	return strings.EqualFold(c.Network, "WS") || strings.EqualFold(c.Network, "WSS")
}

// offer is the contact's own SDP, or the usual one.
func (c *Contact) offer(usual []byte) []byte {
	if len(c.Offer) > 0 {
		return c.Offer
	}
	return usual
}
