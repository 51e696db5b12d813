package server

import (
	"testing"

	"hotline/config"
	"hotline/routing"
)

// A pause before anything is recorded counts: what begins later begins paused, and goes on when told to.
func TestPausesBeforeTheRecording(t *testing.T) {
	h := start(t, recordAll)
	caller := h.call()
	h.when("the caller waits", waiting1)
	id := h.list("/api/calls")[0]["id"].(string)
	ask := func(action string, want int) {
		t.Helper()
		if code, body := h.get("POST", "/api/calls/"+id+"/recording?action="+action, ""); code != want {
			t.Fatalf("%s: %d %v", action, code, body)
		}
	}
	ask("resume", 409) // there is no pause
	ask("pause", 200)
	ask("resume", 200)
	ask("pause", 200)
	_, rings := h.phoneOf("alice")
	h.pickUp(rings)
	v, _ := h.recs.Load(routing.CallID(id))
	c := v.(*call)
	h.until("it is recorded", func() bool { return len(c.recordingViews()) == 1 })
	if !c.recordingViews()[0].Paused {
		t.Error("it doesn't begin paused")
	}
	ask("resume", 200)
	if c.recordingViews()[0].Paused {
		t.Error("it doesn't go on")
	}
	ask("stop", 200)
	ask("pause", 409)
	if c.rec.byHand {
		t.Error("a pause that was refused acts")
	}
	caller.Hangup()
	if in := h.kept(1)[0]; in.Pauses != 1 {
		t.Errorf("%+v", in)
	}
}

// Where nothing can be recorded a pause is refused.
func TestPausesNothing(t *testing.T) {
	h := start(t, func(*config.Config) {})
	h.call()
	h.when("the caller waits", waiting1)
	id := h.list("/api/calls")[0]["id"].(string)
	if code, body := h.get("POST", "/api/calls/"+id+"/recording?action=pause", ""); code != 409 {
		t.Errorf("%d %v", code, body)
	}
}
