package server

import (
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/recording"
	"hotline/routing"
	"hotline/softphone"
	"hotline/sound"
)

// recordOutgoing is a rule for calls to numbers of one city.
func recordOutgoing(c *config.Config) {
	c.Recording.Outgoing = []config.OutgoingRule{{Trunks: []string{"network"}, Prefixes: []string{"+86139"}, Percent: 100}}
}

// calls is a phone that has dialled somebody outside.
func (h *hotline) calls(phone *softphone.Phone, number string, rings <-chan *softphone.Ringing) (agent, far *softphone.Call) {
	h.t.Helper()
	answered := make(chan *softphone.Call, 1)
	go func() {
		c, err := phone.Dial(h.context(), number, "alice", "")
		if err != nil {
			h.t.Error(err)
		}
		answered <- c
	}()
	far = h.pickUp(rings)
	return <-answered, far
}

// An agent's own call to the outside is recorded as a rule of its own wants: both sides, whose call it is, the pause by
// the agent's keys, the announcement and the tone. No other call is.
func TestRecordsAnAgentsCallOutside(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		recordOutgoing(c)
	})
	phone, _ := h.phoneOf("alice")
	agent, far := h.calls(phone, "+8615900000000", rings) // not by the rule
	h.hears("alice to the outside", agent, far, '1')
	far.Hangup()
	h.await("the end of alice's call", agent.Done())

	agent, far = h.calls(phone, "013900000000", rings)
	tone(agent, 500)
	tone(far, 1200)
	h.listens(agent, 1200, 50)
	h.listens(far, 500, 50)
	for _, k := range []byte("*99") {
		if err := agent.Media.SendDigit(k, 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	h.until("paused", func() bool { return strings.Contains(h.log.String(), "recording paused or resumed by the agent") })
	h.listens(far, 500, 25)
	far.Hangup()
	h.await("the end of alice's call", agent.Done())
	in := h.kept(1)[0]
	if in.Number != "+8613900000000" || in.Agent != "alice" || in.Leg != "agent" || in.Trunk != "network" || in.Queue != "" || in.Pauses != 1 || in.Ended != recording.EndedCall {
		t.Errorf("%+v", in)
	}
	if !strings.Contains(h.log.String(), in.ID) {
		t.Error("the log doesn't name the recording")
	}
	left, right := h.sides(in)
	l, r := from(left, 500), from(right, 1200)
	if len(l) < 7200 || len(r) < 7200 {
		t.Fatalf("%d and %d samples of tones, of %d", len(l), len(r), len(left))
	}
	h.steady("alice's channel", l[:7200], 500, 1200)
	h.steady("the channel of the one called", r[:7200], 1200, 500)
	if tail := left[len(left)-800:]; media.Goertzel(tail, 500, 8000) > 0.01 {
		t.Error("what was said in the pause is recorded")
	}
}

// Both hear that such a call is recorded, at its beginning and by the tone; the API stops it.
func TestTellsOfARecordingOutside(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		recordOutgoing(c)
		c.Recording.Announce, c.Recording.BeepEvery = "recorded", 5*time.Second
	})
	phone, _ := h.phoneOf("alice")
	agent, far := h.calls(phone, "+8613900000000", rings)
	both := func(what string, frames int, is func(pcm []int16) bool) {
		t.Helper()
		var heard [2]chan struct{}
		for i, c := range []*softphone.Call{agent, far} {
			done, n := make(chan struct{}), 0
			heard[i] = done
			c.Media.OnAudio(func(pcm []int16) {
				if n < frames && is(pcm) {
					if n++; n == frames {
						close(done)
					}
				}
			})
			defer c.Media.OnAudio(nil)
		}
		for _, done := range heard {
			h.await(what, done)
		}
	}
	both("the announcement", 20, func(pcm []int16) bool { return sound.Level(pcm) > -30 }) // nobody says anything
	both("the tone", 5, func(pcm []int16) bool { return media.Goertzel(pcm, 1400, 8000) > 0.08 })
	id := ""
	h.recs.Range(func(k, _ any) bool { id = string(k.(routing.CallID)); return false })
	if code, body := h.get("POST", "/api/calls/"+id+"/recording?action=stop", ""); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	if in := h.kept(1)[0]; in.Ended != recording.EndedStopped || in.Call != id {
		t.Errorf("%+v", in)
	}
	agent.Hangup()
	h.await("the end outside", far.Done())
}

// A question before a transfer is recorded to the transfer; the talk that takes the other side over is recorded by the rules
// of its own.
func TestRecordsUpToATransfer(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, func(c *config.Config) {
		cfg(c)
		recordOutgoing(c)
	})
	phone, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	consult, far := h.calls(phone, "+8613900000000", rings)
	h.hears("alice to the outside", consult, far, '1')
	if code, err := a.TransferTo(h.context(), consult); code != 200 || err != nil {
		t.Fatalf("transfer: %d, %v\n%s", code, err, h.log)
	}
	h.hears("caller to the outside", caller, far, '2')
	if in := h.kept(1)[0]; in.Ended != recording.EndedTalk {
		t.Errorf("%+v", in)
	}
	caller.Hangup()
	h.await("the end outside", far.Done())
	h.kept(1)
}
