package sip

import (
	"errors"
	"fmt"

	gosip "github.com/emiago/sipgo/sip"
)

// This file keeps the promise of a sips URI (RFC 5630): each hop of such a request, and
// of the dialog that it makes, is encrypted. It is never sent another way instead.

// downgraded tells of a request for a sips URI that a hop before us has sent on in the
// clear. What ends something is served whatever way it comes, and so is all within a
// dialog.
func (s *Stack) downgraded(req *gosip.Request, tx *transaction) bool {
	if req.Recipient.Scheme != "sips" || req.IsAck() || req.Method == gosip.CANCEL {
		return false
	}
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		return false
	}
	network := tx.by.network()
	return !private(network)
}

// sipsNotAllowed says in an answer that sips can't be kept on this way, and sip could
// (RFC 5630 5.3 and 7.1).
func (s *Stack) sipsNotAllowed() gosip.Header {
	return gosip.NewHeader("Warning", fmt.Sprintf("380 %s %q", s.opt.UserAgent, "SIPS Not Allowed"))
}

// wantsSIPS tells whether the dialog of a request is to have sips Contacts on both sides
// (RFC 3261 12.1.1 and 12.1.2): its target or its first hop is one.
func wantsSIPS(target *gosip.Uri, routes []gosip.Uri) bool {
	return target.Scheme == "sips" || len(routes) > 0 && routes[0].Scheme == "sips"
}

// contact is where the peer of this dialog reaches us.
func (l *Leg) contact() *gosip.ContactHeader { return l.stack.contactIn(l.bind, l.sips) }

// contactIn is where we are reached in a dialog, by sips or not.
func (s *Stack) contactIn(b *bind, sips bool) *gosip.ContactHeader {
	c := s.contact(b)
	if sips {
		secureContact(c)
	}
	return c
}

// secureContact makes a Contact one of sips. Its transport says nothing more, but for
// WebSocket's (RFC 5630 3.1.3).
func secureContact(c *gosip.ContactHeader) {
	c.Address.Scheme = "sips"
	if t, _ := c.Address.UriParams.Get("transport"); t == "tls" {
		c.Address.UriParams.Remove("transport")
	}
}

// errSIPS refuses a sips contact that a call couldn't be sent to with TLS all the way.
var errSIPS = errors.New("a sips contact needs TLS all the way")

// keepsSIPS tells whether calls to the contact go by TLS, if it is one of sips: it came so,
// or all proxies on its path are reached so.
func (c *Contact) keepsSIPS() bool {
	if c.uri.Scheme != "sips" {
		return true
	}
	for i := range c.path {
		if network, err := networkOf(c.path[i]); err != nil || !private(network) {
			return false
		}
	}
	return private(c.Network)
}
