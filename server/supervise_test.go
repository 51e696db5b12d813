package server

import (
	"math"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/routing"
	"hotline/softphone"
)

// says lets a phone hum a tone of its own from now on.
func says(c *softphone.Call, freq float64) {
	c.Media.Play(media.Tone(freq, time.Second, 0.25), media.PlayOptions{Loop: true})
}

// hearsTones waits until a phone hears the tones listed, and none of the others.
func (h *hotline) hearsTones(what string, c *softphone.Call, all map[float64]bool) {
	h.t.Helper()
	windows := make(chan []int16, 1)
	var pcm []int16
	c.Media.OnAudio(func(frame []int16) {
		if pcm = append(pcm, frame...); len(pcm) < 1600 {
			return
		}
		select {
		case windows <- pcm[:1600]:
		default:
		}
		pcm = nil
	})
	defer c.Media.OnAudio(nil)
	limit := time.After(patience)
	levels := map[float64]float64{}
	for {
		select {
		case heard := <-windows:
			right := true
			for freq, want := range all {
				levels[freq] = 20 * math.Log10(media.Goertzel(heard, freq, 8000)/0.25+1e-9)
				right = right && want == (levels[freq] > -16) && (want || levels[freq] < -30)
			}
			if right {
				return
			}
		case <-limit:
			h.t.Fatalf("%s: hears %v dB, want %v\n%s", what, levels, all, h.log)
		}
	}
}

const callerTone, agentTone, thirdTone = 400.0, 650.0, 1000.0

func tones(caller, agent, third bool) map[float64]bool {
	return map[float64]bool{callerTone: caller, agentTone: agent, thirdTone: third}
}

// A supervisor listens to a talk unheard, whispers to the agent, joins, goes back to listening, and leaves; the talk goes on.
func TestSupervise(t *testing.T) {
	h := start(t, func(c *config.Config) {
		threeDesks(c)
		for i := range c.Agents {
			if c.Agents[i].User == "carol" {
				c.Agents[i].Supervises = []string{c.Queues[0].Name}
			}
		}
	})
	phone, _ := h.phoneOf("carol")
	if _, err := phone.Dial(h.context(), "*6alice", "carol", ""); err == nil {
		t.Fatal("supervised nobody")
	}
	_, desk := h.desk("alice")
	caller, alice := h.talking("alice", desk)
	says(caller, callerTone)
	says(alice, agentTone)
	h.hearsTones("the caller at first", caller, tones(false, true, false))

	bob, _ := h.desk("bob")
	if _, err := bob.Dial(h.context(), "*6alice", "bob", ""); err == nil {
		t.Fatal("bob may not supervise")
	}
	carol, err := phone.Dial(h.context(), "*6alice", "carol", "")
	if err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	says(carol, thirdTone)
	h.hearsTones("the supervisor", carol, tones(true, true, false))
	h.hearsTones("the caller", caller, tones(false, true, false))
	h.hearsTones("the agent", alice, tones(true, false, false))
	for _, c := range []struct {
		key           byte
		caller, agent bool // hear the supervisor
	}{{'2', false, true}, {'3', true, true}, {'1', false, false}} {
		if err := carol.Media.SendDigit(c.key, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		h.hearsTones("the agent after "+string(c.key), alice, tones(true, false, c.agent))
		h.hearsTones("the caller after "+string(c.key), caller, tones(false, true, c.caller))
	}
	carol.Hangup()
	h.hearsTones("the caller in the end", caller, tones(false, true, false))
	alice.Hangup()
	h.await("the end of the call", caller.Done())
	if rec := h.one(); rec["agent"] != "alice" || rec["outcome"] != "answered" {
		t.Errorf("record %v", rec)
	}
}

// A talk that ends takes its supervisor along.
func TestSupervisorLeavesWithTheTalk(t *testing.T) {
	var supervisor string
	h := start(t, func(c *config.Config) {
		threeDesks(c)
		supervisor = c.Agents[len(c.Agents)-1].User
		c.Agents[len(c.Agents)-1].Supervises = []string{c.Queues[0].Name}
	})
	_, desk := h.desk("alice")
	caller, alice := h.talking("alice", desk)
	phone, _ := h.phoneOf(supervisor)
	guest, err := phone.Dial(h.context(), "*6alice", supervisor, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	caller.Hangup()
	h.await("the agent's end", alice.Done())
	h.await("the supervisor's end", guest.Done())
	h.seatIs("alice", routing.SeatWrapUp)
}

// An agent asks a colleague and brings them in: three hear each other. The colleague may leave, the
// talk goes on.
func TestConferenceOfThree(t *testing.T) {
	h := start(t, threeDesks)
	alicePhone, desk := h.desk("alice")
	caller, alice := h.talking("alice", desk)
	says(caller, callerTone)
	says(alice, agentTone)
	_, carolRings := h.phoneOf("carol")
	answered := make(chan *softphone.Call, 1)
	go func() {
		if c, err := alicePhone.Dial(h.context(), "803", "alice", ""); err == nil {
			answered <- c
		}
	}()
	carol := h.pickUp(carolRings)
	says(carol, thirdTone)
	question := <-answered
	for _, key := range []byte("*0") {
		if err := alice.Media.SendDigit(key, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	h.await("the end of the question", question.Done())
	h.hearsTones("the caller", caller, tones(false, true, true))
	h.hearsTones("the agent", alice, tones(true, false, true))
	h.hearsTones("the colleague", carol, tones(true, true, false))
	carol.Hangup()
	h.hearsTones("the caller in the end", caller, tones(false, true, false))
	alice.Hangup()
	h.await("the end of the call", caller.Done())
}
