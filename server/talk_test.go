package server

import (
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
)

// Two phones ring for one caller; the one that answers has the call and the other one
// stops, free for the next. When both refuse, and again, the caller waits on.
func TestRingGroup(t *testing.T) {
	h := start(t, func(c *config.Config) { c.Queues[0].RingGroup = 2 })
	_, alice := h.desk("alice")
	_, bob := h.desk("bob")
	caller := h.call()
	a, b := h.ring(alice), h.ring(bob)
	a.Refuse(486)
	b.Refuse(486)
	a, b = h.ring(alice), h.ring(bob)
	agent, err := b.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.await("the other phone stops", a.Gone())
	h.seatIs("bob", routing.SeatTalking)
	h.seatIs("alice", routing.SeatIdle)
	second := h.call()
	other := h.pickUp(alice)
	h.seatIs("alice", routing.SeatTalking)
	agent.Hangup()
	h.await("the end of the first call", caller.Done())
	other.Hangup()
	h.await("the end of the second call", second.Done())
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	for _, r := range h.finish() {
		if r["outcome"] != "answered" {
			t.Errorf("record %v", r)
		}
	}
}

// An agent's caller is sent back into the queue by the API: the caller hears music and
// is rung at the other agent, the first one wraps up, and the record holds both talks.
func TestTransferBackToAQueue(t *testing.T) {
	h := start(t, func(c *config.Config) { c.Queues[0].WrapUp = time.Hour })
	_, alice := h.desk("alice")
	caller := h.call()
	first := h.pickUp(alice)
	h.seatIs("alice", routing.SeatTalking)
	_, bob := h.desk("bob")
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=nowhere", ""); code != 404 {
		t.Errorf("to a queue that isn't there: %d %v", code, body)
	}
	if code, body := h.get("POST", "/api/seats/bob/transfer?queue=sales", ""); code != 409 {
		t.Errorf("from a seat where nobody talks: %d %v", code, body)
	}
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=sales&keep_place=true", ""); code != 200 || body["state"] != "wrap_up" {
		t.Fatalf("transfer: %d %v", code, body)
	}
	h.await("the end of the first agent's leg", first.Done())
	second := h.pickUp(bob)
	h.seatIs("bob", routing.SeatTalking)
	second.Hangup()
	h.await("the end of the call", caller.Done())
	rec := h.one()
	talks, _ := rec["talks"].([]any)
	if rec["outcome"] != "answered" || rec["agent"] != "bob" || len(talks) != 1 || talks[0].(map[string]any)["agent"] != "alice" {
		t.Errorf("record %v", rec)
	}
}

// An operator gives the second of two waiting callers the tier A1: she is served first,
// and the agent's phone shows the new tier. A call that talks keeps its tier.
func TestTierChangedByHand(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	first := h.call()
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	h.call()
	waiting := func(n int) func(*routing.State) bool {
		return func(s *routing.State) bool { return s.Queues()[0].Waiting[4].Count == n }
	}
	h.when("one waits", waiting(1))
	second := h.call()
	h.when("two wait", waiting(2))
	calls := h.list("/api/calls")
	if len(calls) != 3 {
		t.Fatalf("calls %v", calls)
	}
	id := func(i int) string { return calls[i]["id"].(string) }
	for path, want := range map[string]int{
		id(2) + "/tier?tier=Z": 400, "nobody/tier?tier=A1": 404, id(0) + "/tier?tier=A1": 409, id(2) + "/tier?tier=A1": 200,
	} {
		if code, body := h.get("POST", "/api/calls/"+path, ""); code != want {
			t.Errorf("%s: %d %v, want %d", path, code, body, want)
		}
	}
	agent.Hangup()
	h.await("the end of the first call", first.Done())
	r := h.ring(rings)
	if name := r.Name; !strings.HasPrefix(name, "[A1] ") {
		t.Errorf("the agent's phone shows %q", name)
	}
	b, err := r.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.seatIs("alice", routing.SeatTalking)
	b.Hangup()
	h.await("the end of the second call", second.Done())
}
