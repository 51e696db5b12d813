package sip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func tracedInvite(t *traces, id, from string) {
	data := fmt.Appendf(nil, "INVITE sip:+861095599@10.0.0.1:5060 SIP/2.0\r\nFrom: <sip:%s@192.0.2.1>;tag=1\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nX-Hotline-Call: forged\r\nProxy-Authorization: Digest realm=\"x\",\r\n response=\"cafe\"\r\nContent-Length: 35\r\n\r\nv=0\r\na=crypto:1 SHA inline:cafe\r\n", from, id)
	g := look(data)
	t.saw(&g, data, Traced{At: time.Now(), Network: "UDP"})
}

// A flood of INVITEs that no call comes of pushes no call out, nor does it grow.
func TestTracesAreBounded(t *testing.T) {
	tr := newTraces(10)
	for i := range 10 {
		tracedInvite(tr, fmt.Sprint("call", i), "x")
		tr.keep(fmt.Sprint("call", i))
	}
	for i := range 5000 {
		tracedInvite(tr, fmt.Sprint("flood", i), "x")
	}
	for range 5000 {
		tracedInvite(tr, "call9", "x")
	}
	if len(tr.of) != 10+maxFresh || len(tr.fresh) != maxFresh || len(tr.of["call9"].messages) != maxTracedMessages {
		t.Errorf("%d calls, %d fresh, %d messages", len(tr.of), len(tr.fresh), len(tr.of["call9"].messages))
	}
	for i := range 10 {
		if tr.of[fmt.Sprint("call", i)] == nil {
			t.Errorf("call %d was pushed out", i)
		}
	}
	tracedInvite(tr, "next", "x")
	tr.keep("next")
	if tr.of["call0"] != nil || tr.of["next"] == nil {
		t.Error("the oldest call is to give way")
	}
}

// What a trace keeps says nothing that is secret; what a capture keeps has no
// credentials; both end.
func TestTracesKeepNoSecrets(t *testing.T) {
	s := &Stack{traces: newTraces(10)}
	if !s.Capture("", "13800000000", time.Hour) {
		t.Fatal("no capture")
	}
	tracedInvite(s.traces, "a", "13800000000")
	tracedInvite(s.traces, "b", "13900000000")
	if len(s.Trace("forged")) != 0 {
		t.Error("a peer chose whose trace it is in")
	}
	a, b := s.Trace("a"), s.Trace("b")
	if len(a) != 1 || len(b) != 1 || b[0].Raw != nil {
		t.Fatalf("%+v %+v", a, b)
	}
	if want := "INVITE sip:+861…99@10.0.0.1:5060 SIP/2.0"; a[0].Line != want {
		t.Errorf("got %q, want %q", a[0].Line, want)
	}
	if raw := string(a[0].Raw); !strings.Contains(raw, "From: <sip:13800000000@") || strings.Contains(raw, "cafe") {
		t.Errorf("capture %q", raw)
	}
	s.traces.join("b", "routed")
	if got := s.Trace("routed"); len(got) != 1 || got[0].CallID != "b" {
		t.Errorf("%+v", got)
	}
	for i := range maxCaptures + 1 {
		if got := s.Capture(fmt.Sprint("call", i), "", time.Hour); got != (i < maxCaptures-1) {
			t.Errorf("capture %d: %t", i, got)
		}
	}
	for _, k := range s.traces.captures {
		k.until = time.Now().Add(-time.Second)
	}
	tracedInvite(s.traces, "c", "13800000000")
	if got := s.Trace("c"); len(got) != 1 || got[0].Raw != nil {
		t.Errorf("after its end: %+v", got)
	}
}
