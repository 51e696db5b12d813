package server

import (
	"testing"
	"time"

	"hotline/config"
)

// An agent whom a flow dials hears the tone of the recording, as the caller does, and pauses it by the keys; the pause ends
// with the talk.
func TestFlowDialsAnAgentWhoIsRecorded(t *testing.T) {
	h := start(t, func(c *config.Config) {
		threeDesks(c)
		recordAll(c)
		c.Recording.Rules[0].From, c.Recording.BeepEvery = "call", 300*time.Millisecond
		other, err := config.Parse("flows", []byte(`
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: carrier, addresses: [127.0.0.1], dids: [{number: "5", flow: in}]}]
queues: [{name: sales}]
agents: [{user: alice, password: a-long-secret, queues: [sales]}]
extensions: [{number: "803", agent: alice}]
flows: {in: {start: out, steps: {out: {dial: {to: "803", next: behind, failed: behind}}, behind: {queue: sales}}}}
`))
		if err != nil {
			t.Fatal(err)
		}
		c.Flows["in"] = other.Flows["in"]
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, config.DID{Number: "5", Flow: "in"})
	})
	_, rings := h.phoneOf("carol")
	caller, err := h.dial(h.phone(), "5")
	if err != nil {
		t.Fatal(err)
	}
	carol := h.pickUp(rings)
	h.heardTone(caller, carol)
	var c *call
	h.recs.Range(func(_, v any) bool { c = v.(*call); return false })
	for _, k := range []byte("*99") {
		if err := carol.Media.SendDigit(k, 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	h.until("it is paused", func() bool { return c.recordingViews()[0].Paused })
	carol.Hangup()
	h.oneWaits()
	if c.recordingViews()[0].Paused {
		t.Error("the pause outlives the talk")
	}
	caller.Hangup()
	if in := h.kept(1)[0]; in.Pauses != 1 {
		t.Errorf("%+v", in)
	}
}
