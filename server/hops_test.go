package server

import (
	"errors"
	"testing"

	"hotline/config"
	"hotline/softphone"
)

// What is dialled for a call has one hop less to go than the call (RFC 7332), so that one
// that comes back to us by way of others ends.
func TestCallsHaveFewerHops(t *testing.T) {
	h := start(t, threeDesks)
	p := h.textPhone()
	p.register("alice")
	go func() { _, _ = h.dial(h.phone(), "1") }()
	invite := p.until("INVITE ", "INVITE")
	if got := field(invite, "Max-Forwards"); got != "69" {
		t.Errorf("the agent's phone gets %q", got)
	}
	p.reply(invite, "486 Busy Here", "x", "")
	p.until("ACK ", "ACK")

	phone, _ := h.desk("bob") // a colleague's phone, called by another one
	go func() { _, _ = phone.Dial(h.context(), "alice", "bob", "") }()
	again := p.until("INVITE ", "INVITE")
	if got := field(again, "Max-Forwards"); got != "69" {
		t.Errorf("the colleague's phone gets %q", got)
	}
	p.reply(again, "486 Busy Here", "y", "")
	p.until("ACK ", "ACK")
}

// A number of which more digits are to come gets 484 (RFC 3578), another one 404.
func TestDigitsAreMissing(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, config.DID{Number: "95599", Flow: "direct"})
	})
	for number, want := range map[string]int{"95": 484, "9559": 484, "96": 404, "955990": 404} {
		_, err := h.dial(h.phone(), number)
		var no *softphone.RefusedError
		if !errors.As(err, &no) || no.Code != want {
			t.Errorf("%s: %v, want %d", number, err, want)
		}
	}
}
