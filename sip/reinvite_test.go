package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A re-INVITE whose ACK is lost or late, and another behind it: the second says
// that the first was understood. When the ACK owes us SDP the second is told to
// wait (RFC 3261 14.2). The call lives on.
func TestReinviteWithALostAckKeepsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		l.OnReoffer(func(offer []byte) ([]byte, int) { return []byte("v=0\r\ns=again\r\n"), 0 })
		u.send("INVITE", 2, sdp("v=0")...)
		u.until("SIP/2.0 200", "2 INVITE")
		u.send("ACK", 1) // the first ACK, delivered twice: says nothing about CSeq 2
		u.send("INVITE", 3, sdp("v=0")...)
		u.until("SIP/2.0 200", "3 INVITE")
		u.send("ACK", 2) // late: says nothing about CSeq 3
		u.until("SIP/2.0 200", "3 INVITE")
		u.send("ACK", 3)
		synctest.Wait()
		u.send("INVITE", 4) // ours is the offer
		u.until("SIP/2.0 200", "4 INVITE")
		u.send("INVITE", 5, sdp("v=0")...)
		u.until("SIP/2.0 491", "5 INVITE")
		u.send("ACK", 5)
		u.until("SIP/2.0 200", "4 INVITE") // repeated: the ACK was lost
		u.send("ACK", 4, sdp("v=0")...)
		synctest.Wait()
		u.send("INVITE", 6, sdp("v=0")...)
		u.until("SIP/2.0 200", "6 INVITE")
		u.send("ACK", 6)
		time.Sleep(2 * time.Minute)
		if isClosed(l.Done()) {
			t.Fatalf("the call was ended: %+v", l.End())
		}
		if got := len(n.sent(serverAddr, "BYE ")); got != 0 {
			t.Errorf("%d BYEs", got)
		}
	})
}

// A re-INVITE that is never acknowledged ends the call after 64*T1.
func TestReinviteWithoutAckEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
		start := time.Now()
		u.send("INVITE", 2, sdp("v=0")...)
		<-l.Done()
		if w := time.Since(start); l.End().Cause != EndNoAck || w != 32*time.Second {
			t.Errorf("ended with %q after %v, want no_ack after 32s", l.End().Cause, w)
		}
		u.reply(u.until("BYE ", ""), "200 OK")
	})
}

// Hold and resume by re-INVITE, with SDP in the request; then one without, whose
// answer comes in the ACK.
func TestHoldResumeAndOfferlessReinvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		var offers, answers []string
		l.OnReoffer(func(offer []byte) ([]byte, int) {
			offers = append(offers, strings.TrimSpace(string(offer)))
			if strings.Contains(string(offer), "m=video") {
				return nil, 488
			}
			return []byte("v=0\r\na=ours\r\n"), 0
		})
		l.OnAnswer(func(answer []byte) { answers = append(answers, strings.TrimSpace(string(answer))) })
		for i, offer := range []string{"a=sendonly", "a=sendrecv"} {
			u.send("INVITE", 2+i, sdp(offer)...)
			if res := u.until("SIP/2.0 200", fmt.Sprintf("%d INVITE", 2+i)); !strings.HasSuffix(res, "v=0\r\na=ours\r\n") || header(res, "Contact") == "" {
				t.Errorf("answer %q", res)
			}
			// SDP in an ACK that owes none is not an answer.
			u.send("ACK", 2+i, sdp("a=stray")...)
			synctest.Wait()
		}
		u.send("INVITE", 4)
		u.until("SIP/2.0 200", "4 INVITE")
		u.send("ACK", 4, sdp("a=theirs")...)
		synctest.Wait()
		u.send("INVITE", 5, sdp("m=video")...)
		u.until("SIP/2.0 488", "5 INVITE")
		u.send("ACK", 5)
		u.send("INVITE", 6, sdp("a=after")...) // a refused change leaves nothing behind
		u.until("SIP/2.0 200", "6 INVITE")
		u.send("ACK", 6)
		synctest.Wait()
		if got := fmt.Sprint(offers); got != "[a=sendonly a=sendrecv  m=video a=after]" {
			t.Errorf("offers %s", got)
		}
		if got := fmt.Sprint(answers); got != "[a=theirs]" {
			t.Errorf("answers %s, want only the one that was owed", got)
		}
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// An INVITE without SDP: ours goes out in the 200, theirs comes in the ACK; SDP
// in the ACK of a call that had an offer is not taken for an answer.
func TestAnswerInTheAck(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		offer      []string
	}{
		{"offerless INVITE", "[a=theirs]", nil},
		{"INVITE with an offer", "[]", sdp("v=0")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				answers := []string{}
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				srv.opt.Handlers.Invite = func(l *Leg) {
					l.OnAnswer(func(b []byte) { answers = append(answers, strings.TrimSpace(string(b))) })
					_ = l.Answer([]byte("v=0\r\na=ours\r\n"))
					legs <- l
				}
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, tc.offer...)
				if res := u.until("SIP/2.0 200", "1 INVITE"); !strings.HasSuffix(res, "a=ours\r\n") {
					t.Errorf("200 without our SDP: %q", res)
				}
				u.send("ACK", 1, sdp("a=theirs")...)
				<-(<-legs).Confirmed()
				if got := fmt.Sprint(answers); got != tc.want {
					t.Errorf("answers %s, want %s", got, tc.want)
				}
			})
		})
	}
}
