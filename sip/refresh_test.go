package sip

import (
	"testing"
	"testing/synctest"
	"time"
)

// RFC 4028 7.3: a refresh that is refused as too short is tried again with the interval
// that the 422 asks for, and the call lives on.
func TestRefreshThatIsTooShort(t *testing.T) {
	for _, update := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			srv, legs := answering(t, n, Options{})
			defer srv.Close()
			u := newUAC(t, n, callerAddr)
			hs := []string{"Supported: timer", "Session-Expires: 100;refresher=uas"}
			if update {
				hs = append(hs, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE")
			}
			u.send("INVITE", 1, append(hs, sdp("v=0")...)...)
			u.until("SIP/2.0 200", "1 INVITE")
			u.send("ACK", 1)
			l := <-legs
			method := map[bool]string{true: "UPDATE ", false: "INVITE "}[update]
			u.answer(u.until(method, ""), "422 Session Interval Too Small", "Min-SE: 400")
			again := u.until(method, "")
			if se := header(again, "Session-Expires"); se != "400;refresher=uac" || header(again, "Min-SE") != "400" {
				t.Errorf("%s: asked again with %q, Min-SE %q", method, se, header(again, "Min-SE"))
			}
			u.answer(again, "200 OK", append([]string{"Session-Expires: 400;refresher=uac"}, sdp("v=0")...)...)
			time.Sleep(150 * time.Second)
			if isClosed(l.Done()) {
				t.Errorf("%s: the call ended with %q", method, l.End().Cause)
			}
			l.Hangup()
			u.answer(u.until("BYE ", ""), "200 OK")
			synctest.Wait()
		})
	}
}

// A timer of the session that fires while the session begins anew says nothing any more:
// it neither ends the call nor takes the new timer's place.
func TestSessionTimerThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		l.startSession(100*time.Second, false)
		late := l.session.turn
		l.startSession(100*time.Second, false)
		now := l.session.timer
		l.expire(late)
		l.refresh(late)
		synctest.Wait()
		if isClosed(l.Done()) || l.session.timer != now || len(n.sent(serverAddr, "UPDATE ")) != 0 || len(n.sent(serverAddr, "INVITE ")) != 0 {
			t.Errorf("over %t, the new timer stays %t", isClosed(l.Done()), l.session.timer == now)
		}
		l.Hangup()
		u.answer(u.until("BYE ", ""), "200 OK")
	})
}
