package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/routing"
	"hotline/softphone"
)

// hears proves that what one phone sends is what the other one receives: a key.
func (h *hotline) hears(what string, from, to *softphone.Call, key byte) {
	h.t.Helper()
	if err := from.Media.SendDigit(key, 100*time.Millisecond); err != nil {
		h.t.Fatal(err)
	}
	limit := time.After(patience)
	for {
		select {
		case d := <-to.Media.Digits():
			if d.Key == key { // another one is the end of a press before, which is sent thrice
				return
			}
		case <-limit:
			h.t.Fatalf("%s: nothing heard\n%s", what, h.log)
		}
	}
}

func (h *hotline) context() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	h.t.Cleanup(cancel)
	return ctx
}

// transfer sends the caller of c elsewhere; the status comes by the channel.
func (h *hotline) transfer(c *softphone.Call, to string) <-chan int {
	code := make(chan int, 1)
	ctx := h.context()
	go func() {
		got, err := c.Transfer(ctx, to)
		if err != nil {
			h.t.Log("transfer:", err)
			got = -1
		}
		code <- got
	}()
	return code
}

func (h *hotline) status(what string, ch <-chan int, want int) {
	h.t.Helper()
	select {
	case got := <-ch:
		if got != want {
			h.t.Errorf("%s: status %d, want %d\n%s", what, got, want, h.log)
		}
	case <-time.After(patience):
		h.t.Fatalf("%s: no status\n%s", what, h.log)
	}
}

// threeDesks has alice and bob in the queue, and carol and dave, whom only colleagues
// reach.
func threeDesks(c *config.Config) {
	c.Queues[0].WrapUp = time.Hour
	carol := c.Agents[0]
	carol.User, carol.Queues = "carol", nil
	c.Agents = append(c.Agents, carol)
	c.Queues = append(c.Queues, c.Queues[0])
	c.Queues[1].Name = "complaints"
	c.Extensions = []config.Extension{{Number: "803", Agent: "carol"}, {Number: "880", Queue: "complaints"}, {Number: "890", Flow: "bye"}}
}

// RFC 5589 6: the caller is sent to a colleague by extension. The agent stays until the
// colleague answers, then wraps up; the record has both talks.
func TestBlindTransferToAColleague(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	h.hears("caller to alice", caller, a, '1')
	code := h.transfer(a, "803")
	ring := h.ring(carol)
	h.seatIs("carol", routing.SeatOwnCall)
	if ring.Number != "+8613800000001" || ring.Name != "[C] +8613800000001 / sales" {
		t.Errorf("carol's phone shows %q %q", ring.Number, ring.Name)
	}
	c, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.status("transfer", code, 200)
	h.await("the end of alice's leg", a.Done())
	h.seatIs("carol", routing.SeatTalking)
	h.seatIs("alice", routing.SeatWrapUp)
	h.hears("caller to carol", caller, c, '2')
	h.hears("carol to caller", c, caller, '3')
	c.Hangup()
	h.await("the end of the call", caller.Done())
	h.seatIs("carol", routing.SeatWrapUp)
	rec := h.one()
	talks, _ := rec["talks"].([]any)
	if rec["outcome"] != "answered" || rec["agent"] != "carol" || len(talks) != 1 || talks[0].(map[string]any)["agent"] != "alice" {
		t.Errorf("record %v", rec)
	}
}

// The colleague refuses, is busy, isn't there, or doesn't exist: the agent is told and
// has the caller again.
func TestTransferThatFails(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	refused := func(to string, want int) {
		t.Helper()
		if _, err := a.Transfer(h.context(), to); err == nil {
			t.Errorf("to %s: no error", to)
		}
		h.hears("caller to alice after "+to, caller, a, '1')
	}
	refused("nobody", 404)
	refused("carol", 480)
	refused("alice", 486)
	_, carol := h.desk("carol")
	code := h.transfer(a, "carol")
	h.ring(carol).Refuse(603)
	h.status("refused", code, 603)
	h.hears("caller to alice after the refusal", caller, a, '2')
	h.seatIs("carol", routing.SeatIdle)
	h.seatIs("alice", routing.SeatTalking)
	caller.Hangup() // the agent's phone, so soon after a failure, would give the caller back
	h.await("the end of the call", a.Done())
}

// The agent transfers and hangs up at once: the call is taken care of. When the
// colleague refuses it goes back to its place in the queue; when the caller gives up the
// colleague's phone stops.
func TestAgentLeavesTheTransferToUs(t *testing.T) {
	for _, how := range []string{"answered", "refused", "given up"} {
		t.Run(how, func(t *testing.T) {
			h := start(t, threeDesks)
			_, alice := h.desk("alice")
			_, carol := h.desk("carol")
			caller, a := h.talking("alice", alice)
			h.transfer(a, "carol")
			ring := h.ring(carol)
			a.Hangup()
			h.seatIs("alice", routing.SeatWrapUp)
			switch how {
			case "answered":
				c, err := ring.Answer()
				if err != nil {
					t.Fatal(err)
				}
				h.seatIs("carol", routing.SeatTalking)
				h.hears("caller to carol", caller, c, '2')
				c.Hangup()
			case "refused":
				ring.Refuse(603)
				_, bob := h.phoneOf("bob")
				b := h.pickUp(bob)
				h.seatIs("bob", routing.SeatTalking)
				h.hears("caller to bob", caller, b, '2')
				b.Hangup()
			case "given up":
				caller.Hangup()
				h.await("carol's phone stops", ring.Gone())
				h.seatIs("carol", routing.SeatIdle)
			}
			h.await("the end of the call", caller.Done())
			if rec := h.one(); rec["outcome"] != "answered" {
				t.Errorf("record %v", rec)
			}
		})
	}
}

// To a queue the caller waits behind the others there, to a flow hears that.
func TestTransferToQueueAndFlow(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		h := start(t, func(c *config.Config) { threeDesks(c); c.Agents[2].Queues = []string{"complaints"} })
		_, alice := h.desk("alice")
		_, carol := h.desk("carol")
		caller, a := h.talking("alice", alice)
		h.status("transfer", h.transfer(a, "880"), 200)
		c := h.pickUp(carol)
		h.seatIs("carol", routing.SeatTalking)
		h.hears("caller to carol", caller, c, '2')
		c.Hangup()
		h.await("the end of the call", caller.Done())
		if rec := h.one(); rec["queue"] != "complaints" || rec["agent"] != "carol" {
			t.Errorf("record %v", rec)
		}
	})
	t.Run("flow", func(t *testing.T) {
		h := start(t, threeDesks)
		_, alice := h.desk("alice")
		caller, a := h.talking("alice", alice)
		h.status("transfer", h.transfer(a, "890"), 200)
		h.seatIs("alice", routing.SeatWrapUp)
		h.await("the end of the flow", caller.Done())
		if rec := h.one(); rec["outcome"] != "answered" || rec["forwarded_to"] != "flow bye" || rec["cause"] != "flow_ended" || rec["agent"] != "alice" {
			t.Errorf("record %v", rec)
		}
	})
	t.Run("flow and back", func(t *testing.T) {
		h := start(t, func(c *config.Config) { threeDesks(c); c.Extensions[2].Flow = "direct" })
		_, alice := h.desk("alice")
		caller, a := h.talking("alice", alice)
		h.status("transfer", h.transfer(a, "890"), 200)
		_, bob := h.phoneOf("bob")
		b := h.pickUp(bob)
		h.seatIs("bob", routing.SeatTalking)
		h.hears("caller to bob", caller, b, '2')
		b.Hangup()
		h.await("the end of the call", caller.Done())
		if talks, _ := h.one()["talks"].([]any); len(talks) != 1 {
			t.Errorf("talks %v", talks)
		}
	})
}

// RFC 5589 7: the agent asks a colleague and brings both together. While they talk no
// call is offered to the colleague. The transfer may be asked for in either call.
func TestAttendedTransfer(t *testing.T) {
	for _, in := range []string{"the caller's call", "the other call"} {
		t.Run(in, func(t *testing.T) {
			h := start(t, threeDesks)
			phone, alice := h.desk("alice")
			_, bob := h.desk("bob")
			caller, a := h.talking("alice", alice)
			asked := make(chan *softphone.Call, 1)
			go func() {
				c, err := phone.Dial(h.context(), "bob", "alice", "")
				if err != nil {
					t.Error(err)
				}
				asked <- c
			}()
			ring := h.ring(bob)
			if ring.Name != "alice" {
				t.Errorf("bob's phone shows %q", ring.Name)
			}
			h.seatIs("bob", routing.SeatOwnCall)
			b, err := ring.Answer()
			if err != nil {
				t.Fatal(err)
			}
			consult := <-asked
			h.hears("alice to bob", consult, b, '1')
			first, second := a, consult
			if in == "the other call" {
				first, second = consult, a
			}
			code, err := first.TransferTo(h.context(), second)
			if code != 200 || err != nil {
				t.Fatalf("transfer: %d, %v\n%s", code, err, h.log)
			}
			h.await("the end of alice's call", a.Done())
			h.await("the end of the other call", consult.Done())
			h.seatIs("bob", routing.SeatTalking)
			h.seatIs("alice", routing.SeatWrapUp)
			h.hears("caller to bob", caller, b, '2')
			h.hears("bob to caller", b, caller, '3')
			caller.Hangup()
			h.await("the end of bob's call", b.Done())
			h.seatIs("bob", routing.SeatWrapUp)
		})
	}
}

// Nobody transfers to a colleague's private call: the REFER names a call that isn't the
// agent's.
func TestAttendedTransferOfSomebodyElsesCall(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	other, _ := h.desk("bob")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	asked := make(chan *softphone.Call, 1)
	go func() {
		c, err := other.Dial(h.context(), "carol", "bob", "")
		if err != nil {
			t.Error(err)
		}
		asked <- c
	}()
	h.pickUp(carol)
	consult := <-asked
	if _, err := a.TransferTo(h.context(), consult); err == nil {
		t.Error("no error")
	}
	h.hears("caller to alice", caller, a, '1')
	if isDone(consult.Done()) {
		t.Error("bob's call is over")
	}
}

// An agent calls a colleague and either hangs up; a colleague who talks is busy, one
// without a phone isn't there.
func TestAgentCallsColleague(t *testing.T) {
	h := start(t, threeDesks)
	phone, alice := h.desk("alice")
	_, carol := h.desk("carol")
	dial := func(to string) (*softphone.Call, error) { return phone.Dial(h.context(), to, "alice", "") }
	refused := func(to string, want int) {
		t.Helper()
		_, err := dial(to)
		var no *softphone.RefusedError
		if !errors.As(err, &no) || no.Code != want {
			t.Errorf("to %s: %v, want %d", to, err, want)
		}
	}
	refused("bob", 480)
	refused("nobody", 404)
	refused("alice", 486)
	done := make(chan *softphone.Call, 1)
	go func() {
		c, err := dial("803")
		if err != nil {
			t.Error(err)
		}
		done <- c
	}()
	c := h.pickUp(carol)
	a := <-done
	h.seatIs("alice", routing.SeatOwnCall)
	refused("carol", 486)
	h.hears("alice to carol", a, c, '1')
	c.Hangup()
	h.await("the end at alice", a.Done())
	h.seatIs("alice", routing.SeatIdle)
	h.seatIs("carol", routing.SeatIdle)
	_ = alice
}

// Keys transfer, too: the code, the extension and #.
func TestTransferByKeys(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	for _, key := range "*7803#" {
		if err := a.Media.SendDigit(byte(key), 60*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		<-caller.Media.Digits() // one press after the other
	}
	c := h.pickUp(carol)
	h.seatIs("carol", routing.SeatTalking)
	h.hears("caller to carol", caller, c, '2')
	c.Hangup()
	h.await("the end of the call", caller.Done())
}

func TestKeyReader(t *testing.T) {
	at := time.Duration(0)
	for _, tc := range []struct {
		keys string // a space is six seconds
		want []string
	}{
		{"*7801#", []string{"801"}},
		{"12*7801#", []string{"801"}},
		{"*7#", nil},
		{"**7801#", []string{"801"}},
		{"*8801#*7802#", []string{"802"}},
		{"*7 801#", nil},
		{"*701#*702#", []string{"01", "02"}},
		{"*7123456789012345678901234567890123456789#", nil},
	} {
		var k keyReader
		var got []string
		for _, r := range tc.keys {
			if r == ' ' {
				at += 6 * time.Second
				continue
			}
			at += time.Second
			if e, ok := k.add("*7", media.Digit{Key: byte(r), At: at}); ok {
				got = append(got, e)
			}
		}
		if len(got) != len(tc.want) || len(got) > 0 && got[0] != tc.want[0] {
			t.Errorf("%s: %q, want %q", tc.keys, got, tc.want)
		}
	}
}

// An agent who has transferred the caller has no say any more, though the phone may
// still be there for a moment: a second REFER is refused, and the colleague keeps the
// caller.
func TestTransferredCallerIsTheColleagues(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	_, bob := h.desk("bob")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	code := h.transfer(a, "carol")
	c := h.pickUp(carol)
	h.status("transfer", code, 200)
	if got, err := a.Transfer(h.context(), "bob"); err == nil {
		t.Errorf("a second transfer was taken: %d", got)
	}
	h.hears("caller to carol", caller, c, '2')
	select {
	case <-bob:
		t.Error("bob's phone rings")
	default:
	}
}

// A transfer that nobody answers ends after the ring time: the agent has the caller
// again.
func TestTransferThatNobodyAnswers(t *testing.T) {
	h := start(t, func(c *config.Config) { threeDesks(c); c.Routing.RingTime = 300 * time.Millisecond })
	_, alice := h.desk("alice")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	code := h.transfer(a, "carol")
	ring := h.ring(carol)
	h.status("transfer", code, 480)
	h.await("carol's phone stops", ring.Gone())
	h.hears("caller to alice", caller, a, '1')
}

// The queue goes with a reload while its caller is being transferred, and the agent has
// left: when the transfer fails the call ends instead of waiting for ever.
func TestQueueGoesWhileItsCallerIsTransferred(t *testing.T) {
	h := start(t, threeDesks)
	_, alice := h.desk("alice")
	_, carol := h.desk("carol")
	caller, a := h.talking("alice", alice)
	h.transfer(a, "carol")
	ring := h.ring(carol)
	a.Hangup()
	h.when("the agent has left", func(s *routing.State) bool {
		calls := s.Calls()
		return len(calls) == 1 && calls[0].Phase == routing.PhaseForwarded
	})
	policy := h.settings.Load().Policy()
	policy.Queues = policy.Queues[1:]
	for i := range policy.Seats {
		policy.Seats[i].Queues = nil
	}
	h.core.post(routing.PolicyChanged{Policy: policy})
	ring.Refuse(603)
	h.await("the end of the call", caller.Done())
}
