package sip

import (
	"strings"
	"testing"
	"testing/synctest"
)

// RFC 3261 14.2: a re-INVITE before the final answer to the one before gets 500, and when
// to come again; 491 is for one that meets an INVITE of ours.
func TestReinviteBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		u.until("SIP/2.0 180", "1 INVITE")
		l := <-legs
		l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
		u.send("INVITE", 2, sdp("v=0")...)
		res := u.until("SIP/2.0 5", "2 INVITE")
		if after := header(res, "Retry-After"); !strings.HasPrefix(res, "SIP/2.0 500") || after == "" || after > "9" {
			t.Errorf("answered %q", res)
		}
		u.send("ACK", 2)
		_ = l.Answer([]byte("v=0\r\n"))
		u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		<-l.Confirmed()
		u.send("INVITE", 3, sdp("v=0")...)
		u.until("SIP/2.0 200", "3 INVITE")
		u.send("ACK", 3)
		synctest.Wait()
	})
}

// RFC 3311 5.2: an UPDATE with an offer gets 491 while our own offer, in a 200 or in a
// reliable provisional answer to an INVITE without SDP, isn't answered.
func TestUpdateMeetsOurOffer(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			legs := make(chan *Leg, 1)
			srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}})
			defer srv.Close()
			u := newUAC(t, n, callerAddr)
			u.send("INVITE", 1, "Supported: 100rel")
			l := <-legs
			changes, answers := 0, 0
			l.OnReoffer(func([]byte) ([]byte, int) { changes++; return []byte("v=0\r\n"), 0 })
			l.OnAnswer(func([]byte) { answers++ })
			if early {
				l.Progress([]byte("v=0\r\n"))
				ring := u.until("SIP/2.0 183", "1 INVITE")
				u.send("UPDATE", 2, sdp("v=0")...)
				u.until("SIP/2.0 491", "2 UPDATE")
				u.send("PRACK", 3, append([]string{"RAck: " + header(ring, "RSeq") + " 1 INVITE"}, sdp("v=0")...)...)
				u.until("SIP/2.0 200", "3 PRACK")
				u.send("UPDATE", 4, sdp("v=0")...)
				u.until("SIP/2.0 200", "4 UPDATE")
				_ = l.Answer(nil)
				u.until("SIP/2.0 200", "1 INVITE")
			} else {
				_ = l.Answer([]byte("v=0\r\n"))
				u.until("SIP/2.0 200", "1 INVITE")
				u.send("UPDATE", 4, sdp("v=0")...)
				u.until("SIP/2.0 491", "4 UPDATE")
			}
			u.send("ACK", 1, sdp("v=0")...) // with the answer; where the PRACK had it, it says nothing any more
			<-l.Confirmed()
			u.send("UPDATE", 5, sdp("v=0")...)
			u.until("SIP/2.0 200", "5 UPDATE")
			if want := map[bool]int{true: 2, false: 1}[early]; changes != want || answers != 1 {
				t.Errorf("early %t: %d changes, want %d; %d answers, want 1", early, changes, want, answers)
			}
		})
	}
}
