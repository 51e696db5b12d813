package server

import (
	"errors"
	"testing"
	"time"

	"hotline/config"
	"hotline/softphone"
)

// carolSupervises has carol supervise the first queue.
func carolSupervises(c *config.Config) {
	threeDesks(c)
	c.Agents[2].Supervises = []string{c.Queues[0].Name}
}

// joined is a supervisor who joins the call of another phone by INVITE (RFC 3911) and hums.
func (h *hotline) joined(phone *softphone.Phone, c *softphone.Call) *softphone.Call {
	h.t.Helper()
	third, err := phone.Join(h.context(), c)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, h.log)
	}
	says(third, thirdTone)
	return third
}

// RFC 5359 2.11, RFC 3911: who joins hears both and is heard by both at once; the talk goes on
// without, and takes its guest along when it ends.
func thirdPartyJoins(h *hotline) {
	_, desk := h.desk("alice")
	caller, alice := h.talking("alice", desk)
	says(caller, callerTone)
	says(alice, agentTone)
	phone, _ := h.phoneOf("carol")
	carol := h.joined(phone, alice)
	h.hearsTones("the supervisor", carol, tones(true, true, false))
	h.hearsTones("the caller", caller, tones(false, true, true))
	h.hearsTones("the agent", alice, tones(true, false, true))
	if err := carol.Media.SendDigit('2', 100*time.Millisecond); err != nil {
		h.t.Fatal(err)
	}
	h.hearsTones("the caller, as the supervisor whispers", caller, tones(false, true, false))
	carol.Hangup()
	h.hearsTones("the agent in the end", alice, tones(true, false, false))
	again := h.joined(phone, caller) // the caller's dialog names the same talk
	h.hearsTones("the caller again", caller, tones(false, true, true))
	caller.Hangup()
	h.await("the supervisor's end", again.Done())
}

// Nobody joins without the right to supervise the queue, nor a talk of one's own, nor a call in
// which nobody talks; the talk doesn't notice.
func TestJoinIsRefused(t *testing.T) {
	h := start(t, func(c *config.Config) {
		carolSupervises(c)
		c.Agents[0].Supervises = []string{c.Queues[0].Name, c.Queues[1].Name}
		c.Agents[1].Queues = nil // nobody but alice is offered a caller
		dave := c.Agents[1]
		dave.User, dave.Queues, dave.Supervises = "dave", nil, []string{c.Queues[1].Name}
		c.Agents = append(c.Agents, dave)
	})
	_, desk := h.desk("alice")
	caller, alice := h.talking("alice", desk)
	waiting := h.call()
	for _, tc := range []struct {
		who  string
		call *softphone.Call
		code int
	}{{"bob", alice, 403}, {"bob", waiting, 403}, {"dave", alice, 403}, {"alice", alice, 403}, {"carol", waiting, 488}} {
		phone, _ := h.phoneOf(tc.who)
		_, err := phone.Join(h.context(), tc.call)
		var no *softphone.RefusedError
		if !errors.As(err, &no) || no.Code != tc.code {
			t.Errorf("%s was told %v, want %d", tc.who, err, tc.code)
		}
	}
	h.hears("caller to alice", caller, alice, '1')
	if _, err := h.phone().Join(h.context(), alice); err == nil {
		t.Error("a caller of a trunk joined")
	}
}
