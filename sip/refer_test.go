package sip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// referring is a call whose REFERs are handed to the test.
func referring(t *testing.T, n *memNet) (*Stack, *uac, *Leg, chan *Referral) {
	t.Helper()
	srv, u, l := inCall(t, n)
	got := make(chan *Referral, 1)
	l.OnRefer(func(r *Referral) { got <- r })
	return srv, u, l, got
}

// RFC 3515, RFC 5589 6: a REFER is accepted, and NOTIFYs tell how it goes, in their
// order even where one is lost.
func TestReferAndItsNotifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l, got := referring(t, n)
		defer srv.Close()
		u.send("REFER", 2, `Refer-To: "Bob" <sip:%2B8613900000000@10.0.0.1;user=phone>`, "Referred-By: <sip:x@y>")
		r := <-got
		if r.To != "+8613900000000" || r.Replaces != nil {
			t.Errorf("referral %+v", r)
		}
		r.Accept()
		u.until("SIP/2.0 202", "2 REFER")
		trying := u.until("NOTIFY ", "")
		r.Progress(180, "Ringing")
		told := r.Done(200, "OK")
		if header(trying, "Event") != "refer;id=2" || !strings.HasPrefix(header(trying, "Subscription-State"), "active") ||
			!strings.HasPrefix(header(trying, "Content-Type"), "message/sipfrag") || !strings.HasSuffix(trying, "\r\n\r\nSIP/2.0 100 Trying\r\n") {
			t.Errorf("NOTIFY %q", trying)
		}
		again := u.until("NOTIFY ", "") // repeated, as the first isn't answered: the others wait
		if again != trying {
			t.Errorf("NOTIFY %q before the answer to the first", again)
		}
		u.answer(trying, "200 OK")
		ringing := u.until("NOTIFY ", "")
		if !strings.HasSuffix(ringing, "SIP/2.0 180 Ringing\r\n") {
			t.Errorf("then %q", ringing)
		}
		u.answer(ringing, "200 OK")
		last := u.until("NOTIFY ", "")
		if !strings.HasSuffix(last, "SIP/2.0 200 OK\r\n") || !strings.HasPrefix(header(last, "Subscription-State"), "terminated") {
			t.Errorf("last %q", last)
		}
		if isClosed(told) {
			t.Error("told before the NOTIFY was answered")
		}
		u.answer(last, "481 Subscription Does Not Exist") // some phones forget it at once; the call goes on
		<-told
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// What can't be done is refused at once, and the call goes on.
func TestRefersThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, status string
		lines        []string
	}{
		{"no target", "400", nil},
		{"two targets", "400", []string{"Refer-To: <sip:a@b>", "Refer-To: <sip:c@d>"}},
		{"no URI", "400", []string{"Refer-To: <>"}},
		{"a web page", "416", []string{"Refer-To: <http://example.com/>"}},
		{"another method", "403", []string{"Refer-To: <sip:a@b;method=BYE>"}},
		{"a call that isn't ours", "404", []string{"Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>"}},
		{"a Replaces without tags", "400", []string{"Refer-To: <sip:a@b?Replaces=x>"}},
		{"nobody decides", "500", []string{"Refer-To: <sip:a@b>"}},
		{"an extension we don't have", "420", []string{"Refer-To: <sip:a@b>", "Require: multiple-refer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, u, l, _ := referring(t, n)
				defer srv.Close()
				u.send("REFER", 2, tc.lines...)
				u.until("SIP/2.0 "+tc.status, "2 REFER")
				if isClosed(l.Done()) {
					t.Error("the call is over")
				}
			})
		})
	}
}

// Outside of a call, and where nobody asked for it, it is forbidden.
func TestReferFromStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("REFER", 1, "Refer-To: <sip:a@b>")
		u.until("SIP/2.0 403", "1 REFER")
		u.toTag = ""
		u.send("INVITE", 2, sdp("v=0")...)
		u.until("SIP/2.0 200", "2 INVITE")
		u.send("ACK", 2)
		<-(<-legs).Confirmed()
		u.send("REFER", 3, "Refer-To: <sip:a@b>")
		u.until("SIP/2.0 403", "3 REFER")
	})
}

// RFC 4488: whoever wants no NOTIFY gets none.
func TestReferWithoutSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, _, got := referring(t, n)
		defer srv.Close()
		u.send("REFER", 2, "r: <sip:bob@10.0.0.1>", "Refer-Sub: false")
		r := <-got
		r.Accept()
		if res := u.until("SIP/2.0 200", "2 REFER"); header(res, "Refer-Sub") != "false" {
			t.Errorf("answered %q", res)
		}
		<-r.Done(603, "Decline")
		synctest.Wait()
		if got := len(n.sent(serverAddr, "NOTIFY ")); got != 0 {
			t.Errorf("%d NOTIFYs", got)
		}
	})
}

// An attended transfer names another call of ours, with the tags either way round.
func TestReferWithReplaces(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			srv, u, _, got := referring(t, n)
			defer srv.Close()
			legs := make(chan *Leg, 1)
			srv.opt.Handlers.Invite = func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }
			other := &uac{t: t, c: u.c, to: serverAddr, callID: "other"}
			other.call()
			l := <-legs
			to, from := other.toTag, "u"
			if swapped {
				to, from = from, to
			}
			u.send("REFER", 2, fmt.Sprintf("Refer-To: <sip:bob@10.0.0.1?Replaces=other%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s>", to, from))
			r := <-got
			if r.Replaces != l {
				t.Errorf("swapped %t: replaces %v, want %v", swapped, r.Replaces, l)
			}
			r.Refuse(603, "Decline")
			u.until("SIP/2.0 603", "2 REFER")
		})
	}
}

// Our own REFER: the peer takes the call off our hands, or doesn't.
func TestWeRefer(t *testing.T) {
	for _, tc := range []struct {
		name, status, fragment string
		code                   int
		refused                int
	}{
		{"done", "202 Accepted", "SIP/2.0 200 OK", 200, 0},
		{"the target is busy", "202 Accepted", "SIP/2.0 486 Busy Here", 486, 0},
		{"the peer can't", "405 Method Not Allowed", "", 0, 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, u, l, _ := referring(t, n)
				defer srv.Close()
				type result struct {
					code int
					err  error
				}
				got := make(chan result, 1)
				go func() { code, err := l.Refer(t.Context(), "sip:+861095588@10.0.0.2"); got <- result{code, err} }()
				req := u.until("REFER ", "")
				if header(req, "Refer-To") != "<sip:+861095588@10.0.0.2>" || header(req, "Referred-By") == "" {
					t.Errorf("REFER %q", req)
				}
				u.answer(req, tc.status)
				if tc.fragment != "" {
					u.send("NOTIFY", 2, "Event: refer", "Subscription-State: active", "Content-Type: message/sipfrag", "", "SIP/2.0 100 Trying")
					u.until("SIP/2.0 200", "2 NOTIFY")
					u.send("NOTIFY", 3, "Event: refer;id=99", "Content-Type: message/sipfrag", "", "SIP/2.0 200 OK")
					u.until("SIP/2.0 481", "3 NOTIFY")
					u.send("NOTIFY", 4, "Event: presence")
					u.until("SIP/2.0 489", "4 NOTIFY")
					u.send("NOTIFY", 5, "o: refer;id="+strings.Fields(header(req, "CSeq"))[0], "Content-Type: message/sipfrag", "", tc.fragment)
					u.until("SIP/2.0 200", "5 NOTIFY")
				}
				r := <-got
				var no *RefusedError
				if r.code != tc.code || tc.refused != 0 && (!errors.As(r.err, &no) || no.Code != tc.refused) || tc.refused == 0 && r.err != nil {
					t.Errorf("came out with %d, %v", r.code, r.err)
				}
			})
		})
	}
}

// RFC 3891 3: which call an INVITE may replace.
func TestInviteWithReplaces(t *testing.T) {
	for _, tc := range []struct {
		name, header, status string
	}{
		{"a call", "Replaces: uac-%s;to-tag=%s;from-tag=u", "200"},
		{"only an early one", "Replaces: uac-%s;to-tag=%s;from-tag=u;early-only", "486"},
		{"nothing we know", "Replaces: x%s;to-tag=%s;from-tag=u", "481"},
		{"no tags", "Replaces: x%s%s", "400"},
		{"a join too", "Replaces: uac-%s;to-tag=%s;from-tag=u\r\nJoin: a;to-tag=1;from-tag=2", "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.call()
				first := <-legs
				other := &uac{t: t, c: u.c, to: serverAddr, callID: "other"}
				other.send("INVITE", 1, append([]string{"Require: replaces", fmt.Sprintf(tc.header, callerAddr, u.toTag)}, sdp("v=0")...)...)
				other.until("SIP/2.0 "+tc.status, "1 INVITE")
				other.send("ACK", 1)
				if tc.status == "200" {
					if r := (<-legs).Incoming().Replaces; r == nil || r.Leg != first || r.EarlyOnly {
						t.Errorf("replaces %+v, want %v", r, first)
					}
				}
				time.Sleep(time.Second)
				if isClosed(first.Done()) {
					t.Error("the first call is over")
				}
			})
		})
	}
}

// The readers of what peers write never fail on anything.
func FuzzCallFields(f *testing.F) {
	f.Add("a@b;to-tag=1;from-tag=2;early-only", "1800;refresher=uac", "1 2 INVITE", "SIP/2.0 200 OK")
	f.Add(";;;=", "-1", "   ", "SIP/2.0")
	f.Fuzz(func(t *testing.T, replaces, session, rack, frag string) {
		if d, ok := readReplaces(replaces); ok && (d.callID == "" || d.toTag == "" || d.fromTag == "") {
			t.Errorf("replaces %q read as %+v", replaces, d)
		}
		param(session, "refresher")
		(&Leg{}).acknowledged(rack)
		if code, ok := fragment([]byte(frag)); ok && (code < 100 || code > 699) {
			t.Errorf("fragment %q has code %d", frag, code)
		}
	})
}

// A trunk may challenge our REFER; its NOTIFYs name the second one.
func TestOurReferIsChallenged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{Credentials: &Credentials{User: "us", Password: "secret"}})
		defer srv.Close()
		u.answer(invite, "200 OK", sdp("v=0")...)
		u.until("ACK ", "")
		<-d.Done()
		got := make(chan int, 1)
		go func() { code, _ := d.Outcome().Leg.Refer(t.Context(), "sip:+861095588@10.0.0.3"); got <- code }()
		u.answer(u.until("REFER ", ""), "401 Unauthorized", `WWW-Authenticate: Digest realm="trunk", nonce="abc", algorithm=MD5`)
		req := u.until("REFER ", "")
		u.answer(req, "202 Accepted")
		u.within(invite, "NOTIFY", 1, "Event: refer;id="+strings.Fields(header(req, "CSeq"))[0], "Content-Type: message/sipfrag", "", "SIP/2.0 200 OK")
		u.until("SIP/2.0 200", "1 NOTIFY")
		if code := <-got; code != 200 {
			t.Errorf("came out with %d", code)
		}
	})
}
