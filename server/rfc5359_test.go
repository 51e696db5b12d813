package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/ivr"

	"hotline/routing"
	"hotline/softphone"
)

// The services of RFC 5359 that a hotline has, each named after its section; docs/sip.md
// says which are left out and why.
func TestRFC5359(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  func(*config.Config)
		run  func(*hotline)
	}{
		{"2.1 call hold", threeDesks, callHold},
		{"2.2 consultation hold", threeDesks, consultationHold},
		{"2.3 music on hold", threeDesks, musicOnHold},
		{"2.4 transfer unattended", threeDesks, transferUnattended},
		{"2.5 transfer attended", threeDesks, transferAttended},
		{"2.7 call forwarding unconditional", threeDesks, func(h *hotline) { goesOn(h, "302 Moved Temporarily", "Contact: <sip:+8616900000000@127.0.0.1>") }},
		{"2.8 call forwarding busy", threeDesks, func(h *hotline) { goesOn(h, "486 Busy Here") }},
		{"2.9 call forwarding no answer", shortRing, func(h *hotline) { goesOn(h, "") }},
		{"2.11 3-way conference third party joins", carolSupervises, thirdPartyJoins},
		{"2.12 find me", threeDesks, findMe},
		{"2.13 incoming call screening", threeDesks, incomingScreening},
		{"2.14 outgoing call screening", threeDesks, outgoingScreening},
		{"2.15 call park", func(c *config.Config) { threeDesks(c); c.Agents[2].Queues = []string{"complaints"} }, callPark},
		{"2.16 call pickup", threeDesks, callPickup},
		{"2.17 automatic redial", threeDesks, automaticRedial},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(start(t, tc.cfg)) })
	}
}

func shortRing(c *config.Config) { threeDesks(c); c.Routing.RingTime = time.Second }

// heldTalk is a talk of an agent's whose phone is text.
type heldTalk struct {
	h                    *hotline
	phone                *textPhone
	caller               *softphone.Call
	target, from, to, id string
}

// talking is alice, whose phone is text, with a caller.
func talking(h *hotline) *heldTalk {
	h.t.Helper()
	p := h.textPhone()
	p.register("alice")
	h.seatIs("alice", routing.SeatIdle)
	caller := h.call()
	invite := p.until("INVITE ", "INVITE")
	p.reply(invite, "180 Ringing", "a", "")
	p.reply(invite, "200 OK", "a", sdp(4002, "8", "sendrecv"))
	p.until("ACK ", "ACK")
	h.seatIs("alice", routing.SeatTalking)
	return &heldTalk{h: h, phone: p, caller: caller, target: strings.Trim(field(invite, "Contact"), "<>"),
		from: field(invite, "To") + ";tag=a", to: field(invite, "From"), id: field(invite, "Call-ID")}
}

// change is the re-INVITE of a phone that holds or resumes, and its answer.
func (k *heldTalk) change(direction, want string) {
	k.h.t.Helper()
	k.phone.send("INVITE", k.target, k.from, k.to, k.id, sdp(4002, "8", direction))
	if res := k.phone.until("SIP/2.0 200", "INVITE"); !strings.Contains(res, "a="+want+"\r\n") {
		k.h.t.Errorf("%s was answered %q", direction, res)
	}
	k.phone.send("ACK", k.target, k.from, k.to, k.id, "")
}

func (k *heldTalk) hold() {
	k.h.t.Helper()
	held := k.h.log.next("held=true")
	k.change("sendonly", "recvonly")
	k.h.await("hold", held)
}

func (k *heldTalk) resume() {
	k.h.t.Helper()
	held := k.h.log.next("held=false")
	k.change("sendrecv", "sendrecv")
	k.h.await("resume", held)
}

// answers picks the next call up; nil comes, with an error, when none does.
func (h *hotline) answers(rings <-chan *softphone.Ringing) <-chan *softphone.Call {
	answered := make(chan *softphone.Call, 1)
	go func() {
		select {
		case r := <-rings:
			c, err := r.Answer()
			if err != nil {
				h.t.Error(err)
			}
			answered <- c
		case <-time.After(patience):
			h.t.Error("the phone doesn't ring")
			answered <- nil
		}
	}()
	return answered
}

// music is closed when the caller has heard a fifth of a second of the music.
func (h *hotline) music(caller *softphone.Call) <-chan struct{} {
	// Wherever it stands: it may have begun before anybody listens.
	frames := map[string]bool{}
	for frame := range slices.Chunk(h.settings.Load().prompts.Get(ivr.HoldMusic, "en").PCM(), 160) {
		frames[fmt.Sprint(frame)] = true
	}
	done, inRow := make(chan struct{}), 0
	caller.Media.OnAudio(func(pcm []int16) {
		if inRow++; !frames[fmt.Sprint(pcm)] {
			inRow = 0
		}
		if inRow == 10 {
			close(done)
		}
	})
	return done
}

func (k *heldTalk) end() {
	k.h.t.Helper()
	k.phone.send("BYE", k.target, k.from, k.to, k.id, "")
	k.phone.until("SIP/2.0 200", "BYE")
	k.h.await("the end of the call", k.caller.Done())
}

// INVITE (sendonly), 200 (recvonly), ACK; INVITE (sendrecv), 200 (sendrecv), ACK.
func callHold(h *hotline) {
	k := talking(h)
	k.hold()
	k.resume()
	k.end()
}

// While the caller is held, the agent calls a colleague, who hangs up; then the caller
// again.
func consultationHold(h *hotline) {
	_, bob := h.desk("carol")
	k := talking(h)
	k.hold()
	answered := h.answers(bob)
	res := k.phone.authorised("INVITE", "alice", "803", "consult", sdp(4004, "8", "sendrecv"))
	if !strings.HasPrefix(res, "SIP/2.0 200") {
		h.t.Fatalf("the colleague's call was answered %q", res)
	}
	k.phone.send("ACK", strings.Trim(field(res, "Contact"), "<>"), "<sip:alice@127.0.0.1>;tag=w", field(res, "To"), "consult", "")
	(<-answered).Hangup()
	bye := k.phone.until("BYE ", "BYE")
	k.phone.reply(bye, "200 OK", "", "")
	k.resume()
	k.end()
}

// The music comes from us, which costs the agent's phone nothing: no third party is
// called for it, as RFC 7088 does it for phones.
func musicOnHold(h *hotline) {
	k := talking(h)
	music := h.music(k.caller)
	k.change("sendonly", "recvonly")
	h.await("the music", music)
	k.end()
}

// REFER, 202, NOTIFY, BYE; the colleague has the caller.
func transferUnattended(h *hotline) {
	_, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	_, carol := h.desk("carol")
	code := h.transfer(a, "803")
	c := h.pickUp(carol)
	h.status("transfer", code, 200)
	h.await("the end of alice's call", a.Done())
	h.hears("caller to carol", caller, c, '2')
	c.Hangup()
	h.await("the end of the call", caller.Done())
}

// A second call, then REFER with Replaces in the first one.
func transferAttended(h *hotline) {
	phone, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	_, carol := h.desk("carol")
	answered := h.answers(carol)
	consult, err := phone.Dial(h.context(), "803", "alice", "")
	if err != nil {
		h.t.Fatal(err)
	}
	c := <-answered
	if code, err := a.TransferTo(h.context(), consult); code != 200 || err != nil {
		h.t.Fatalf("transfer: %d, %v\n%s", code, err, h.log)
	}
	h.await("the end of alice's call", a.Done())
	h.await("the end of the other call", consult.Done())
	h.hears("caller to carol", caller, c, '2')
	c.Hangup()
	h.await("the end of the call", caller.Done())
}

// Routing forwards, not a proxy: what alice's phone doesn't take goes to bob. Where her
// phone redirects to is nobody's business but hers: it isn't followed.
func goesOn(h *hotline, status string, headers ...string) {
	p := h.textPhone()
	p.register("alice")
	h.seatIs("alice", routing.SeatIdle)
	caller := make(chan *softphone.Call, 1)
	phone := h.phone()
	go func() {
		c, err := h.dial(phone, "1")
		if err != nil {
			h.t.Error(err)
		}
		caller <- c
	}()
	invite := p.until("INVITE ", "INVITE")
	_, bob := h.desk("bob")
	p.reply(invite, "180 Ringing", "a", "")
	if status == "" {
		p.reply(p.until("CANCEL ", "CANCEL"), "200 OK", "a", "")
		status = "487 Request Terminated"
	}
	p.reply(invite, status, "a", "", headers...)
	p.until("ACK ", "ACK")
	b, c := h.pickUp(bob), <-caller
	if c == nil {
		return
	}
	h.hears("caller to bob", c, b, '2')
	b.Hangup()
	h.await("the end of the call", c.Done())
}

// All of an agent's phones ring; the first to answer has the call, the others stop.
func findMe(h *hotline) {
	_, desk := h.desk("alice")
	_, mobile := h.phoneOf("alice")
	caller := h.call()
	first := h.ring(desk)
	m := h.pickUp(mobile)
	h.await("the desk phone stops", first.Gone())
	h.hears("caller to the mobile", caller, m, '2')
	m.Hangup()
	h.await("the end of the call", caller.Done())
}

// What isn't dialled into a flow reaches nobody.
func incomingScreening(h *hotline) {
	_, alice := h.desk("alice")
	_, err := h.dial(h.phone(), "4711")
	var no *softphone.RefusedError
	if !errors.As(err, &no) || no.Code != 404 {
		h.t.Errorf("refused with %v", err)
	}
	select {
	case <-alice:
		h.t.Error("alice's phone rings")
	default:
	}
}

// Without a right, an agent calls nobody outside.
func outgoingScreening(h *hotline) {
	desk, _ := h.desk("alice")
	_, err := desk.Dial(h.context(), "+8613900000000", "alice", "")
	var no *softphone.RefusedError
	if !errors.As(err, &no) || no.Code != 403 {
		h.t.Errorf("refused with %v", err)
	}
}

// A caller is parked in a queue, hears its music, and is taken out by whoever serves it.
func callPark(h *hotline) {
	_, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	music := h.music(caller)
	h.status("transfer", h.transfer(a, "880"), 200)
	h.await("alice's call ends", a.Done())
	h.await("the music", music)
	_, carol := h.phoneOf("carol")
	c := h.pickUp(carol)
	h.hears("caller to carol", caller, c, '2')
	c.Hangup()
	h.await("the end of the call", caller.Done())
}

// A call that rings alice is taken by bob.
func callPickup(h *hotline) {
	_, alice := h.desk("alice")
	caller := h.call()
	ring := h.ring(alice)
	phone, _ := h.desk("bob")
	b, err := phone.Dial(h.context(), "*8alice", "bob", "")
	if err != nil {
		h.t.Fatalf("%v\n%s", err, h.log)
	}
	h.await("alice's phone stops", ring.Gone())
	h.hears("caller to bob", caller, b, '2')
	b.Hangup()
	h.await("the end of the call", caller.Done())
}

// Bob wants alice, who talks; his phone watches her and calls when she is free.
func automaticRedial(h *hotline) {
	_, alice := h.desk("alice")
	caller := h.call()
	h.pickUp(alice)
	h.seatIs("alice", routing.SeatTalking)
	phone, _ := h.desk("bob")
	_, err := phone.Dial(h.context(), "alice", "bob", "")
	var no *softphone.RefusedError
	if !errors.As(err, &no) || no.Code != 486 {
		h.t.Fatalf("alice is busy: %v", err)
	}
	p := h.textPhone()
	if res := p.authorised("SUBSCRIBE", "bob", "alice", "redial", "", "Event: dialog"); !strings.HasPrefix(res, "SIP/2.0 200") {
		h.t.Fatal(res)
	}
	p.told("busy", "<state>confirmed</state>")
	caller.Hangup()
	p.told("free", "<state>terminated</state>")
	h.core.post(routing.WrapUpEnded{Seat: "alice"})
	answered := h.answers(alice)
	c, err := phone.Dial(h.context(), "alice", "bob", "")
	if err != nil {
		h.t.Fatal(err)
	}
	<-answered
	c.Hangup()
}
