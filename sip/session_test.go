package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 4028 9: what an INVITE asks for, and what the 200 says of it.
func TestSessionTimerIsNegotiated(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers []string
		status  string
		want    string // Session-Expires, and Require
	}{
		{"no extension, no timer", nil, "200", ""},
		{"only knows it", []string{"Supported: timer"}, "200", "1800;refresher=uac timer"},
		{"compact form", []string{"k: 100rel, timer", "x: 600"}, "200", "600;refresher=uac timer"},
		{"asks for less than ours", []string{"Supported: timer", "Session-Expires: 300"}, "200", "300;refresher=uac timer"},
		{"asks for more than ours", []string{"Supported: timer", "Session-Expires: 7200"}, "200", "1800;refresher=uac timer"},
		{"wants at least more than ours", []string{"Supported: timer", "Session-Expires: 7200", "Min-SE: 3600"}, "200", "3600;refresher=uac timer"},
		{"wants us to refresh", []string{"Supported: timer", "Session-Expires: 300;refresher=uas"}, "200", "300;refresher=uas "},
		{"too short", []string{"Supported: timer", "Session-Expires: 60"}, "422", ""},
		{"too short, from a peer that can't be told", []string{"Session-Expires: 60"}, "200", ""},
		{"no number", []string{"Supported: timer", "Session-Expires: soon"}, "400", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, Options{})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, append(tc.headers, sdp("v=0")...)...)
				res := u.until("SIP/2.0 "+tc.status, "1 INVITE")
				if got := header(res, "Session-Expires") + " " + header(res, "Require"); strings.TrimSpace(got) != strings.TrimSpace(tc.want) {
					t.Errorf("answered %q, want %q", got, tc.want)
				}
				if tc.status == "422" && header(res, "Min-SE") != "90" {
					t.Errorf("Min-SE %q", header(res, "Min-SE"))
				}
				u.send("ACK", 1)
				synctest.Wait()
			})
		})
	}
}

// RFC 4028 10: a peer that was to refresh and doesn't gets BYE, 32 s or a third of
// the session before its end; one that does is left alone.
func TestSessionThatNobodyRefreshesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, append([]string{"Supported: timer", "Session-Expires: 120"}, sdp("v=0")...)...)
		u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		l := <-legs
		time.Sleep(60 * time.Second)
		u.send("UPDATE", 2, "Supported: timer", "Session-Expires: 120;refresher=uac")
		if res := u.until("SIP/2.0 200", "2 UPDATE"); header(res, "Session-Expires") != "120;refresher=uac" {
			t.Errorf("refreshed with %q", header(res, "Session-Expires"))
		}
		start := time.Now()
		time.Sleep(88*time.Second - time.Millisecond)
		synctest.Wait()
		if isClosed(l.Done()) {
			t.Fatalf("ended %v after the refresh", time.Since(start))
		}
		<-l.Done()
		if w := time.Since(start); w != 88*time.Second || l.End().Cause != EndExpired {
			t.Errorf("ended with %q after %v, want expired after 88s", l.End().Cause, w)
		}
		u.answer(u.until("BYE ", ""), "200 OK")
		synctest.Wait()
	})
}

// We refresh at half of the session: by UPDATE where the peer knows it, else by a
// re-INVITE with the same SDP. A refusal doesn't end the call before its time.
func TestWeRefreshTheSession(t *testing.T) {
	for _, method := range []string{"UPDATE", "INVITE"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				allow := "Allow: INVITE, ACK, BYE, CANCEL"
				if method == "UPDATE" {
					allow += ", UPDATE"
				}
				u.send("INVITE", 1, append([]string{"Supported: timer", "Session-Expires: 600;refresher=uas", allow}, sdp("v=0")...)...)
				u.until("SIP/2.0 200", "1 INVITE")
				u.send("ACK", 1)
				l := <-legs
				for round := range 3 {
					start := time.Now()
					time.Sleep(299 * time.Second)
					req := u.until(method+" ", "")
					if w := time.Since(start); w != 300*time.Second {
						t.Errorf("round %d: refreshed after %v, want 5m", round, w)
					}
					if got := header(req, "Session-Expires"); got != "600;refresher=uac" {
						t.Errorf("asked for %q", got)
					}
					if method == "INVITE" && !strings.HasSuffix(req, "\r\n\r\nv=0\r\n") {
						t.Errorf("other SDP than before: %q", req)
					}
					if round == 2 {
						u.answer(req, "500 No")
						break
					}
					u.answer(req, "200 OK", append([]string{"Require: timer", "Session-Expires: 600;refresher=uac"}, sdp("v=0")...)...)
				}
				<-l.Done()
				u.answer(u.until("BYE ", ""), "200 OK")
				if l.End().Cause != EndExpired {
					t.Errorf("ended with %q", l.End().Cause)
				}
				synctest.Wait()
			})
		})
	}
}

// RFC 4028 7.3: a 422 is met with what it asks for, once.
func TestSessionTooShortForThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{})
		defer srv.Close()
		if header(invite, "Session-Expires") != "1800" || header(invite, "Min-SE") != "90" {
			t.Errorf("asked for %q, at least %q", header(invite, "Session-Expires"), header(invite, "Min-SE"))
		}
		u.answer(invite, "422 Session Interval Too Small", "Min-SE: 3600")
		u.until("ACK ", "")
		invite = u.until("INVITE ", "")
		if got := fmt.Sprint(header(invite, "Session-Expires"), " ", header(invite, "Min-SE")); got != "3600 3600" {
			t.Errorf("asked again for %q", got)
		}
		u.answer(invite, "422 Session Interval Too Small", "Min-SE: 7200")
		u.until("ACK ", "")
		<-d.Done()
		if d.Outcome().Code != 422 {
			t.Errorf("outcome %+v", d.Outcome())
		}
	})
}

// A peer that changes the session without naming the extension has no timer any more:
// the call isn't ended for a refresh that nobody owes.
func TestSessionTimerEndsWithTheExtension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, append([]string{"Supported: timer", "Session-Expires: 120"}, sdp("v=0")...)...)
		u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		l := <-legs
		l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
		synctest.Wait()
		u.send("INVITE", 2, sdp("v=0")...)
		if res := u.until("SIP/2.0 200", "2 INVITE"); header(res, "Session-Expires") != "" {
			t.Errorf("answered with %q", header(res, "Session-Expires"))
		}
		u.send("ACK", 2)
		time.Sleep(10 * time.Minute)
		if isClosed(l.Done()) {
			t.Errorf("the call was ended: %+v", l.End())
		}
	})
}
