package sip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answer answers a request with a status, header fields and, after an empty line, a
// body; To gets the tag of this peer where it has none.
func (u *uac) answer(req, status string, lines ...string) {
	u.t.Helper()
	to, body := header(req, "To"), ""
	if !strings.Contains(to, ";tag=") && !strings.HasPrefix(status, "100") {
		to += ";tag=callee"
	}
	for i, l := range lines {
		if l == "" {
			body = strings.Join(lines[i+1:], "\r\n") + "\r\n"
			lines = lines[:i]
			break
		}
	}
	msg := fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:callee@%s>\r\n",
		status, header(req, "Via"), header(req, "From"), to, header(req, "Call-ID"), header(req, "CSeq"), u.c.addr)
	for _, l := range lines {
		msg += l + "\r\n"
	}
	u.raw(msg + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body)
}

// within sends a request of the callee's in the dialog that the server's INVITE made.
func (u *uac) within(invite, method string, seq int, lines ...string) {
	u.t.Helper()
	body := ""
	for i, l := range lines {
		if l == "" {
			body = strings.Join(lines[i+1:], "\r\n") + "\r\n"
			lines = lines[:i]
			break
		}
	}
	msg := fmt.Sprintf("%s sip:hotline@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKc%s%d;rport\r\nFrom: %s;tag=callee\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:callee@%s>\r\n",
		method, u.to, u.c.addr, method, seq, header(invite, "To"), header(invite, "From"), header(invite, "Call-ID"), seq, method, u.c.addr)
	for _, l := range lines {
		msg += l + "\r\n"
	}
	u.raw(msg + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body)
}

// calling is a server that dials a peer of text.
func calling(t *testing.T, n *memNet, opt Options, o Outgoing) (*Stack, *uac, *Dialing, string) {
	t.Helper()
	srv := memStack(t, n, serverAddr, opt)
	u := newUAC(t, n, agentAddr)
	c, err := srv.ContactTo("sip:alice@" + agentAddr)
	if err != nil {
		t.Fatal(err)
	}
	o.Contacts, o.FromUser, o.ToUser, o.Unreachable = []Contact{c}, "1", "alice", -1
	if o.Offer == nil {
		o.Offer = []byte("v=0\r\ns=offer\r\n")
	}
	d := srv.Dial(o)
	return srv, u, d, u.until("INVITE ", "")
}

// We change the session by re-INVITE; the peer's answer is handed on, and its 2xx
// gets an ACK each time it is repeated, with the CSeq of that INVITE although
// others were sent since.
func TestOurReinvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		got := make(chan string, 1)
		go func() {
			sdp, err := l.Reoffer(t.Context(), []byte("v=0\r\ns=new\r\n"))
			got <- fmt.Sprint(string(sdp), err)
		}()
		req := u.until("INVITE ", "")
		if !strings.Contains(req, "s=new") || !strings.Contains(header(req, "Supported"), "timer") {
			t.Errorf("re-INVITE %q", req)
		}
		u.answer(req, "100 Trying")
		u.answer(req, "200 OK", sdp("v=0", "s=yes")...)
		ack := u.until("ACK ", "")
		if s := <-got; s != "v=0\r\ns=yes\r\n<nil>" {
			t.Errorf("answer %q", s)
		}
		u.answer(req, "200 OK", sdp("v=0", "s=yes")...)
		again := u.until("ACK ", "")
		if a, b := header(ack, "CSeq"), header(again, "CSeq"); a != b || strings.Fields(a)[0] != strings.Fields(header(req, "CSeq"))[0] {
			t.Errorf("INVITE %q, ACKs %q and %q", header(req, "CSeq"), a, b)
		}
		l.Hangup()
		u.answer(u.until("BYE ", ""), "200 OK")
	})
}

// RFC 3261 14.1: after a 491 the owner of the Call-ID tries again after 2.1 to 4 s,
// the other one within 2 s. Any other refusal leaves the session as it was.
func TestGlare(t *testing.T) {
	for _, side := range []string{"caller's", "ours"} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			var l *Leg
			var u *uac
			var srv *Stack
			least, most := time.Duration(0), 2*time.Second
			if side == "ours" {
				var d *Dialing
				var invite string
				srv, u, d, invite = calling(t, n, Options{}, Outgoing{})
				u.answer(invite, "200 OK", sdp("v=0")...)
				u.until("ACK ", "")
				<-d.Done()
				l, least, most = d.Outcome().Leg, 2100*time.Millisecond, 4*time.Second
			} else {
				var legs chan *Leg
				srv, legs = answering(t, n, Options{})
				u = newUAC(t, n, callerAddr)
				u.call()
				l = <-legs
			}
			defer srv.Close()
			done := make(chan error, 1)
			go func() { _, err := l.Reoffer(t.Context(), []byte("v=0\r\n")); done <- err }()
			req := u.until("INVITE ", "")
			u.answer(req, "491 Request Pending")
			start := time.Now()
			u.until("ACK ", "")
			req = u.until("INVITE ", "")
			if w := time.Since(start); w < least || w > most {
				t.Errorf("Call-ID %s: tried again after %v, want %v to %v", side, w, least, most)
			}
			u.answer(req, "488 Not Acceptable Here")
			u.until("ACK ", "")
			var no *RefusedError
			if err := <-done; !errors.As(err, &no) || no.Code != 488 {
				t.Errorf("refused: %v", err)
			}
			if isClosed(l.Done()) {
				t.Error("the call is over")
			}
		})
	}
}

// While our re-INVITE is under way the peer's gets 491, an UPDATE with an offer, too
// (RFC 3261 14.2, RFC 3311 5.2); afterwards both are served.
func TestPeersChangeMeetsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		l.OnReoffer(func(offer []byte) ([]byte, int) { return []byte("v=0\r\ns=re\r\n"), 0 })
		done := make(chan error, 1)
		go func() { _, err := l.Reoffer(t.Context(), []byte("v=0\r\n")); done <- err }()
		ours := u.until("INVITE ", "")
		u.send("INVITE", 2, sdp("v=0")...)
		u.until("SIP/2.0 491", "2 INVITE")
		u.send("ACK", 2)
		u.send("UPDATE", 3, sdp("v=0")...)
		u.until("SIP/2.0 491", "3 UPDATE")
		u.answer(ours, "200 OK", sdp("v=0")...)
		u.until("ACK ", "")
		if err := <-done; err != nil {
			t.Error(err)
		}
		u.send("UPDATE", 4, sdp("v=0")...)
		if res := u.until("SIP/2.0 200", "4 UPDATE"); !strings.Contains(res, "s=re") || header(res, "Contact") == "" {
			t.Errorf("answer to UPDATE %q", res)
		}
		u.send("UPDATE", 5) // only says that it is there
		u.until("SIP/2.0 200", "5 UPDATE")
		u.send("INVITE", 6, sdp("v=0")...)
		u.until("SIP/2.0 200", "6 INVITE")
		u.send("ACK", 6)
		synctest.Wait()
	})
}

// A peer that says the dialog is gone, or nothing at all, has lost the call (RFC
// 3261 12.2.1.2).
func TestReinviteToADialogThatIsGone(t *testing.T) {
	for _, status := range []string{"481 Call/Transaction Does Not Exist", "408 Request Timeout", ""} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			srv, u, l := inCall(t, n)
			defer srv.Close()
			go func() { _, _ = l.Reoffer(t.Context(), []byte("v=0\r\n")) }()
			req := u.until("INVITE ", "")
			if status != "" {
				u.answer(req, status)
			}
			<-l.Done()
			if l.End().Cause != EndTransport {
				t.Errorf("%q: ended with %q", status, l.End().Cause)
			}
			u.answer(u.until("BYE ", ""), "200 OK")
			synctest.Wait()
			if srv.Calls() != 0 {
				t.Error("the dialog is left")
			}
		})
	}
}

// A trunk may ask for credentials within the dialog, too; the ACK to an INVITE with
// credentials carries them (RFC 3261 22.1).
func TestCredentialsWithinTheDialog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{Credentials: &Credentials{User: "us", Password: "secret"}})
		defer srv.Close()
		const challenge = `WWW-Authenticate: Digest realm="trunk", nonce="abc", algorithm=MD5`
		u.answer(invite, "401 Unauthorized", challenge)
		u.until("ACK ", "")
		invite = u.until("INVITE ", "")
		u.answer(invite, "200 OK", sdp("v=0")...)
		if a, b := header(u.until("ACK ", ""), "Authorization"), header(invite, "Authorization"); a == "" || a != b {
			t.Errorf("ACK with %q after INVITE with %q", a, b)
		}
		<-d.Done()
		d.Outcome().Leg.Hangup()
		u.answer(u.until("BYE ", ""), "401 Unauthorized", challenge)
		bye := u.until("BYE ", "")
		if !strings.Contains(header(bye, "Authorization"), `username="us"`) {
			t.Errorf("BYE again with %q", header(bye, "Authorization"))
		}
		u.answer(bye, "200 OK")
		synctest.Wait()
	})
}

// A trunk that calls us may challenge our BYE: it gets the answer that its gateways get,
// and another realm gets none.
func TestTrunkChallengesOurBye(t *testing.T) {
	for _, tc := range []struct {
		realm string
		sent  int
	}{{"carrier", 2}, {"elsewhere", 1}} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			tr := carrier
			tr.Outbound.Login = &Credentials{User: "we", Password: "secret", Realm: "carrier"}
			legs := make(chan *Leg, 1)
			srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{tr}},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}})
			defer srv.Close()
			u := newUAC(t, n, callerAddr)
			u.call()
			(<-legs).Hangup()
			u.answer(u.until("BYE ", ""), "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="`+tc.realm+`", nonce="abc", algorithm=MD5`)
			if tc.sent == 2 {
				bye := u.until("BYE ", "")
				if !strings.Contains(header(bye, "Proxy-Authorization"), `username="we"`) {
					t.Errorf("BYE again with %q", header(bye, "Proxy-Authorization"))
				}
				u.answer(bye, "200 OK")
			}
			time.Sleep(time.Minute)
			if got := len(n.sent(serverAddr, "BYE ")); got != tc.sent {
				t.Errorf("realm %s: %d BYEs, want %d", tc.realm, got, tc.sent)
			}
		})
	}
}

// Without credentials of the call's own a challenge stays unanswered: whoever asks
// gets nothing of ours.
func TestStrangersChallengeIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{})
		defer srv.Close()
		u.answer(invite, "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="x", nonce="abc"`)
		<-d.Done()
		if d.Outcome().Code != 407 || len(n.sent(serverAddr, "INVITE ")) != 1 {
			t.Errorf("outcome %+v after %d INVITEs", d.Outcome(), len(n.sent(serverAddr, "INVITE ")))
		}
		u.until("ACK ", "")
	})
}

// RFC 3326: what the peer says of why is kept; phones that ring in vain hear that
// the call was answered elsewhere.
func TestReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		u.send("BYE", 2, `Reason: Q.850;cause=16;text="Normal call clearing"`)
		<-l.Done()
		if got := l.End().Reason; got != `Q.850;cause=16;text="Normal call clearing"` {
			t.Errorf("reason %q", got)
		}
		one, two := newUAC(t, n, agentAddr), newUAC(t, n, "10.0.0.4:5060")
		c1, _ := srv.ContactTo("sip:a@" + agentAddr)
		c2, _ := srv.ContactTo("sip:a@10.0.0.4:5060")
		d := srv.Dial(Outgoing{Contacts: []Contact{c1, c2}, Offer: []byte("v=0\r\n"), Unreachable: -1})
		one.answer(one.until("INVITE ", ""), "180 Ringing")
		invite := two.until("INVITE ", "")
		two.answer(invite, "180 Ringing")
		two.answer(invite, "200 OK", sdp("v=0")...)
		<-d.Done()
		if got := header(one.until("CANCEL ", ""), "Reason"); got != reasonElsewhere {
			t.Errorf("CANCEL with reason %q", got)
		}
	})
}

// RFC 3261 12.2.1.1: a loose router stays in Route, a strict one comes into the
// Request-URI and the peer's target last into Route; either way the request goes there.
func TestRouteSets(t *testing.T) {
	for _, tc := range []struct{ name, route, uri, routes string }{
		{"loose", "<sip:10.0.0.7:5060;lr>", "sip:x@10.0.0.2:5060", "<sip:10.0.0.7:5060;lr>"},
		{"strict", "<sip:10.0.0.7:5060>", "sip:10.0.0.7:5060", "<sip:x@10.0.0.2:5060>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				proxy := newUAC(t, n, "10.0.0.7:5060")
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, append([]string{"Record-Route: " + tc.route}, sdp("v=0")...)...)
				u.until("SIP/2.0 200", "1 INVITE")
				u.send("ACK", 1)
				l := <-legs
				<-l.Confirmed()
				l.Hangup()
				bye := proxy.until("BYE ", "")
				if got := strings.Fields(bye)[1]; got != tc.uri || header(bye, "Route") != tc.routes {
					t.Errorf("BYE to %q by %q", got, header(bye, "Route"))
				}
				proxy.reply(bye, "200 OK")
				synctest.Wait()
			})
		})
	}
}
