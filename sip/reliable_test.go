package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 3262 3: a provisional answer is repeated at T1, 2*T1, ... until its PRACK; the
// next one, and the 200 behind SDP, wait for that.
func TestProvisionalAnswersAreAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, append([]string{"Require: 100rel"}, sdp("v=0")...)...)
		l := <-legs
		l.Ring()
		l.Progress([]byte("v=0\r\ns=early\r\n"))
		ring := u.until("SIP/2.0 180", "1 INVITE")
		time.Sleep(2 * time.Second)
		if got := times(n.sent(serverAddr, "SIP/2.0 180")); got != "[0s 500ms 1.5s]" || header(ring, "Require") != "100rel" {
			t.Errorf("180 sent at %s, Require %q", got, header(ring, "Require"))
		}
		if len(n.sent(serverAddr, "SIP/2.0 183")) != 0 {
			t.Error("183 before the PRACK of the 180")
		}
		u.send("PRACK", 2, "RAck: 1 1 INVITE")
		u.until("SIP/2.0 481", "2 PRACK")
		u.send("PRACK", 3, "RAck: "+header(ring, "RSeq")+" 1 INVITE")
		u.until("SIP/2.0 200", "3 PRACK")
		media := u.until("SIP/2.0 183", "1 INVITE")
		if !strings.Contains(media, "s=early") {
			t.Errorf("183 %q", media)
		}
		var a, b int
		fmt.Sscan(header(ring, "RSeq"), &a)
		fmt.Sscan(header(media, "RSeq"), &b)
		if b != a+1 {
			t.Errorf("RSeq %d after %d", b, a)
		}
		if err := l.Answer([]byte("v=0\r\ns=early\r\n")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(n.sent(serverAddr, "SIP/2.0 200")) != 1 { // that to the PRACK
			t.Error("200 before the PRACK of the SDP")
		}
		u.send("PRACK", 4, fmt.Sprintf("RAck: %d 1 INVITE", b))
		u.until("SIP/2.0 200", "4 PRACK")
		ok := u.until("SIP/2.0 200", "1 INVITE")
		if strings.Contains(ok, "s=early") {
			t.Error("the 200 says the SDP again")
		}
		u.send("ACK", 1)
		<-l.Confirmed()
	})
}

// Without a PRACK for 64*T1 the call is refused (RFC 3262 3).
func TestProvisionalAnswerWithoutPrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring() }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		start := time.Now()
		u.send("INVITE", 1, append([]string{"Require: 100rel"}, sdp("v=0")...)...)
		u.until("SIP/2.0 504", "1 INVITE")
		if w := time.Since(start); w != 32*time.Second {
			t.Errorf("refused after %v, want 32s", w)
		}
		if got := times(n.sent(serverAddr, "SIP/2.0 180")); got != "[0s 500ms 1.5s 3.5s 7.5s 15.5s 31.5s]" {
			t.Errorf("180 sent at %s", got)
		}
		u.send("ACK", 1)
		synctest.Wait()
	})
}

// Callers who don't ask for it get plain ones, and SDP reliably only where they know
// how.
func TestProvisionalAnswersForOthers(t *testing.T) {
	for _, tc := range []struct{ header, ring, media string }{
		{"", "", ""},
		{"Supported: 100rel", "", "100rel"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); l.Progress([]byte("v=0\r\n")) }}})
			defer srv.Close()
			u := newUAC(t, n, callerAddr)
			var hs []string
			if tc.header != "" {
				hs = []string{tc.header}
			}
			u.send("INVITE", 1, append(hs, sdp("v=0")...)...)
			if got := header(u.until("SIP/2.0 180", ""), "Require"); got != tc.ring {
				t.Errorf("%q: 180 requires %q", tc.header, got)
			}
			if got := header(u.until("SIP/2.0 183", ""), "Require"); got != tc.media {
				t.Errorf("%q: 183 requires %q", tc.header, got)
			}
			u.send("CANCEL", 1)
		})
	}
}

// As a caller we acknowledge each in its turn, once; the SDP of an early dialog
// counts, UPDATE works in it, and the 200 confirms it.
func TestWeAcknowledgeProvisionalAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{Reoffer: func([]byte) ([]byte, int) { return []byte("v=0\r\ns=re\r\n"), 0 }})
		defer srv.Close()
		if !strings.Contains(header(invite, "Supported"), "100rel") {
			t.Errorf("Supported %q", header(invite, "Supported"))
		}
		media := append([]string{"Require: 100rel", "RSeq: 7"}, sdp("v=0", "s=early")...)
		u.answer(invite, "183 Session Progress", media...)
		prack := u.until("PRACK ", "")
		if got, want := header(prack, "RAck"), "7 "+header(invite, "CSeq"); got != want {
			t.Errorf("RAck %q, want %q", got, want)
		}
		u.answer(prack, "200 OK")
		<-d.Early()
		if !strings.Contains(string(d.EarlySDP()), "s=early") {
			t.Errorf("early SDP %q", d.EarlySDP())
		}
		u.answer(invite, "183 Session Progress", media...) // again
		synctest.Wait()
		u.answer(invite, "180 Ringing", "Require: 100rel", "RSeq: 9") // before its turn
		synctest.Wait()
		u.answer(invite, "180 Ringing", "Require: 100rel", "RSeq: 8") // its turn
		u.answer(u.until("PRACK ", ""), "200 OK")
		u.within(invite, "UPDATE", 1, sdp("v=0", "s=other")...)
		if res := u.until("SIP/2.0 200", "1 UPDATE"); !strings.Contains(res, "s=re") {
			t.Errorf("UPDATE answered %q", res)
		}
		u.answer(invite, "200 OK")
		ack := u.until("ACK ", "")
		if header(ack, "CSeq") != strings.Fields(header(invite, "CSeq"))[0]+" ACK" {
			t.Errorf("ACK %q of %q", header(ack, "CSeq"), header(invite, "CSeq"))
		}
		<-d.Done()
		out := d.Outcome()
		if out.Leg == nil || !strings.Contains(string(out.Answer), "s=early") {
			t.Fatalf("outcome %+v with %q", out, out.Answer)
		}
		synctest.Wait()
		if got := len(n.sent(serverAddr, "PRACK ")); got != 2 {
			t.Errorf("%d PRACKs, want 2", got)
		}
		out.Leg.Hangup()
		bye := u.until("BYE ", "")
		var first, last int
		fmt.Sscan(header(prack, "CSeq"), &first)
		fmt.Sscan(header(bye, "CSeq"), &last)
		if last <= first {
			t.Errorf("BYE with CSeq %d after PRACK with %d", last, first)
		}
		u.answer(bye, "200 OK")
		synctest.Wait()
		if srv.Calls() != 0 {
			t.Error("a dialog is left")
		}
	})
}

// An early dialog whose call is refused, or answered in another dialog, leaves
// nothing behind.
func TestEarlyDialogsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{})
		defer srv.Close()
		u.answer(invite, "183 Session Progress", "Require: 100rel", "RSeq: 1")
		u.answer(u.until("PRACK ", ""), "200 OK")
		u.answer(invite, "486 Busy Here")
		<-d.Done()
		synctest.Wait()
		if d.Outcome().Cause != DialBusy || srv.Calls() != 0 {
			t.Errorf("outcome %+v, %d dialogs", d.Outcome(), srv.Calls())
		}
	})
}
