package e2e

import (
	"testing"

	"hotline/config"
)

// Sipp's callers hear an announcement before the answer, by UDP and TCP, acknowledge that and are refused:
// nobody answers them.
func TestSippHearsEarly(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		other, err := config.Parse("flow", []byte(`
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: network, addresses: [192.0.2.1], dids: [{number: "9", flow: closed}]}]
queues: [{name: sales}]
agents: [{user: carol, password: a-long-secret, queues: [sales]}]
flows: {closed: {early: 1m, start: bye, steps: {bye: {hang_up: {prompts: [digit-1], refuse: 486}}}}}
`))
		if err != nil {
			t.Fatal(err)
		}
		c.Flows["closed"] = other.Flows["closed"]
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, other.Trunks[0].DIDs...)
	})
	const calls = 2
	for i, transport := range []string{"u1", "t1"} {
		callers := sippCallers{scenario: "early.xml", server: h.SIPAddrs()[i].String(), did: "9", calls: calls, rate: 10, args: []string{"-t", transport}}
		if err := awaitSipp(t, callers.start(t)); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
	records := h.finish()
	if len(records) != 2*calls {
		t.Fatalf("%d records, want %d", len(records), 2*calls)
	}
	for _, r := range records {
		sent := uint64(0)
		if m, ok := r["caller_media"].(map[string]any); ok {
			sent = uint64(m["sent"].(float64))
		}
		if r["answered"] != nil || r["cause"] != "flow_ended" || sent < 20 {
			t.Errorf("record %v", r)
		}
	}
}
