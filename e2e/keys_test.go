package e2e

import (
	"testing"
	"time"

	"hotline/config"
)

// Keys of sipp's callers, by INFO and as events, where the trunk is set for one of both:
// the menu takes those that come in the trunk's way.
func TestSippKeys(t *testing.T) {
	for _, tc := range []struct{ dtmf, scenario string }{
		{"info", "keys-info.xml"},   // no events are agreed on; the key comes by INFO
		{"rfc4733", "keys-rtp.xml"}, // a wrong key by INFO gets 415, the right one comes as an event
	} {
		t.Run(tc.dtmf, func(t *testing.T) {
			h := startHotline(t, func(c *config.Config) {
				oneAgent(c)
				c.Trunks[0].DTMF = tc.dtmf
			})
			p := answeringDesk(t, h.uri(), "carol")
			if err := (&desk{Phone: p}).register(time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := awaitSipp(t, sippCallers{scenario: tc.scenario, server: h.SIPAddr().String(), did: "2", calls: 2}.start(t)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				h.log.await(t, "call gone")
			}
			h.idle(nil)
			if got := outcomes(t, h.finish()); got["answered"] != 2 || len(got) != 1 {
				t.Errorf("records %v, want 2 answered", got)
			}
		})
	}
}
