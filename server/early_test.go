package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/routing"
	"hotline/softphone"
)

// earlyFlows are those of the numbers 6, which is early and queues, 7, which is early and says
// no, and 8, which answers by key.
func earlyFlows(c *config.Config) {
	other, err := config.Parse("flows", []byte(`
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks:
  - name: carrier
    addresses: [127.0.0.1]
    gateways: [{host: 127.0.0.1}]
    dids: [{number: "6", flow: free}, {number: "7", flow: closed}, {number: "8", flow: paid}, {number: "9", flow: on}]
outbound: {routes: [{trunks: [carrier]}], rights: [{name: r, allow: ["+"], flows: [on]}]}
queues: [{name: sales}]
agents: [{user: alice, password: a-long-secret, queues: [sales]}]
flows:
  free: {early: 1m, start: q, steps: {q: {queue: sales}}}
  closed: {early: 1m, start: bye, steps: {bye: {hang_up: {prompts: [digit-1, digit-2], refuse: 486}}}}
  on: {early: 1m, start: out, steps: {out: {dial: {to: "+8613900000000", failed: no}}, no: {hang_up: {refuse: 404}}}}
  paid:
    early: 1m
    start: m
    steps:
      m: {menu: {prompts: [digit-3], wait: 1s, tries: 1, keys: {"1": yes}, too_many: no}}
      yes: {answer: {next: echo}}
      echo: {echo: {for: 1m}}
      no: {hang_up: }
`))
	if err != nil {
		panic(err)
	}
	for _, d := range other.Trunks[0].DIDs {
		c.Flows[d.Flow] = other.Flows[d.Flow]
		c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, d)
	}
}

// earlyCall is a caller who hears something before the answer.
type earlyCall struct {
	h       *hotline
	sound   chan *media.Leg
	outcome chan error
	call    *softphone.Call // once outcome is nil
	cancel  context.CancelFunc
}

// callsEarly dials, and returns as soon as there is something to hear.
func (h *hotline) callsEarly(did string) (*earlyCall, *media.Leg) {
	h.t.Helper()
	e := &earlyCall{h: h, sound: make(chan *media.Leg, 1), outcome: make(chan error, 1)}
	p := h.phoneWith(softphone.Options{Early: func(m *media.Leg) { e.sound <- m }})
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	e.cancel = cancel
	h.t.Cleanup(cancel)
	go func() {
		var err error
		e.call, err = p.Dial(ctx, did, "13800000001", "")
		e.outcome <- err
	}()
	select {
	case m := <-e.sound:
		return e, m
	case err := <-e.outcome:
		h.t.Fatalf("nothing was heard before the call came out: %v\n%s", err, h.log)
	}
	return nil, nil
}

// refused waits until the call was refused with that status, answered by nobody.
func (e *earlyCall) refused(code int) {
	e.h.t.Helper()
	var no *softphone.RefusedError
	if err := <-e.outcome; !errors.As(err, &no) || no.Code != code {
		e.h.t.Fatalf("came out with %v, want %d\n%s", err, code, e.h.log)
	}
	if rec := e.h.one(); rec["answered"] != nil || rec["outcome"] != "ivr" || rec["cause"] != "flow_ended" {
		e.h.t.Errorf("record %v", rec)
	}
}

// sounds is closed when something louder than noise is heard.
func sounds(m *media.Leg) <-chan struct{} {
	heard, done := make(chan struct{}), false
	m.OnAudio(func(pcm []int16) {
		for _, s := range pcm {
			if !done && (s > 2000 || s < -2000) {
				done = true
				close(heard)
			}
		}
	})
	return heard
}

// An announcement is heard before the answer, and the call refused as the flow says: there never is one.
func TestEarlyAnnouncement(t *testing.T) {
	h := start(t, earlyFlows)
	e, m := h.callsEarly("7")
	h.await("the announcement", sounds(m))
	if n := len(e.outcome); n != 0 {
		t.Error("answered or refused before the announcement was over")
	}
	e.refused(486)
}

// A caller waits early, with music; the call is answered when an agent answers, and not before.
func TestEarlyQueueIsAnsweredByAnAgent(t *testing.T) {
	h := start(t, func(c *config.Config) { earlyFlows(c); c.Media.RTPTimeout = time.Second })
	e, m := h.callsEarly("6")
	h.await("the music", sounds(m))
	h.when("the caller waits", waiting1)
	v := h.list("/api/calls")[0]
	if v["answered"] != nil || v["phase"] != "waiting" || len(e.outcome) > 0 {
		t.Fatalf("%v", v)
	}
	_, rings := h.phoneOf("alice")
	a := h.pickUp(rings)
	if err := <-e.outcome; err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	h.hears("caller to alice", e.call, a, '2')
	e.call.Hangup()
	h.await("the end of the call", a.Done())
	rec := h.one()
	if rec["outcome"] != "answered" || rec["answered"] == nil || rec["answered"].(string) < rec["queued"].(string) {
		t.Errorf("record %v", rec)
	}
}

// A key, as telephone-event, works early; the flow's answer step answers, and the flow goes on.
func TestEarlyFlowAnswersByKey(t *testing.T) {
	h := start(t, func(c *config.Config) {
		earlyFlows(c)
		c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "call"}}
	})
	e, m := h.callsEarly("8")
	h.await("the prompt", sounds(m))
	if err := m.SendDigit('1', 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-e.outcome; err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	h.listens(e.call, 1004, 5)
	e.call.Hangup()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if in := h.kept(1)[0]; in.Seconds <= 0 {
		t.Errorf("recorded %+v", in)
	}
	if rec := h.one(); rec["answered"] == nil || rec["cause"] != "caller_hung_up" {
		t.Errorf("record %v", rec)
	}
}

// Who presses nothing is refused with 480, and nothing was recorded of it.
func TestEarlyFlowWithoutAKey(t *testing.T) {
	h := start(t, func(c *config.Config) {
		earlyFlows(c)
		c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "call"}}
	})
	e, _ := h.callsEarly("8")
	e.refused(480)
	h.kept(0)
}

// An early caller who gives up is gone: 487, no agent is rung any more.
func TestEarlyCallerGivesUp(t *testing.T) {
	h := start(t, earlyFlows)
	e, m := h.callsEarly("6")
	h.await("the music", sounds(m))
	e.cancel()
	if err := <-e.outcome; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if rec := h.one(); rec["answered"] != nil || rec["outcome"] != "abandoned" {
		t.Errorf("record %v", rec)
	}
}

// When it was early for as long as the flow allows, the call is answered though nobody has.
func TestEarlyTooLong(t *testing.T) {
	h := start(t, func(c *config.Config) {
		earlyFlows(c)
		c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "call"}}
	})
	said := h.log.next("call was early for as long as it may be")
	e, m := h.callsEarly("6")
	h.await("the music", sounds(m))
	h.recs.Range(func(_, v any) bool {
		c := v.(*call)
		c.early.mu.Lock()
		defer c.early.mu.Unlock()
		return c.early.limit.Reset(0)
	})
	h.await("the limit", said)
	if err := <-e.outcome; err != nil {
		t.Fatal(err)
	}
	h.when("the caller waits on", waiting1)
	h.listensToRecording()
	e.call.Hangup()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if in := h.kept(1)[0]; in.Leg != "caller" || in.Queue != "sales" {
		t.Errorf("recorded %+v", in)
	}
	if rec := h.one(); rec["answered"] == nil || rec["outcome"] != "abandoned" {
		t.Errorf("record %v", rec)
	}
}

// listensToRecording waits until the only call is recorded.
func (h *hotline) listensToRecording() {
	h.t.Helper()
	h.until("it is recorded", func() (on bool) {
		h.recs.Range(func(_, v any) bool { on = len(v.(recordable).recordingViews()) == 1; return true })
		return on
	})
}

// earlyDials is a hotline that dials outside before the call is answered, records it and says so.
func earlyDials(t *testing.T) (*hotline, <-chan *softphone.Ringing) {
	t.Helper()
	rings, cfg := outside(t)
	return start(t, func(c *config.Config) {
		cfg(c)
		earlyFlows(c)
		c.Outbound.Rights[0].Flows = []string{"on"}
		c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "call"}}
		c.Recording.Announce = "recorded"
	}), rings
}

// The time limit strikes while the flow dials: what is recorded begins at once, and who is called hears of it.
func TestEarlyTooLongWhileItDials(t *testing.T) {
	h, rings := earlyDials(t)
	e, _ := h.callsEarly("9")
	ring := h.ring(rings)
	h.recs.Range(func(_, v any) bool {
		c := v.(*call)
		c.early.mu.Lock()
		defer c.early.mu.Unlock()
		return c.early.limit.Reset(0)
	})
	if err := <-e.outcome; err != nil {
		t.Fatalf("%v\n%s", err, h.log)
	}
	h.listensToRecording()
	far, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.await("the announcement", sounds(far.Media))
	far.Hangup()
	h.await("the end of the call", e.call.Done())
	h.kept(1)
}

// A caller who wants our offer is answered at once: nothing could be heard before. So is one whose
// flow isn't early.
func TestEarlyNeedsAnOffer(t *testing.T) {
	h := start(t, earlyFlows)
	p := h.textPhone()
	p.send("INVITE", "sip:6@127.0.0.1", "<sip:1@127.0.0.1>;tag=x", "<sip:6@127.0.0.1>", "no-offer", "")
	if res := p.until("SIP/2.0 ", "INVITE"); !strings.HasPrefix(res, "SIP/2.0 200") {
		t.Error(res)
	}
	p.send("INVITE", "sip:1@127.0.0.1", "<sip:1@127.0.0.1>;tag=y", "<sip:1@127.0.0.1>", "usual", sdp(4002, "8", "sendrecv"), "Supported: 100rel")
	for {
		res := p.until("SIP/2.0 ", "INVITE")
		if field(res, "Call-ID") != "usual" || strings.HasPrefix(res, "SIP/2.0 100") {
			continue
		}
		if !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Error(res)
		}
		return
	}
}

// reliably calls a number whose flow answers by key, hears it early by a reliable 183, and presses the key:
// the 200 waits for the PRACK.
func (p *textPhone) reliably(h *hotline) (early string) {
	h.t.Helper()
	rtp, port := listenRTP(h.t)
	p.send("INVITE", "sip:8@127.0.0.1", "<sip:1@127.0.0.1>;tag=x", "<sip:8@127.0.0.1>", "rel", sdp(port, "8", "sendrecv"), "Supported: 100rel")
	early = p.until("SIP/2.0 183", "INVITE")
	if field(early, "RSeq") == "" || field(early, "Require") != "100rel" || !strings.Contains(early, "m=audio") {
		h.t.Fatalf("early: %q", early)
	}
	hearsAt(h.t, rtp, h.log)
	p.key(field(early, "To"), "1")
	return early
}

// key sends a key by INFO.
func (p *textPhone) key(to, key string) {
	p.t.Helper()
	p.seq++
	p.raw(fmt.Sprintf("INFO sip:8@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKkey%d;rport\r\nFrom: <sip:1@127.0.0.1>;tag=x\r\nTo: %s\r\nCall-ID: rel\r\nCSeq: %d INFO\r\nMax-Forwards: 70\r\nContent-Type: application/dtmf\r\nContent-Length: 1\r\n\r\n%s",
		p.addr(), p.seq, to, p.seq, key))
	p.until("SIP/2.0 200", "INFO")
}

// held waits until the call is to be answered, as soon as the PRACK comes.
func (h *hotline) held() {
	h.t.Helper()
	h.until("the call is to be answered", func() (ok bool) {
		h.recs.Range(func(_, v any) bool { ok = !v.(*call).waitsForAnswer(); return true })
		return ok
	})
}

// Where the caller can acknowledge it, the early answer is reliable; the 200 follows its PRACK and needs no SDP,
// and the call counts as answered from there.
func TestEarlyIsReliable(t *testing.T) {
	h := start(t, earlyFlows)
	p := h.textPhone()
	early := p.reliably(h)
	h.held()
	if v := h.list("/api/calls")[0]; v["answered"] != nil {
		t.Errorf("answered before the PRACK: %v", v)
	}
	p.send("PRACK", "sip:8@127.0.0.1", "<sip:1@127.0.0.1>;tag=x", field(early, "To"), "rel", "", "RAck: "+field(early, "RSeq")+" 101 INVITE")
	p.until("SIP/2.0 200", "PRACK")
	if ok := p.until("SIP/2.0 200", "INVITE"); strings.Contains(ok, "m=audio") {
		t.Errorf("the 200 says the SDP again: %q", ok)
	}
	p.raw(fmt.Sprintf("ACK sip:8@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKack\r\nFrom: <sip:1@127.0.0.1>;tag=x\r\nTo: %s\r\nCall-ID: rel\r\nCSeq: 101 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", p.addr(), field(early, "To")))
	p.send("BYE", "sip:8@127.0.0.1", "<sip:1@127.0.0.1>;tag=x", field(early, "To"), "rel", "")
	p.until("SIP/2.0 200", "BYE")
	if rec := h.one(); rec["answered"] == nil || rec["cause"] != "caller_hung_up" {
		t.Errorf("record %v", rec)
	}
}

// Who cancels while the 200 waits for the PRACK was never answered: so say the 487, the journal and the record.
func TestCancelledBeforeThePrack(t *testing.T) {
	h := start(t, earlyFlows)
	p := h.textPhone()
	p.reliably(h)
	h.held()
	p.raw(fmt.Sprintf("CANCEL sip:8@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKINVITE101;rport\r\nFrom: <sip:1@127.0.0.1>;tag=x\r\nTo: <sip:8@127.0.0.1>\r\nCall-ID: rel\r\nCSeq: 101 CANCEL\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", p.addr()))
	p.until("SIP/2.0 487", "INVITE")
	if rec := h.one(); rec["answered"] != nil || rec["cause"] != "caller_hung_up" {
		t.Errorf("record %v", rec)
	}
}

// Whom an early flow dials has the caller answered by answering; when nobody does, nor are we.
func TestEarlyFlowDials(t *testing.T) {
	for _, answers := range []bool{true, false} {
		h, rings := earlyDials(t)
		e, _ := h.callsEarly("9")
		ring := h.ring(rings)
		if len(e.outcome) > 0 {
			t.Error("answered while it rings")
		}
		if !answers {
			ring.Refuse(486)
			e.refused(404)
			h.kept(0)
			continue
		}
		far, err := ring.Answer()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-e.outcome; err != nil {
			t.Fatalf("%v\n%s", err, h.log)
		}
		toCaller, toFar := sounds(e.call.Media), sounds(far.Media)
		h.await("the announcement at the caller's", toCaller)
		h.await("the announcement at the far side", toFar)
		tone(e.call, 500)
		h.listens(far, 500, 10)
		far.Hangup()
		h.await("the end of the call", e.call.Done())
		if in := h.kept(1)[0]; in.Leg != "caller" || in.Seconds <= 0 {
			t.Errorf("recorded %+v", in)
		}
	}
}
