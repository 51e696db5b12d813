package sip

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// In an overload new work gets 503 at once, and everything of a call in progress, or
// that is about to be one, is served.
func TestCallsInProgressAreServedInOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, count := newMemNet(), newCounter()
		legs := make(chan *Leg, 4)
		srv, _ := answering(t, n, Options{Observer: count, Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		u, early := newUAC(t, n, callerAddr), newUAC(t, n, "10.0.0.2:5062")
		u.send("INVITE", 1, sdp("v=0")...)
		u.until("SIP/2.0 180", "")
		talking := <-legs
		_ = talking.Answer([]byte("v=0\r\n"))
		u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		early.callID += "early"
		early.send("INVITE", 1, sdp("v=0")...)
		early.until("SIP/2.0 180", "")
		ringing := <-legs
		overload(srv)

		for _, method := range []string{"INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE"} {
			o := newUAC(t, n, "10.0.0.2:5064")
			o.callID += method
			o.send(method, 1)
			res := o.until("SIP/2.0 503", "1 "+method)
			if r := header(res, "Retry-After"); r < "1" || r > "5" || len(r) != 1 {
				t.Errorf("%s: Retry-After %q, want 1 to 5 s", method, r)
			}
			if method == "INVITE" {
				o.send("ACK", 1)
			}
		}
		synctest.Wait()
		if count.of("overload") != 5 || srv.pending.Load() > 2 {
			t.Errorf("%d refused, %d pending", count.of("overload"), srv.pending.Load())
		}

		before := len(n.sent(serverAddr, "SIP/2.0 503"))
		early.send("INVITE", 1, sdp("v=0")...) // again: the network has lost our 180
		synctest.Wait()
		if got := len(n.sent(serverAddr, "SIP/2.0 503")); got != before {
			t.Error("the INVITE of a call that rings was refused when it came again")
		}
		invite := n.sent("10.0.0.2:5062", "INVITE ")[0].text
		head, _, _ := strings.Cut(invite, "Content-Type")
		_, _ = early.c.WriteTo([]byte(strings.ReplaceAll(strings.Replace(head, "INVITE", "CANCEL", 1), "1 INVITE", "1 CANCEL")+"Content-Length: 0\r\n\r\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
		early.until("SIP/2.0 200", "1 CANCEL")
		early.until("SIP/2.0 487", "1 INVITE")
		<-ringing.Done()
		u.send("INFO", 2)
		u.until("SIP/2.0 200", "2 INFO")
		u.send("BYE", 3)
		u.until("SIP/2.0 200", "3 BYE")
		<-talking.Done()
	})
}

// In an overload a VIP trunk and an agent's registered phone are let in, others aren't;
// a trunk that is alone is told no time to come again.
func TestWhoIsLetInInOverload(t *testing.T) {
	const vipAddr, soleAddr = "10.0.1.2:5060", "10.0.2.2:5060"
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{
			{Name: "vip", VIP: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}},
			{Name: "sole", SoleUpstream: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}},
		}}, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy Here") }}})
		defer srv.Close()
		phone := memStack(t, n, agentAddr, Options{})
		defer phone.Close()
		if _, err := phone.Register(t.Context(), "sip:10.0.0.1:5060", account(MD5).Credentials, time.Minute); err != nil {
			t.Fatal(err)
		}
		overload(srv)
		for _, tc := range []struct{ from, want, retry string }{
			{vipAddr, "486", ""}, {callerAddr, "503", "told"}, {soleAddr, "503", ""},
		} {
			u := newUAC(t, n, tc.from)
			u.send("INVITE", 1, sdp("v=0")...)
			res := u.until("SIP/2.0 "+tc.want, "1 INVITE")
			if (header(res, "Retry-After") != "") != (tc.retry != "") {
				t.Errorf("%s: Retry-After %q", tc.from, header(res, "Retry-After"))
			}
			u.send("ACK", 1)
		}
		// The phone's own stack has the port; it refreshes what it has.
		if _, err := phone.Register(t.Context(), "sip:10.0.0.1:5060", account(MD5).Credentials, time.Minute); err != nil {
			t.Errorf("an agent's phone: %v", err)
		}
	})
}

// What has proved its address goes before what may be forged.
func TestStanding(t *testing.T) {
	srv := realStack(t, "udp", Options{Access: Access{Accounts: []Account{account(MD5)}}})
	from := netip.MustParseAddrPort("192.0.2.9:5060")
	credentials := func(nonce string) *glance {
		g := look(fmt.Appendf(nil, "REGISTER sip:x SIP/2.0\r\nAuthorization: Digest username=\"a\", nonce=\"%s\"\r\n\r\n", nonce))
		return &g
	}
	if got := srv.standing(credentials(srv.auth.nonce(time.Now(), prefixOf(from.Addr()))), from, nil); got != familiar {
		t.Errorf("an answer to our challenge: %d", got)
	}
	for _, nonce := range []string{"", "made-up", srv.auth.nonce(time.Now(), prefixOf(netip.MustParseAddr("192.0.2.10"))), srv.auth.nonce(time.Now().Add(-time.Hour), prefixOf(from.Addr()))} {
		if got := srv.standing(credentials(nonce), from, nil); got != stranger {
			t.Errorf("nonce %q: %d", nonce, got)
		}
	}
	srv.flood.known.add(from.Addr(), time.Now())
	if got := srv.standing(credentials(""), from, nil); got != familiar {
		t.Errorf("somebody who showed a password: %d", got)
	}
	if got := srv.standing(credentials(""), netip.MustParseAddrPort("192.0.2.10:5060"), nil); got != stranger {
		t.Errorf("his neighbour: %d", got)
	}
}

// A trunk that is known by its password is one where it has shown that: what its settings say of refusals counts.
func TestTrunkThatHasShownItsPassword(t *testing.T) {
	pbx := Trunk{Name: "pbx", Credentials: &Credentials{User: "pbx", Password: "x", Algorithm: MD5}, SoleUpstream: true, VIP: true}
	srv := realStack(t, "udp", Options{RetryAfter: 2 * time.Second, Access: Access{Trunks: []Trunk{pbx}}})
	invite := request("INVITE", netip.MustParseAddrPort("192.0.2.9:5060"), 1)
	g := look(invite)
	for _, tc := range []struct {
		from  string
		who   standing
		later bool
	}{{"192.0.2.9:5060", favoured, false}, {"192.0.2.9:5062", stranger, true}, {"192.0.2.9:5064", stranger, true}, {"192.0.2.10:5060", stranger, true}} {
		srv.peers.note(netip.MustParseAddrPort("192.0.2.9:5060"), "pbx", true)
		srv.peers.note(netip.MustParseAddrPort("192.0.2.9:5064"), "pbx", false) // a gateway's: anybody could say he is there
		from := netip.MustParseAddrPort(tc.from)
		if got := srv.standing(&g, from, nil); got != tc.who {
			t.Errorf("%s has the standing %d, want %d", tc.from, got, tc.who)
		}
		if res := string(srv.shed(nil, invite, srv.trunkFrom(from, nil))); strings.Contains(res, "Retry-After") != tc.later {
			t.Errorf("%s is answered %q", tc.from, res)
		}
	}
}

// Each of the times is as likely, the first one too.
func TestRetryAfterIsSpread(t *testing.T) {
	for _, tc := range []struct {
		after       time.Duration
		least, most int
	}{{2 * time.Second, 1, 5}, {time.Second, 1, 2}, {time.Millisecond, 1, 1}, {10 * time.Second, 5, 25}} {
		srv := realStack(t, "udp", Options{RetryAfter: tc.after})
		seen := map[string]int{}
		for range 10_000 {
			seen[srv.retryAfter(nil)]++
		}
		for i := tc.least; i <= tc.most; i++ {
			if n := seen[strconv.Itoa(i)]; n < 8000/(tc.most-tc.least+1) {
				t.Errorf("%v: %d came %d times", tc.after, i, n)
			}
		}
		if len(seen) != tc.most-tc.least+1 {
			t.Errorf("%v: %v", tc.after, seen)
		}
	}
}

// Over a stream new work is refused in the same way, and the connection goes on.
func TestOverloadOnAStream(t *testing.T) {
	srv := realStack(t, "tcp", Options{})
	c := slowClients(t, srv.Addr(0), 1, "")[0]
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	overload(srv)
	for range 2 {
		_, _ = c.Write([]byte(options + "Content-Length: 0\r\n\r\n"))
		if res := readUntil(t, c, "SIP/2.0 "); !strings.HasPrefix(res, "SIP/2.0 503") {
			t.Fatalf("got %q", res)
		}
	}
	srv.admission.mu.Lock()
	srv.admission.rate = 0
	srv.admission.mu.Unlock()
	_, _ = c.Write([]byte(options + "Content-Length: 0\r\n\r\n"))
	if res := readUntil(t, c, "SIP/2.0 "); !strings.HasPrefix(res, "SIP/2.0 200") {
		t.Fatalf("got %q", res)
	}
}
