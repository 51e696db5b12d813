package sip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 3261 15.1.2: a BYE in an early dialog ends the call; the INVITE still gets
// its final answer.
func TestByeBeforeTheAnswerEndsTheInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		u.until("SIP/2.0 180", "")
		l := <-legs
		u.send("BYE", 2)
		u.until("SIP/2.0 200", "2 BYE")
		u.until("SIP/2.0 487", "1 INVITE")
		u.send("ACK", 1)
		<-l.Done()
		if l.End().Cause != EndRemoteBye {
			t.Errorf("ended with %q", l.End().Cause)
		}
		synctest.Wait()
		if srv.Calls() != 0 {
			t.Error("the dialog is left")
		}
	})
}

// Calls in progress are not work pending: registrations and pings go on.
func TestCallsInProgressAreNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{MaxPending: 1})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		<-(<-legs).Confirmed()
		ping := newUAC(t, n, agentAddr)
		ping.send("OPTIONS", 1)
		ping.until("SIP/2.0 200", "1 OPTIONS")
	})
}

func TestDigitsByInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		var keys []byte
		l := <-legs
		l.OnDigit(func(k byte) { keys = append(keys, k) })
		seq := 10
		info := func(status, kind string, body ...string) {
			t.Helper()
			seq++
			var lines []string
			if kind != "" {
				lines = append([]string{"Content-Type: " + kind, ""}, body...)
			}
			u.send("INFO", seq, lines...)
			u.until("SIP/2.0 "+status, fmt.Sprintf("%d INFO", seq))
		}
		info("200", "application/dtmf-relay", "Signal=5", "Duration=160")
		info("200", "Application/DTMF-Relay", "signal = *")
		info("200", "application/dtmf", "#")
		info("200", "application/dtmf-relay", "Signal=11")
		info("400", "application/dtmf-relay", "Signal=55")
		info("415", "application/media_control+xml", "<x/>")
		info("200", "")
		u.send("INFO", 3, "Content-Type: application/dtmf", "", "7") // older than what was seen
		u.until("SIP/2.0 500", "3 INFO")
		if string(keys) != "5*##" {
			t.Errorf("keys %q", keys)
		}
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// Whoever is turned away leaves nothing behind and is answered once for each
// request: no transaction that lives for 32 s, and no 401 that is repeated
// eleven times to an address that may be somebody else's.
func TestRefusedStrangersAreNotRemembered(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		opt        Options
		headers    []string
	}{
		{"a challenge", "401", Options{Access: Access{Accounts: []Account{account(MD5)}}}, nil},
		{"an unknown source", "403", Options{}, nil},
		{"too much work", "503", Options{MaxCalls: -1}, nil},
		{"an extension we don't have", "420", Options{}, []string{"Require: nothing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, tc.opt)
				defer srv.Close()
				u := newUAC(t, n, "10.0.0.9:5060")
				u.send("INVITE", 1, append(slices.Clone(tc.headers), sdp("v=0")...)...)
				first := u.until("SIP/2.0 "+tc.want, "1 INVITE")
				time.Sleep(time.Minute)
				if got := len(n.sent(serverAddr, "SIP/2.0 "+tc.want)); got != 1 {
					t.Errorf("answered %d times, want once", got)
				}
				u.toTag = ""
				u.send("INVITE", 1, append(slices.Clone(tc.headers), sdp("v=0")...)...)
				again := u.until("SIP/2.0 "+tc.want, "1 INVITE")
				if header(first, "To") != header(again, "To") {
					t.Errorf("To tag changed: %q, %q", header(first, "To"), header(again, "To"))
				}
				u.send("ACK", 1)
			})
		})
	}
}

// Both sides hang up in the same moment: the BYEs cross, each is answered, and
// nobody keeps a leg.
func TestByesCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		for range 20 {
			d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
			<-d.Done()
			a, b := <-legs, d.Outcome().Leg
			<-a.Confirmed()
			go a.Hangup()
			go b.Hangup()
			<-a.Done()
			<-b.Done()
			synctest.Wait()
			if srv.Calls() != 0 || ua.Calls() != 0 {
				t.Fatalf("dialogs left: %d and %d", srv.Calls(), ua.Calls())
			}
		}
		time.Sleep(40 * time.Second)
		for _, addr := range []string{serverAddr, callerAddr} {
			sent := map[string]int{}
			for _, p := range n.sent(addr, "BYE ") {
				sent[header(p.text, "Call-ID")]++
			}
			for id, times := range sent {
				if times != 1 {
					t.Errorf("%s sent %d BYEs in %s, want 1", addr, times, id)
				}
			}
		}
	})
}

// The agent answers in the very moment that we give up: whichever was first, no
// leg is left on either side.
func TestAnswerAgainstHangup(t *testing.T) {
	for _, after := range []time.Duration{0, time.Nanosecond, 10 * time.Millisecond} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				legs := make(chan *Leg, 1)
				phone := memStack(t, n, agentAddr, Options{Access: Access{Trunks: []Trunk{anyTrunk}}, Handlers: Handlers{Invite: func(l *Leg) {
					l.Ring()
					time.Sleep(time.Second)
					_ = l.Answer([]byte("v=0\r\n"))
					legs <- l
				}}})
				defer phone.Close()
				srv := memStack(t, n, serverAddr, Options{})
				defer srv.Close()
				d := dialTo(t, srv, "sip:alice@10.0.0.3:5060")
				time.Sleep(time.Second + after)
				if l := d.Cancel(); l != nil {
					l.Hangup()
				}
				l := <-legs
				<-l.Done()
				synctest.Wait()
				if c := l.End().Cause; c != EndRemoteBye && c != EndRemoteCancel {
					t.Errorf("the phone's leg ended with %q", c)
				}
				if phone.Calls() != 0 || srv.Calls() != 0 {
					t.Errorf("dialogs left: phone %d, server %d", phone.Calls(), srv.Calls())
				}
			})
		}
	}
}

// Too many calls, and calls while draining: 503 with Retry-After, spread; calls
// in progress are not hurt.
func TestOverloadAndDrain(t *testing.T) {
	for _, why := range []string{"calls", "drain"} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, c := newMemNet(), newCounter()
				srv, legs := answering(t, n, Options{MaxCalls: 1, RetryAfter: 2 * time.Second, Observer: c})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.call()
				l := <-legs
				if why == "drain" {
					srv.opt.MaxCalls = 100
					srv.Drain()
				}
				for seq := range 30 {
					o := newUAC(t, n, callerAddr)
					o.callID += fmt.Sprint("other", seq)
					o.send("INVITE", 1, sdp("v=0")...)
					res := o.until("SIP/2.0 503", "1 INVITE")
					if r := header(res, "Retry-After"); r < "1" || r > "5" || len(r) != 1 {
						t.Errorf("Retry-After %q, want 1 to 5 s", r)
					}
				}
				if c.of("overload") != 30 {
					t.Errorf("counted %d, want 30", c.of("overload"))
				}
				u.c = n.listen(callerAddr)
				l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
				u.send("INVITE", 2, sdp("v=0")...)
				u.until("SIP/2.0 200", "2 INVITE")
				u.send("ACK", 2)
				u.send("BYE", 3)
				u.until("SIP/2.0 200", "3 BYE")
				<-l.Done()
			})
		})
	}
}

// A route set (RFC 3261 12.2.1.1): requests within the dialog go to the first
// route and carry all of them; the Contact becomes the Request-URI.
func TestRouteSetIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		proxy := n.listen("10.0.0.5:5060")
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, append([]string{"Record-Route: <sip:10.0.0.5;lr>", "Record-Route: <sip:10.0.0.6;lr>"}, sdp("v=0")...)...)
		res := u.until("SIP/2.0 200", "1 INVITE")
		if strings.Count(res, "Record-Route:") != 2 {
			t.Error("the 200 wants both Record-Route fields")
		}
		u.send("ACK", 1)
		l := <-legs
		<-l.Confirmed()
		l.Hangup()
		bye := (<-proxy.in).text
		if !strings.HasPrefix(bye, "BYE sip:x@10.0.0.2:5060 SIP/2.0\r\n") || strings.Count(bye, "Route: <sip:10.0.0.") != 2 ||
			strings.Index(bye, "10.0.0.5;lr") > strings.Index(bye, "10.0.0.6;lr") {
			t.Errorf("BYE %q", bye)
		}
	})
}

// After Close nothing starts any more, and nobody waits for ever.
func TestDialAfterCloseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		ua := memStack(t, n, callerAddr, Options{})
		c, _ := ua.ContactTo("sip:alice@10.0.0.3:5060")
		_ = ua.Close()
		d := ua.Dial(Outgoing{Contacts: []Contact{c, c}, FromUser: "1", ToUser: "alice"})
		<-d.Done()
		if o := d.Outcome(); o.Leg != nil || o.Cause != DialUnreachable {
			t.Errorf("%+v", o)
		}
		if d.Cancel() != nil {
			t.Error("a leg came out")
		}
	})
}

// Settle waits for the BYEs under way, and no longer than its context; legs may
// be hung up meanwhile.
func TestSettleWaitsForTheLastBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		srv.Settle(t.Context()) // nothing under way
		d1, d2 := dialTo(t, ua, "sip:1@10.0.0.1:5060"), dialTo(t, ua, "sip:2@10.0.0.1:5060")
		a, b := <-legs, <-legs
		<-d1.Done()
		<-d2.Done()
		<-a.Confirmed()
		<-b.Confirmed()
		n.lose(2, "BYE ") // answered at 0.5 s
		start := time.Now()
		a.Hangup()
		time.AfterFunc(100*time.Millisecond, b.Hangup)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		srv.Settle(short)
		if w := time.Since(start); w != 50*time.Millisecond {
			t.Errorf("gave up after %v", w)
		}
		srv.Settle(t.Context())
		if w := time.Since(start); w != 600*time.Millisecond {
			t.Errorf("settled after %v, want 600ms", w)
		}
	})
}

// Trap 8: a proxy between us and the phones forks our INVITE and sends us both
// answers. The first is the call, the second gets ACK and BYE, each time it comes.
func TestSecondAnswerOfAForkingProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{})
		defer srv.Close()
		proxy := &uac{t: t, c: n.listen(agentAddr), to: serverAddr}
		d := dialTo(t, srv, "sip:alice@10.0.0.3:5060")
		invite := proxy.until("INVITE ", "")
		answer := func(tag string) {
			proxy.raw(fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@10.0.0.3:5060>\r\nContent-Length: 0\r\n\r\n",
				header(invite, "Via"), header(invite, "From"), header(invite, "To"), tag, header(invite, "Call-ID"), header(invite, "CSeq"), tag))
		}
		answer("desk")
		proxy.until("ACK sip:desk@", "")
		<-d.Done()
		leg := d.Outcome().Leg
		for range 2 {
			answer("mobile")
			proxy.until("ACK sip:mobile@", "")
			proxy.reply(proxy.until("BYE sip:mobile@", ""), "200 OK")
		}
		answer("desk") // repeated: our ACK was lost
		proxy.until("ACK sip:desk@", "")
		if isClosed(leg.Done()) || srv.Calls() != 1 {
			t.Errorf("the call itself was touched: %d dialogs", srv.Calls())
		}
		leg.Hangup()
		proxy.reply(proxy.until("BYE sip:desk@", ""), "200 OK")
	})
}

// Trap 15: no more requests at once than max_pending; those beyond get 503, while
// answers, ACK and BYE of calls go through.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, c := newMemNet(), newCounter()
		hold := make(chan struct{})
		srv, _ := answering(t, n, Options{MaxPending: 2, Observer: c, Handlers: Handlers{Invite: func(l *Leg) {
			<-hold
			_ = l.Answer([]byte("v=0\r\n"))
		}}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		for i := range 5 {
			u.callID = fmt.Sprint("call", i)
			u.toTag = ""
			u.send("INVITE", 1, sdp("v=0")...)
			synctest.Wait()
		}
		if got := len(n.sent(serverAddr, "SIP/2.0 503")); got != 3 || c.of("overload") != 3 {
			t.Errorf("%d refused and %d counted, want 3", got, c.of("overload"))
		}
		u.send("BYE", 2)
		u.until("SIP/2.0 481", "2 BYE")
		close(hold)
		synctest.Wait()
		if got := len(n.sent(serverAddr, "SIP/2.0 200")); got != 2 {
			t.Errorf("%d answered, want 2", got)
		}
	})
}

// RFC 3261 17.2.1: 100 goes out when nothing else is said soon, and only then.
func TestTryingWhenNothingElseIsSaid(t *testing.T) {
	for _, tc := range []struct {
		name   string
		invite func(*Leg)
		want   string
	}{
		{"nothing for long", func(l *Leg) { time.Sleep(time.Second); _ = l.Answer([]byte("v=0\r\n")) }, "[100ms]"},
		{"answered at once", func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) }, "[]"},
		{"rings at once", func(l *Leg) { l.Ring(); time.Sleep(time.Second); _ = l.Answer([]byte("v=0\r\n")) }, "[]"},
		{"refused at once", func(l *Leg) { _ = l.Reject(404, "Not Found") }, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: tc.invite}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, sdp("v=0")...)
				time.Sleep(2 * time.Second)
				if got := times(n.sent(serverAddr, "SIP/2.0 100")); got != tc.want {
					t.Errorf("100 sent at %s, want %s", got, tc.want)
				}
				u.until("SIP/2.0 ", "1 INVITE")
				u.send("ACK", 1)
				synctest.Wait()
			})
		})
	}
}
