package e2e

import (
	"fmt"
	"testing"

	"hotline/config"
)

// A flow connects sipp's callers with sipp behind a trunk's gateway, one after the other as
// its right has one place; that side hangs up, and the flow ends the call.
func TestFlowDialsByATrunk(t *testing.T) {
	const calls = 2
	port, ended := startGateway(t, calls)
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		other, err := config.Parse("flow", fmt.Appendf(nil, `
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: network, region: CN, addresses: [192.0.2.1], gateways: [{host: "127.0.0.1:%d"}], health: {interval: 0s}, dids: [{number: "8", flow: out}]}]
queues: [{name: sales}]
agents: [{user: carol, password: a-long-secret, queues: [sales]}]
outbound: {routes: [{trunks: [network]}], rights: [{name: all, allow: ["+86"], flows: [out]}]}
flows: {out: {start: out, steps: {out: {dial: {to: "+8613900000009", failed: wait}}, wait: {queue: sales}}}}
`, port))
		if err != nil {
			t.Fatal(err)
		}
		c.Flows["out"], c.Outbound = other.Flows["out"], other.Outbound
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, other.Trunks[0].DIDs...)
		c.Trunks = append(c.Trunks, other.Trunks[0])
	})
	for range calls {
		if err := awaitSipp(t, sippCallers{scenario: "caller.xml", server: h.SIPAddr().String(), did: "8", calls: 1}.start(t)); err != nil {
			t.Error(err)
		}
	}
	if err := awaitSipp(t, ended); err != nil {
		t.Error(err)
	}
	h.log.await(t, "flow's call answered", "by", "trunk network")
}
