package sip

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// calmAgain ends what overload has begun.
func calmAgain(s *Stack) {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	s.admission.rate, s.admission.last = 0, 0
}

// An INVITE that was refused is refused when it comes again, though there would be room now: its caller has been
// told, and nobody would be there. One that was let in isn't refused when it comes again, though there is no room
// any more.
func TestRepeatedInviteMeetsTheSameFate(t *testing.T) {
	for _, tc := range []struct {
		name      string
		full, not func(*Stack)
	}{
		{"overload", overload, calmAgain},
		{"draining", func(s *Stack) { s.drain.Store(true) }, func(s *Stack) { s.drain.Store(false) }},
		{"too much at work", func(s *Stack) { s.pending.Add(1 << 20) }, func(s *Stack) { s.pending.Add(-1 << 20) }},
		{"a trunk's limit", func(s *Stack) { s.trunks.find("carrier").calls[inward] = 5 }, func(s *Stack) { s.trunks.find("carrier").calls[inward] = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				limited, legs := carrier, make(chan *Leg, 4)
				limited.Limits.MaxCalls = 5
				srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{limited}}, Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				invite := func(seq int) { u.toTag = ""; u.send("INVITE", seq, sdp("v=0")...); synctest.Wait() }
				tc.full(srv)
				invite(1)
				tc.not(srv)
				invite(1)
				if got := n.sent(serverAddr, "SIP/2.0 503"); len(got) != 2 || len(legs) != 0 {
					t.Fatalf("refused %d times, want twice; %d calls", len(got), len(legs))
				}
				invite(2) // the caller tries again
				if len(legs) != 1 {
					t.Fatalf("%d calls, want 1", len(legs))
				}
				tc.full(srv)
				invite(2)
				if got := n.sent(serverAddr, "SIP/2.0 503"); len(got) != 2 || len(legs) != 1 {
					t.Errorf("refused %d times, want twice; %d calls", len(got), len(legs))
				}
				tc.not(srv)
				(<-legs).Hangup()
			})
		})
	}
}

// What was let in once is no way past the admission for ever.
func TestFatesAreCounted(t *testing.T) {
	f, now := newFates(1), time.Unix(1, 0)
	id, seq := []byte("a@b"), []byte("7 INVITE")
	f.note(id, seq, fateLetIn, now)
	for i := range 13 {
		if got := f.of(id, []byte("7"), now); got != fateLetIn {
			t.Fatalf("when it comes again for the %d. time: %d", i+1, got)
		}
	}
	if got := f.of(id, seq, now); got != fateUnknown {
		t.Errorf("when it has come again 13 times: %d", got)
	}
	f.note(id, seq, fateRefused, now)
	for _, tc := range []struct {
		id, seq string
		at      time.Duration
		want    fate
	}{{"a@b", "7 INVITE", timeout - 1, fateRefused}, {"a@b", "7 INVITE", timeout, fateUnknown}, {"a@b", "8 INVITE", 0, fateUnknown}, {"a@c", "7 INVITE", 0, fateUnknown}} {
		if got := f.of([]byte(tc.id), []byte(tc.seq), now.Add(tc.at)); got != tc.want {
			t.Errorf("%s %s after %v: %d, want %d", tc.id, tc.seq, tc.at, got, tc.want)
		}
	}
	for i := range 100_000 { // what is new pushes out what is there, and takes no more room
		f.note(fmt.Append(nil, i), seq, fateRefused, now)
	}
	if got := f.of(id, seq, now); got != fateUnknown {
		t.Errorf("after 100,000 others: %d", got)
	}
}
