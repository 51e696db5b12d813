package server

import (
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/recording"
	"hotline/routing"
)

// The agent's keys and the API pause a recording, which leaves silence; stop ends it for good.
func TestPausesARecording(t *testing.T) {
	h := start(t, recordAll)
	_, rings := h.desk("alice")
	caller, agent := h.talking("alice", rings)
	id := ""
	for _, c := range h.list("/api/calls") {
		id = c["id"].(string)
	}
	ask := func(action string, want int) {
		t.Helper()
		if code, body := h.get("POST", "/api/calls/"+id+"/recording?action="+action, ""); code != want {
			t.Fatalf("%s: %d %v", action, code, body)
		}
	}
	paused := func(want bool) {
		t.Helper()
		v, _ := h.recs.Load(routing.CallID(id))
		h.until("paused", func() bool { return v.(*call).recordingViews()[0].Paused == want })
	}
	tone(caller, 500)
	h.listens(agent, 500, 25)
	for _, k := range []byte("*99") {
		if err := agent.Media.SendDigit(k, 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	paused(true)
	h.listens(agent, 500, 25) // half a second, of which nothing is kept
	ask("resume", 200)
	paused(false)
	h.listens(agent, 500, 25)
	ask("pause", 200)
	paused(true)
	ask("nonsense", 400)
	ask("stop", 200)
	ask("stop", 409)
	ask("resume", 409)
	in := h.kept(1)[0]
	if in.Pauses != 2 || in.Ended != recording.EndedStopped {
		t.Errorf("%+v", in)
	}
	left, _ := h.sides(in)
	quiet, loud := 0, 0
	for i := 0; i+400 <= len(left); i += 400 {
		if media.Goertzel(left[i:i+400], 500, 8000) > 0.2 {
			loud++
		} else {
			quiet++
		}
	}
	if quiet < 8 || loud < 15 {
		t.Errorf("%d parts of 50 ms are quiet, %d loud", quiet, loud)
	}
	_, bob := h.desk("bob")
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=sales", ""); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	h.listens(h.pickUp(bob), 500, 10)
	caller.Hangup()
	h.when("the call is over", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if code, _ := h.get("POST", "/api/calls/none/recording?action=stop", ""); code != 404 {
		t.Errorf("a call that isn't there: %d", code)
	}
	if list := h.one()["recordings"].([]any); len(list) != 1 {
		t.Errorf("after stop another one was begun: %v", list)
	}
}

// A pause ends with the talk of the agent who asked for it.
func TestPauseEndsWithTheTalk(t *testing.T) {
	h := start(t, recordAll)
	_, rings := h.desk("alice")
	caller, _ := h.talking("alice", rings)
	id := h.list("/api/calls")[0]["id"].(string)
	v, _ := h.recs.Load(routing.CallID(id))
	c := v.(*call)
	h.until("it is recorded", func() bool { return len(c.recordingViews()) == 1 })
	if code, body := h.get("POST", "/api/calls/"+id+"/recording?action=pause", ""); code != 200 || !c.recordingViews()[0].Paused {
		t.Fatalf("%d %v", code, body)
	}
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=sales", ""); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	h.until("it goes on", func() bool { return !c.recordingViews()[0].Paused })
	caller.Hangup()
	h.kept(1)
}

// A step of a flow that asks for what must not be kept pauses the recording until it is over.
func TestStepPausesTheRecording(t *testing.T) {
	flows := "flows:\n  direct: {start: card, steps: {card: {menu: {prompts: [enter-number], keys: {\"1\": q}, too_many: q, pause_recording: true}}, q: {queue: sales}}}\n"
	h := start(t, func(c *config.Config) {
		asks, err := config.Parse("test", []byte(strings.Split(baseConfig, "flows:")[0]+flows+"  bye: {start: bye, steps: {bye: {hang_up: }}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		recordAll(c)
		c.Recording.Rules[0].From = "call"
		c.Flows = asks.Flows
	})
	caller := h.call()
	var c *call
	h.until("the step pauses it", func() bool {
		h.recs.Range(func(_, v any) bool { c = v.(*call); return false })
		return c != nil && len(c.recordingViews()) == 1 && c.recordingViews()[0].Paused
	})
	if err := caller.Media.SendDigit('1', 60*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	h.until("it goes on", func() bool { return !c.recordingViews()[0].Paused })
	caller.Hangup()
	if in := h.kept(1)[0]; in.Pauses != 1 {
		t.Errorf("%+v", in)
	}
}
