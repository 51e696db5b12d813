package server

import (
	"runtime"
	"strconv"
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

// The offer is withdrawn (here: the seat is freed by hand) in the very moment the
// agent picks up: the agent is hung up, the caller waits on and is served.
func TestWithdrawAgainstAnswerKeepsTheCaller(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	caller := h.call()
	r := h.ring(rings)
	h.seatIs("alice", routing.SeatRinging)
	hold, held := make(chan struct{}), make(chan struct{})
	h.core.do(func() { close(held); <-hold })
	<-held
	h.core.do(func() { h.core.apply(routing.SeatFreed{Seat: "alice"}) })
	agent, err := r.Answer()
	if err != nil {
		t.Fatal(err)
	}
	inTalk := make(chan struct{})
	go func() { // freed, answered and talk started wait in this order
		defer close(inTalk)
		for len(h.core.inbox) < 3 && t.Context().Err() == nil {
			runtime.Gosched()
		}
	}()
	h.await("answer on its way to routing", inTalk)
	close(hold)
	h.await("end of the first agent leg", agent.Done())
	second := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	select {
	case <-caller.Done():
		t.Fatalf("the caller was hung up\n%s", h.log)
	default:
	}
	caller.Hangup()
	h.await("end of the second agent leg", second.Done())
	h.seatIs("alice", routing.SeatIdle)
	if rec := h.one(); rec["outcome"] != "answered" || rec["cause"] != "caller_hung_up" {
		t.Errorf("record %v", rec)
	}
}

// The agent answers and hangs up before the legs are bridged: the caller keeps
// the place and is served.
func TestAgentHangsUpBeforeTheBridge(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	caller := h.call()
	r := h.ring(rings)
	h.seatIs("alice", routing.SeatRinging)
	hold, held := make(chan struct{}), make(chan struct{})
	h.core.do(func() { close(held); <-hold })
	<-held
	for len(h.core.inbox) < inboxSize { // the answer can't be reported yet
		h.core.do(func() {})
	}
	agent, err := r.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.await("confirmed", agent.Confirmed())
	agent.Hangup()
	ended := make(chan struct{})
	go func() { // our side has taken the BYE: only the caller's dialog is left
		defer close(ended)
		for h.sip.Calls() > 1 && t.Context().Err() == nil {
			runtime.Gosched()
		}
	}()
	h.await("BYE taken", ended)
	close(hold)
	second := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	caller.Hangup()
	h.await("end of the agent's leg", second.Done())
	if rec := h.one(); rec["cause"] != "caller_hung_up" || rec["outcome"] != "answered" {
		t.Errorf("record %v", rec)
	}
}

// The caller hangs up in the moment the agent picks up: the agent's leg is
// closed, the seat is idle again, and there is one record.
func TestCallerHangsUpAsTheAgentAnswers(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	for i := range 5 {
		caller := h.call()
		r := h.ring(rings)
		gone := make(chan struct{})
		go func() { defer close(gone); caller.Hangup() }()
		if agent, err := r.Answer(); err == nil {
			h.await("end of the agent's leg", agent.Done())
		}
		<-gone
		h.when("call "+strconv.Itoa(i)+" closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
		h.seatIs("alice", routing.SeatIdle)
	}
	rs := h.finish()
	if len(rs) != 5 {
		t.Fatalf("%d records, want 5", len(rs))
	}
	for _, r := range rs {
		if r["cause"] != "caller_hung_up" || (r["outcome"] != "abandoned" && r["outcome"] != "answered") {
			t.Errorf("record %v", r)
		}
	}
}

// The agent holds and resumes by re-INVITE; the hold is in the record.
func TestAgentHoldsAndResumes(t *testing.T) {
	h := start(t, nil)
	agent := h.textPhone()
	agent.register("alice")
	h.seatIs("alice", routing.SeatIdle)
	caller := h.call()
	invite := agent.until("INVITE ", "INVITE")
	agent.reply(invite, "180 Ringing", "a", "")
	agent.reply(invite, "200 OK", "a", sdp(4002, "8", "sendrecv"))
	agent.until("ACK ", "ACK")
	h.seatIs("alice", routing.SeatTalking)
	target := strings.Trim(field(invite, "Contact"), "<>")
	from, to, id := field(invite, "To")+";tag=a", field(invite, "From"), field(invite, "Call-ID")
	if strings.Contains(field(invite, "To"), ";tag=") {
		t.Fatal("the INVITE's To has a tag")
	}
	change := func(direction, want string) {
		t.Helper()
		agent.send("INVITE", target, from, to, id, sdp(4002, "8", direction))
		res := agent.until("SIP/2.0 200", "INVITE")
		if !strings.Contains(res, "a="+want+"\r\n") {
			t.Errorf("%s was answered %q", direction, res)
		}
		agent.send("ACK", target, from, to, id, "")
	}
	holds := make(chan struct{}, 4)
	var hold routing.Duration
	h.core.do(func() {
		h.core.journal = tap{h.core.journal, func(ev routing.Event) {
			if _, ok := ev.(routing.HoldChanged); ok {
				holds <- struct{}{}
			}
		}}
		next := h.core.decided
		h.core.decided = func(d routing.Decision, seq uint64) {
			if d, ok := d.(*routing.Closed); ok {
				hold = d.Call.Hold
			}
			next(d, seq)
		}
	})
	change("sendonly", "recvonly")
	h.await("hold", holds)
	change("sendrecv", "sendrecv")
	h.await("resume", holds)
	agent.send("BYE", target, from, to, id, "")
	agent.until("SIP/2.0 200", "BYE")
	h.await("end of the caller's leg", caller.Done())
	rec := h.one()
	if rec["cause"] != "agent_hung_up" || rec["outcome"] != "answered" {
		t.Errorf("record %v", rec)
	}
	if hold <= 0 {
		t.Error("the hold is not in the call's figures")
	}
}
