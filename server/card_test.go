package server

import (
	"strings"
	"testing"

	"hotline/config"
	"hotline/routing"
)

// The agent's phone is told whose page to open, how to ring and to pick up by itself;
// what the customer's id holds stays within the URL.
func TestPhoneIsToldOfTheCaller(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Card = config.Card{URL: "https://crm.example/customer/{customer}?call={call}&q={queue}",
			Rings: []config.Ring{{Tiers: []routing.Tier{routing.TierC}, Alert: "urn:alert:priority:low"}}}
		c.Agents[0].AutoAnswer = true
	})
	p := h.textPhone()
	p.register("alice")
	go func() { _, _ = h.dial(h.phone(), "1") }()
	invite := p.until("INVITE ", "INVITE")
	lines := func(name string) (out []string) {
		for line := range strings.Lines(invite) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
				out = append(out, strings.TrimSpace(v))
			}
		}
		return out
	}
	call := field(invite, "X-Hotline-Call")
	if got := lines("Call-Info"); len(got) != 2 || got[0] != "<https://crm.example/customer/?call="+call+"&q=sales>;purpose=info" || !strings.HasSuffix(got[1], ";answer-after=0") {
		t.Errorf("Call-Info %q", got)
	}
	if got := lines("Alert-Info"); len(got) != 2 || got[0] != "<urn:alert:priority:low>" || !strings.Contains(got[1], "info=alert-autoanswer") {
		t.Errorf("Alert-Info %q", got)
	}
	if got := field(invite, "Answer-Mode"); got != "Auto" {
		t.Errorf("Answer-Mode %q", got)
	}
	p.reply(invite, "486 Busy Here", "x", "")
	p.until("ACK ", "ACK")
}

func TestCardURL(t *testing.T) {
	c := config.Card{URL: "https://crm.example/{customer}?t={tier}"}
	values := map[string]string{"customer": "a b>\r\nX: y", "tier": "A1"}
	if got := c.Fill(func(f string) string { return values[f] }); got != "https://crm.example/a+b%3E%0D%0AX%3A+y?t=A1" {
		t.Errorf("filled in %q", got)
	}
}
