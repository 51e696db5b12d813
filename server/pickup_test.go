package server

import (
	"context"
	"testing"

	"hotline/config"
	"hotline/routing"
)

// A call that rings elsewhere is picked up by code: the other phone stops, the agent
// who picked up has the call and its wrap-up.
func TestPickUp(t *testing.T) {
	for _, code := range []string{"*8", "*8alice"} {
		t.Run(code, func(t *testing.T) {
			h := start(t, threeDesks)
			_, alice := h.desk("alice")
			caller := h.call()
			ring := h.ring(alice)
			phone, _ := h.desk("bob")
			b, err := phone.Dial(h.context(), code, "bob", "")
			if err != nil {
				t.Fatalf("%v\n%s", err, h.log)
			}
			h.await("alice's phone stops", ring.Gone())
			h.seatIs("bob", routing.SeatTalking)
			h.seatIs("alice", routing.SeatIdle)
			h.hears("caller to bob", caller, b, '2')
			b.Hangup()
			h.await("the end of the call", caller.Done())
			h.seatIs("bob", routing.SeatWrapUp)
			if _, err := phone.Dial(h.context(), code, "bob", ""); err == nil {
				t.Error("picked up when nothing rang")
			}
			if rec := h.one(); rec["agent"] != "bob" || rec["outcome"] != "answered" {
				t.Errorf("record %v", rec)
			}
		})
	}
}

// RFC 3891: an agent goes on at another phone of the same account; somebody else's
// INVITE that names the call is refused.
func TestTalkGoesOnAtAnotherPhone(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	thief, _ := h.desk("bob")
	caller, a := h.talking("alice", alice)
	if _, err := thief.TakeOver(h.context(), a); err == nil {
		t.Fatal("bob took alice's call")
	}
	h.hears("caller to alice", caller, a, '1')
	mobile, _ := h.phoneOf("alice")
	second, err := mobile.TakeOver(h.context(), a)
	if err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	h.await("the first phone is free", a.Done())
	h.hears("caller to the second phone", caller, second, '2')
	h.seatIs("alice", routing.SeatTalking)
	second.Hangup()
	h.await("the end of the call", caller.Done())
	h.seatIs("alice", routing.SeatWrapUp)
}

// Who picks up and hangs up at once loses nobody: whichever comes first, the caller
// doesn't talk to a seat that isn't there.
func TestPickUpThatIsGivenUp(t *testing.T) {
	h := start(t, func(c *config.Config) { threeDesks(c); c.Queues[0].WrapUp = 0 })
	_, alice := h.desk("alice")
	caller := h.call()
	h.ring(alice)
	phone, _ := h.desk("bob")
	taken := make(chan struct{})
	if err := h.core.view(t.Context(), func(*routing.State) {
		h.core.journal = tap{h.core.journal, func(ev routing.Event) {
			if _, ok := ev.(routing.CallTaken); ok {
				close(taken)
			}
		}}
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-taken; cancel() }()
	if c, err := phone.Dial(ctx, "*8", "bob", ""); err == nil {
		c.Hangup()
	}
	h.when("nobody talks at bob's seat", func(s *routing.State) bool {
		x, _ := s.Seat("bob")
		return x.State != routing.SeatTalking
	})
	caller.Hangup()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
}
