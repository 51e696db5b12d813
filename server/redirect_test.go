package server

import (
	"testing"

	"hotline/config"
)

// A phone's 302 makes no call to the outside, not even to a number that its agent may
// dial: the agent dialled nothing, and whoever has the phone, or its password, would
// choose whom we call and pay for. The call goes to the next agent.
func TestRedirectionCallsNobody(t *testing.T) {
	rings, outside := outside(t)
	var gateway string
	h := start(t, func(c *config.Config) {
		outside(c)
		gateway = c.Trunks[len(c.Trunks)-1].Gateways[0].Host
	})
	goesOn(h, "302 Moved Temporarily", "Contact: <sip:+8613900000000@127.0.0.1>, <sip:+8613900000000@"+gateway+">")
	select {
	case r := <-rings:
		t.Errorf("it rang outside for %s", r.Number)
	default:
	}
}
