package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/softphone"
)

// dialling is a hotline whose flow for 5 dials outside, with those ways out.
func dialling(t *testing.T, change func(*config.Right)) (*hotline, <-chan *softphone.Ringing) {
	t.Helper()
	rings, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		right := &c.Outbound.Rights[0]
		right.MaxCalls, right.Flows = 1, []string{"out"}
		change(right)
		other, err := config.Parse("flows", []byte(`
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: carrier, addresses: [127.0.0.1], dids: [{number: "5", flow: out}], gateways: [{host: 127.0.0.1}]}]
queues: [{name: sales}]
agents: [{user: alice, password: a-long-secret, queues: [sales]}]
outbound: {routes: [{trunks: [carrier]}], rights: [{name: r, allow: ["+"], flows: [out]}]}
flows:
  out:
    start: out
    time_limit: 10s
    steps:
      out: {dial: {to: "+8613900000000", ring: 5s, next: behind, busy: engaged, failed: no}}
      engaged: {queue: sales}
      no: {hang_up: }
      behind: {queue: sales}
`))
		if err != nil {
			t.Fatal(err)
		}
		c.Flows["out"] = other.Flows["out"]
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, config.DID{Number: "5", Flow: "out"})
	})
	return h, rings
}

// A flow connects its caller with somebody outside: a place and the minutes of its right
// are used, and behind the talk the flow goes on.
func TestFlowDials(t *testing.T) {
	h, rings := dialling(t, func(*config.Right) {})
	caller, err := h.dial(h.phone(), "5")
	if err != nil {
		t.Fatal(err)
	}
	ring := h.ring(rings)
	if ring.Number != "+8613800000001" {
		t.Errorf("shown %q", ring.Number)
	}
	tone, err := ring.Sound()
	if err != nil {
		t.Fatal(err)
	}
	h.soundOf("ring-back", tone, caller)
	far, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.hears("caller to the outside", caller, far, '2')
	h.hears("outside to the caller", far, caller, '3')
	h.spending.mu.Lock()
	if sp := h.spending.who[byFlow("out")]; sp == nil || sp.calls != 1 || len(sp.talks) != 1 {
		t.Errorf("counted %+v", sp)
	}
	h.spending.mu.Unlock()

	second, err := h.dial(h.phone(), "5") // no place is left: the flow says no
	if err != nil {
		t.Fatal(err)
	}
	h.await("the end of the second call", second.Done())

	far.Hangup()
	h.oneWaits()
	caller.Hangup()
	rs := h.finish()
	if len(rs) != 2 {
		t.Fatalf("%d records", len(rs))
	}
	slices.SortFunc(rs, func(a, b record) int { return strings.Compare(a["arrived"].(string), b["arrived"].(string)) })
	isDial(t, rs[0], "network", "talked")
	isDial(t, rs[1], "", "refused") // for want of a place
	if d := rs[0]["dials"].([]any)[0].(map[string]any); d["talk_s"].(float64) <= 0 || d["ring_s"].(float64) <= 0 {
		t.Errorf("%v", d)
	}
}

// isDial checks what a record says of the call that the flow made.
func isDial(t *testing.T, r record, trunk, outcome string) {
	t.Helper()
	list, _ := r["dials"].([]any)
	if len(list) != 1 {
		t.Fatalf("dials %v", r["dials"])
	}
	d := list[0].(map[string]any)
	if by, _ := d["trunk"].(string); d["flow"] != "out" || d["to"] != "+86…00" || by != trunk || d["outcome"] != outcome {
		t.Errorf("%v, want %s by trunk %q", d, outcome, trunk)
	}
	if outcome != "talked" && d["talk_s"].(float64) != 0 {
		t.Errorf("talked %v s", d["talk_s"])
	}
}

// oneWaits waits until a caller waits in the queue.
func (h *hotline) oneWaits() {
	h.t.Helper()
	h.when("a caller waits", func(s *routing.State) bool {
		return slices.ContainsFunc(s.Calls(), func(v routing.CallView) bool { return v.Phase == routing.PhaseWaiting })
	})
}

// Minutes end the talk; who is busy, and who doesn't answer, lead elsewhere.
func TestFlowDialsInVain(t *testing.T) {
	h, rings := dialling(t, func(r *config.Right) { r.MinutesPerDay = 1 })
	call := func() *softphone.Call {
		c, err := h.dial(h.phone(), "5")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	busy := call()
	h.ring(rings).Refuse(486)
	h.oneWaits()
	busy.Hangup()
	late := call()
	ring := h.ring(rings)
	h.await("the end of the ringing", ring.Gone())
	h.await("the end of the call", late.Done())

	sp := newSpent()
	sp.day = midnight(time.Now().In(h.settings.Load().Routing.Zone()))
	sp.used = time.Minute - 300*time.Millisecond
	h.spending.mu.Lock()
	h.spending.who[byFlow("out")] = sp
	h.spending.mu.Unlock()
	short := call()
	far, err := h.ring(rings).Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.await("the end of the minutes", far.Done())
	h.oneWaits()
	short.Hangup()
	rs := h.finish()
	if len(rs) != 3 {
		t.Fatalf("%d records", len(rs))
	}
	slices.SortFunc(rs, func(a, b record) int { return strings.Compare(a["arrived"].(string), b["arrived"].(string)) })
	isDial(t, rs[0], "network", "busy")
	isDial(t, rs[1], "network", "no_answer")
	isDial(t, rs[2], "network", "talked")
}
