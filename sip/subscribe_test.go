package sip

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"
)

// watching is a server whose agents alice and bob may watch each other and, by 802, bob;
// and alice's phone.
func watching(t *testing.T, n *memNet, opt Options) (*Stack, *uac) {
	t.Helper()
	opt.Access.Accounts = []Account{{Credentials{User: "alice", Password: "pw"}}, {Credentials{User: "bob", Password: "pw"}}}
	opt.Handlers.Watch = func(agent, dialled string, e Event) (string, bool) {
		if dialled == "802" {
			dialled = "bob"
		}
		return dialled, dialled == "bob" || dialled == "alice" && agent == "alice"
	}
	return memStack(t, n, serverAddr, opt), newUAC(t, n, agentAddr)
}

// subscribe sends a SUBSCRIBE of alice's, with credentials, and returns its answer.
func (u *uac) subscribe(to string, seq int, status string, lines ...string) string {
	u.t.Helper()
	return u.request("SUBSCRIBE", "alice", to, seq, status, lines...)
}

// request sends a request of a user's to a name and answers the challenge to it.
func (u *uac) request(method, user, to string, seq int, status string, lines ...string) string {
	u.t.Helper()
	uri := "sip:" + to + "@10.0.0.1"
	send := func(seq int, more string) {
		tag := ""
		if u.toTag != "" {
			tag = ";tag=" + u.toTag
		}
		u.raw(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\r\nFrom: <sip:%s@10.0.0.1>;tag=u\r\nTo: <%s>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:%s@%s>\r\n%s%sContent-Length: 0\r\n\r\n",
			method, uri, u.c.addr, u.callID, seq, user, uri, tag, u.callID, seq, method, user, u.c.addr, more, strings.Join(append(lines, ""), "\r\n")))
	}
	was := u.toTag
	send(seq, "")
	res := u.until("SIP/2.0 ", fmt.Sprintf("%d %s", seq, method))
	u.toTag = was
	if strings.HasPrefix(res, "SIP/2.0 401") {
		chal, err := digest.ParseChallenge(header(res, "WWW-Authenticate"))
		if err != nil {
			u.t.Fatal(err)
		}
		cred, err := digest.Digest(chal, digest.Options{Method: method, URI: uri, Username: user, Password: "pw", Count: 1})
		if err != nil {
			u.t.Fatal(err)
		}
		send(seq+1, "Authorization: "+cred.String()+"\r\n")
		res = u.until("SIP/2.0 ", fmt.Sprintf("%d %s", seq+1, method))
	}
	if !strings.HasPrefix(res, "SIP/2.0 "+status) {
		u.t.Fatalf("%s answered %q, want %s", method, res, status)
	}
	return res
}

// notified waits for the next NOTIFY and answers it.
func (u *uac) notified(status string) string {
	u.t.Helper()
	req := u.until("NOTIFY ", "")
	u.reply(req, status)
	return req
}

func body(msg string) string { _, b, _ := strings.Cut(msg, "\r\n\r\n"); return b }

// RFC 6665 4.2.1, RFC 4235: the state at once, then each change; an end when it is
// asked for.
func TestBusyLamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		res := u.subscribe("802", 1, "200", "Event: dialog;id=7", "Accept: application/dialog-info+xml", "Expires: 300")
		if header(res, "Expires") != "300" || header(res, "Contact") == "" || header(res, "Allow-Events") != "dialog, presence, message-summary" {
			t.Errorf("answered %q", res)
		}
		first := u.notified("200 OK")
		if header(first, "Event") != "dialog;id=7" || header(first, "Subscription-State") != "active;expires=300" || header(first, "Contact") == "" ||
			!strings.HasPrefix(first, "NOTIFY sip:alice@10.0.0.3:5060 SIP/2.0") || header(first, "Content-Type") != "application/dialog-info+xml" ||
			!strings.HasSuffix(header(first, "From"), ";tag="+u.toTag) || header(first, "To") != "<sip:alice@10.0.0.1>;tag=u" {
			t.Errorf("first %q", first)
		}
		said := []string{body(first)}
		for _, p := range []Presentity{
			{Call: CallRinging, Incoming: true, Open: true}, {Call: CallConfirmed, Incoming: true, Open: true},
			{Open: true}, {Call: CallConfirmed, Open: true},
		} {
			time.Sleep(time.Second)
			srv.Publish("bob", p)
			said = append(said, body(u.notified("200 OK")))
		}
		golden(t, "testdata/dialog-info.golden", strings.Join(said, ""))
		srv.Publish("bob", Presentity{Call: CallConfirmed, Note: "elsewhere"})
		srv.Publish("alice", Presentity{Call: CallConfirmed})
		time.Sleep(time.Second)
		if got := len(n.sent(serverAddr, "NOTIFY ")); got != 5 {
			t.Errorf("%d NOTIFYs, want 5: what isn't in the document isn't told", got)
		}
		u.subscribe("802", 3, "200", "Event: dialog;id=7", "Expires: 0")
		if last := u.notified("200 OK"); header(last, "Subscription-State") != "terminated;reason=timeout" || !strings.Contains(body(last), `version="5"`) {
			t.Errorf("last %q", last)
		}
		synctest.Wait()
		if srv.Subscriptions() != 0 {
			t.Error("the subscription is still there")
		}
		u.subscribe("802", 5, "481", "Event: dialog;id=7")
	})
}

// golden compares with a file under testdata, after it has been read as XML.
func golden(t *testing.T, file, got string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(got, `<?xml version="1.0" encoding="UTF-8"?>`, "")))
	for {
		if _, err := d.Token(); err != nil {
			if err.Error() != "EOF" {
				t.Errorf("not XML: %v", err)
			}
			break
		}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 writes it):\n%s", file, got)
	}
}

// RFC 3863: ready, on break, gone; what people wrote is escaped.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		u.subscribe("bob", 1, "200", "o: presence")
		said := body(u.notified("200 OK"))
		for _, p := range []Presentity{{Open: true}, {Note: `break: "lunch" & <tea>`}, {}} {
			time.Sleep(time.Second)
			srv.Publish("bob", p)
			said += body(u.notified("200 OK"))
		}
		golden(t, "testdata/pidf.golden", said)
	})
}

// RFC 3842: nobody has left a message.
func TestMessagesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		u.subscribe("alice", 1, "200", "Event: message-summary")
		if got := u.notified("200 OK"); body(got) != "Messages-Waiting: no\r\nMessage-Account: sip:alice@10.0.0.1\r\n" || header(got, "Content-Type") != "application/simple-message-summary" {
			t.Errorf("told %q", got)
		}
	})
}

// What can't be had is refused as RFC 6665 4.2.1 says, and nothing is kept.
func TestSubscriptionsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, to, status string
		lines            []string
	}{
		{"no event", "bob", "489", nil},
		{"an unknown event", "bob", "489", []string{"Event: conference"}},
		{"of a transfer", "bob", "489", []string{"Event: refer"}},
		{"nobody of that name", "eve", "404", []string{"Event: dialog"}},
		{"too short", "bob", "423", []string{"Event: dialog", "Expires: 59"}},
		{"no number", "bob", "400", []string{"Event: dialog", "Expires: soon"}},
		{"documents that we don't write", "bob", "406", []string{"Event: dialog", "Accept: text/plain, application/pidf+xml"}},
		{"a list", "bob", "420", []string{"Event: presence", "Require: eventlist"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, u := watching(t, n, Options{})
				defer srv.Close()
				res := u.subscribe(tc.to, 1, tc.status, tc.lines...)
				if tc.status == "489" && header(res, "Allow-Events") == "" || tc.status == "423" && header(res, "Min-Expires") != "60" {
					t.Errorf("answered %q", res)
				}
				time.Sleep(time.Minute)
				if srv.Subscriptions() != 0 || len(n.sent(serverAddr, "NOTIFY ")) != 0 {
					t.Error("something came of it")
				}
			})
		})
	}
}

// Only accounts may watch: no stranger, and no trunk.
func TestStrangersWatchNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		trunk := Trunk{Name: "t", Credentials: &Credentials{User: "trunk", Password: "pw"}}
		srv, u := watching(t, n, Options{Access: Access{Trunks: []Trunk{carrier, trunk}}})
		defer srv.Close()
		u.request("SUBSCRIBE", "eve", "bob", 1, "401", "Event: dialog")
		u.toTag = ""
		u.request("SUBSCRIBE", "trunk", "bob", 3, "403", "Event: dialog")
		u.toTag = ""
		u.send("SUBSCRIBE", 5, "Event: dialog")
		u.until("SIP/2.0 401", "5 SUBSCRIBE")
		c := newUAC(t, n, callerAddr)
		c.send("SUBSCRIBE", 5, "Event: dialog")
		c.until("SIP/2.0 401", "5 SUBSCRIBE")
		if srv.Subscriptions() != 0 {
			t.Error("somebody watches")
		}
	})
}

// A change is told at once; of many, one NOTIFY per 250 ms, and the last state counts;
// while one isn't answered the others wait.
func TestChangesAreToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		u.subscribe("bob", 1, "200", "Event: dialog")
		u.notified("200 OK")
		time.Sleep(notifyEvery)
		synctest.Wait()
		start := time.Since(n.t0)
		for i := range 100 { // 10 ms apart: a second
			call := CallRinging
			if i%2 == 1 {
				call = CallConfirmed
			}
			srv.Publish("bob", Presentity{Call: call})
			synctest.Wait()
			if len(u.c.in) > 0 && i < 60 {
				u.notified("200 OK")
			}
			time.Sleep(10 * time.Millisecond)
		}
		var at []string
		for _, p := range n.sent(serverAddr, "NOTIFY ")[1:] {
			at = append(at, (p.at - start).String())
		}
		if got := fmt.Sprint(at); got != "[0s 250ms 500ms 750ms]" {
			t.Errorf("told at %s", got)
		}
		// The last one isn't answered: it is repeated, and nothing new said.
		pending := u.until("NOTIFY ", "")
		if again := u.until("NOTIFY ", ""); again != pending {
			t.Errorf("%q before the answer to %q", again, pending)
		}
		u.reply(pending, "200 OK")
		if last := u.notified("200 OK"); !strings.Contains(last, "confirmed") {
			t.Errorf("at last %q", last)
		}
	})
}

// RFC 6665 4.2.2, 4.1.3: who doesn't want it any more, or is gone, isn't told again;
// what nobody prolongs ends.
func TestSubscriptionsEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(srv *Stack, u *uac)
		want string // the last NOTIFY's state
		left int
	}{
		{"expired", func(_ *Stack, _ *uac) { time.Sleep(300 * time.Second) }, "terminated;reason=timeout", 0},
		{"one tick before", func(_ *Stack, _ *uac) { time.Sleep(300*time.Second - 1) }, "active;expires=300", 1},
		{"prolonged", func(_ *Stack, u *uac) {
			time.Sleep(250 * time.Second)
			u.subscribe("bob", 3, "200", "Event: dialog", "Expires: 300")
			u.notified("200 OK")
			time.Sleep(299 * time.Second)
		}, "active;expires=300", 1},
		{"the phone knows it no more", func(srv *Stack, u *uac) {
			srv.Publish("bob", Presentity{Call: CallRinging})
			u.notified("481 Subscription Does Not Exist")
		}, "active;expires=300", 0},
		{"the phone is busy for a moment", func(srv *Stack, u *uac) {
			srv.Publish("bob", Presentity{Call: CallRinging})
			u.notified("500 Server Internal Error")
		}, "active;expires=300", 1},
		{"the phone is gone", func(srv *Stack, _ *uac) {
			srv.Publish("bob", Presentity{Call: CallRinging})
			time.Sleep(notifyEvery + timeout)
		}, "active;expires=300", 0},
		{"the server goes", func(srv *Stack, _ *uac) { srv.Drain() }, "terminated;reason=deactivated", 0},
		{"the watcher's account goes", func(srv *Stack, _ *uac) {
			srv.SetAccess(Access{Accounts: []Account{{Credentials{User: "bob", Password: "pw"}}}})
		}, "terminated;reason=rejected", 0},
		{"the watched account goes", func(srv *Stack, _ *uac) {
			srv.SetAccess(Access{Accounts: []Account{{Credentials{User: "alice", Password: "pw"}}}})
		}, "terminated;reason=noresource", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, u := watching(t, n, Options{})
				defer srv.Close()
				u.subscribe("bob", 1, "200", "Event: dialog", "Expires: 300")
				u.notified("200 OK")
				synctest.Wait()
				tc.run(srv, u)
				synctest.Wait()
				all := n.sent(serverAddr, "NOTIFY ")
				if got := header(all[len(all)-1].text, "Subscription-State"); got != tc.want {
					t.Errorf("last NOTIFY says %q, want %q", got, tc.want)
				}
				for len(u.c.in) > 0 && strings.HasPrefix(tc.want, "terminated") {
					u.notified("200 OK")
				}
				synctest.Wait()
				if srv.Subscriptions() != tc.left {
					t.Errorf("%d subscriptions left, want %d", srv.Subscriptions(), tc.left)
				}
			})
		})
	}
}

// A phone that moved is told at its new address, by its route set if there is one.
func TestSubscriptionFollowsItsPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		u.subscribe("bob", 1, "200", "Event: dialog")
		u.notified("200 OK")
		moved := newUAC(t, n, "10.0.0.9:5070")
		moved.callID, moved.toTag = u.callID, u.toTag
		moved.subscribe("bob", 3, "200", "Event: dialog")
		if got := moved.notified("200 OK"); !strings.HasPrefix(got, "NOTIFY sip:alice@10.0.0.9:5070 ") {
			t.Errorf("told %q", got)
		}
		moved.subscribe("bob", 2, "500", "Event: dialog") // behind its time
		moved.subscribe("bob", 7, "403", "Event: presence")

		routed := newUAC(t, n, "10.0.0.8:5060")
		proxy := newUAC(t, n, "10.0.0.7:5060")
		routed.subscribe("bob", 1, "200", "Event: dialog", "Record-Route: <sip:10.0.0.7;lr>")
		if got := proxy.notified("200 OK"); header(got, "Route") != "<sip:10.0.0.7;lr>" {
			t.Errorf("by the proxy %q", got)
		}
	})
}

// A phone behind NAT is told where its SUBSCRIBE came from, not at its Contact.
func TestSubscriptionBehindNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		const outside = "203.0.113.7:40000"
		n.nat = map[string]string{agentAddr: outside}
		n.conns[outside] = u.c
		u.subscribe("bob", 1, "200", "Event: dialog")
		if got := u.notified("200 OK"); !strings.HasPrefix(got, "NOTIFY sip:alice@10.0.0.3:5060 ") || n.sent(serverAddr, "NOTIFY ")[0].to != outside {
			t.Errorf("told at %s: %q", n.sent(serverAddr, "NOTIFY ")[0].to, got)
		}
	})
}

// The limits: an agent's oldest gives way, and of all there are only so many.
func TestTooManySubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		c := newCounter()
		srv, u := watching(t, n, Options{MaxPerAgent: 2, MaxSubscriptions: 3, Observer: c})
		defer srv.Close()
		for i, id := range []string{"a", "b", "c"} {
			u.callID, u.toTag = id, ""
			u.subscribe("bob", 1, "200", "Event: dialog")
			first := u.notified("200 OK")
			if i < 2 {
				continue
			}
			if header(first, "Call-ID") != "a" { // in either order
				first = u.notified("200 OK")
			}
			if header(first, "Call-ID") != "a" || header(first, "Subscription-State") != "terminated;reason=giveup;retry-after=300" {
				t.Errorf("the oldest is told %q", first)
			}
		}
		synctest.Wait()
		if srv.Subscriptions() != 2 {
			t.Errorf("%d subscriptions, want 2", srv.Subscriptions())
		}
		for i, status := range []string{"200", "503"} {
			u.callID, u.toTag = fmt.Sprint("bob", i), ""
			res := u.request("SUBSCRIBE", "bob", "bob", 1, status, "Event: dialog")
			if status == "503" && header(res, "Retry-After") == "" {
				t.Errorf("refused with %q", res)
			}
		}
		if c.of("subscriptions") != 1 {
			t.Errorf("counted %v", c.refused)
		}
	})
}

// Somebody who only looks once is told once.
func TestStateIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		srv.Publish("bob", Presentity{Call: CallConfirmed})
		u.subscribe("bob", 1, "200", "Event: dialog", "Expires: 0")
		if got := u.notified("200 OK"); header(got, "Subscription-State") != "terminated;reason=timeout" || !strings.Contains(got, "confirmed") {
			t.Errorf("told %q", got)
		}
		synctest.Wait()
		if srv.Subscriptions() != 0 {
			t.Error("it stayed")
		}
		u.toTag = ""
		u.send("OPTIONS", 9)
		if res := u.until("SIP/2.0 200", "9 OPTIONS"); header(res, "Allow-Events") == "" || !strings.Contains(header(res, "Allow"), "SUBSCRIBE") {
			t.Errorf("OPTIONS answered %q", res)
		}
	})
}

// Settle waits for the last words, so that a server that stops has said them.
func TestSettleWaitsForTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u := watching(t, n, Options{})
		defer srv.Close()
		u.subscribe("bob", 1, "200", "Event: dialog")
		u.notified("200 OK")
		synctest.Wait()
		srv.Drain()
		settled := make(chan struct{})
		go func() { srv.Settle(t.Context()); close(settled) }()
		synctest.Wait()
		if isClosed(settled) {
			t.Error("settled before the NOTIFY was answered")
		}
		u.notified("200 OK")
		<-settled
		u.toTag = ""
		u.callID = "late"
		u.subscribe("bob", 1, "503", "Event: dialog")
	})
}
