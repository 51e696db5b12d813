package sip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"
)

// The call flows of RFC 3665, message by message, each test named after its section.
// Where the RFC shows a 100 that is not needed (17.2.1 of RFC 3261) none is sent.
// docs/sip.md says which sections are left out and why.
func TestRFC3665(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, n *memNet)
		want []string // what went over the wire
	}{
		{"2.1 successful new registration", func(t *testing.T, n *memNet) {
			r := newBobsPhone(t, n)
			r.register("200", "Contact: <sip:bob@10.0.0.3>", "Expires: 3600")
			if got := r.contacts(); got != "<sip:bob@10.0.0.3>;expires=3600" {
				t.Errorf("registered %s", got)
			}
		}, []string{"bob REGISTER", "hotline 401 REGISTER", "bob REGISTER", "hotline 200 REGISTER"}},
		{"2.2 update of contact list", func(t *testing.T, n *memNet) {
			r := newBobsPhone(t, n)
			r.register("200", "Contact: <sip:bob@10.0.0.3>")
			n.forget()
			r.register("200", "Contact: <sip:bob@mobile.biloxi.example.com>;q=0.5")
			if got := r.contacts(); got != "<sip:bob@10.0.0.3>;expires=3600 <sip:bob@mobile.biloxi.example.com>;expires=3600;q=0.500" {
				t.Errorf("registered %s", got)
			}
		}, []string{"bob REGISTER", "hotline 200 REGISTER"}},
		{"2.3 request for current contact list", func(t *testing.T, n *memNet) {
			r := newBobsPhone(t, n)
			r.register("200", "Contact: <sip:bob@10.0.0.3>")
			n.forget()
			r.register("200")
			if got := r.contacts(); got != "<sip:bob@10.0.0.3>;expires=3600" {
				t.Errorf("listed %s", got)
			}
		}, []string{"bob REGISTER", "hotline 200 REGISTER"}},
		{"2.4 cancellation of registration", func(t *testing.T, n *memNet) {
			r := newBobsPhone(t, n)
			r.register("200", "Contact: <sip:bob@10.0.0.3>")
			n.forget()
			r.register("200", "Contact: *", "Expires: 0")
			if got := r.contacts(); got != "" || len(r.srv.Contacts("bob")) != 0 {
				t.Errorf("still there: %s", got)
			}
		}, []string{"bob REGISTER", "hotline 200 REGISTER"}},
		{"2.5 unsuccessful registration", func(t *testing.T, n *memNet) {
			r := newBobsPhone(t, n)
			r.password = "zanzibar's"
			r.register("401", "Contact: <sip:bob@10.0.0.3>")
			if len(r.srv.Contacts("bob")) != 0 {
				t.Error("registered")
			}
		}, []string{"bob REGISTER", "hotline 401 REGISTER", "bob REGISTER", "hotline 401 REGISTER"}},

		{"3.1 successful session establishment as callee", func(t *testing.T, n *memNet) {
			_, legs := answeringSoon(t, n)
			u := newUAC(t, n, callerAddr)
			u.call()
			l := <-legs
			l.Hangup()
			u.reply(u.until("BYE ", ""), "200 OK")
		}, []string{"alice INVITE", "hotline 180 INVITE", "hotline 200 INVITE", "alice ACK", "hotline BYE", "alice 200 BYE"}},
		{"3.1 successful session establishment as caller", func(t *testing.T, n *memNet) {
			u, d, invite := callingBob(t, n)
			u.answer(invite, "180 Ringing")
			u.answer(invite, "200 OK", sdp("v=0")...)
			u.until("ACK ", "")
			<-d.Done()
			u.within(invite, "BYE", 1)
			u.until("SIP/2.0 200", "1 BYE")
		}, []string{"hotline INVITE", "bob 180 INVITE", "bob 200 INVITE", "hotline ACK", "bob BYE", "hotline 200 BYE"}},
		{"3.2 session establishment through two proxies", func(t *testing.T, n *memNet) {
			_, legs := answeringSoon(t, n)
			u := newUAC(t, n, callerAddr) // the second proxy, next to us
			rr := []string{"Record-Route: <sip:10.0.0.2;lr>", "Record-Route: <sip:ss1.atlanta.example.com;lr>"}
			u.send("INVITE", 1, append(slices.Clone(rr), sdp("v=0")...)...)
			res := u.until("SIP/2.0 200", "1 INVITE")
			for _, line := range rr {
				if !strings.Contains(res, line+"\r\n") {
					t.Errorf("the 200 lacks %q", line)
				}
			}
			u.send("ACK", 1)
			l := <-legs
			<-l.Confirmed()
			l.Hangup()
			bye := u.until("BYE ", "")
			if a, b := strings.Index(bye, "Route: <sip:10.0.0.2;lr>"), strings.Index(bye, "Route: <sip:ss1.atlanta.example.com;lr>"); a < 0 || b < a {
				t.Errorf("BYE %q", bye)
			}
			u.reply(bye, "200 OK")
		}, []string{"alice INVITE", "hotline 180 INVITE", "hotline 200 INVITE", "alice ACK", "hotline BYE", "alice 200 BYE"}},
		// We have one realm's credentials for a trunk: a second proxy's challenge ends
		// the call rather than meeting an answer meant for the first.
		{"3.3 session with multiple proxy authentication", func(t *testing.T, n *memNet) {
			srv := memStack(t, n, serverAddr, Options{})
			t.Cleanup(func() { _ = srv.Close() })
			u := newUAC(t, n, agentAddr)
			c, _ := srv.ContactTo("sip:bob@" + agentAddr)
			d := srv.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "alice", ToUser: "bob", Offer: []byte("v=0\r\n"), Unreachable: -1,
				Credentials: &Credentials{User: "alice", Password: "pw", Realm: "atlanta.example.com"}})
			u.answer(u.until("INVITE ", ""), "407 Proxy Authorization Required", `Proxy-Authenticate: Digest realm="atlanta.example.com", qop="auth", nonce="f84f1cec41e6cbe5aea9c8e88d359", algorithm=MD5`)
			u.until("ACK ", "")
			second := u.until("INVITE ", "")
			if !strings.Contains(header(second, "Proxy-Authorization"), `realm="atlanta.example.com"`) {
				t.Errorf("then %q", second)
			}
			u.answer(second, "407 Proxy Authorization Required", `Proxy-Authenticate: Digest realm="biloxi.example.com", qop="auth", nonce="c1e22c41ae6cbe5ae983a9c8e88d359", algorithm=MD5`)
			u.until("ACK ", "")
			<-d.Done()
			if o := d.Outcome(); o.Code != 407 {
				t.Errorf("outcome %+v", o)
			}
		}, []string{"hotline INVITE", "bob 407 INVITE", "hotline ACK", "hotline INVITE", "bob 407 INVITE", "hotline ACK"}},
		{"3.4 successful session with proxy failure", func(t *testing.T, n *memNet) {
			u := newUAC(t, n, agentAddr)
			tr := out("10.0.0.11:5060", agentAddr)
			srv := dialer(t, n, tr)
			d := srv.DialTrunk("out", Outgoing{ToUser: "+8613800000000", FromUser: "95599", Offer: []byte("v=0\r\n")})
			invite := u.until("INVITE ", "") // nothing listens at the first
			u.answer(invite, "100 Trying")
			u.answer(invite, "200 OK", sdp("v=0")...)
			u.until("ACK ", "")
			<-d.Done()
			u.within(invite, "BYE", 1)
			u.until("SIP/2.0 200", "1 BYE")
		}, []string{"hotline INVITE to 10.0.0.11:5060", "hotline INVITE to 10.0.0.11:5060", "hotline INVITE to 10.0.0.11:5060",
			"hotline INVITE", "bob 100 INVITE", "bob 200 INVITE", "hotline ACK", "bob BYE", "hotline 200 BYE"}},
		{"3.6 session with SDP in ACK", func(t *testing.T, n *memNet) {
			answers := make(chan string, 1)
			srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) {
				l.OnAnswer(func(sdp []byte) { answers <- string(sdp) })
				l.Ring()
				_ = l.Answer([]byte("v=0\r\ns=offer\r\n"))
			}}})
			t.Cleanup(func() { _ = srv.Close() })
			u := newUAC(t, n, callerAddr)
			u.send("INVITE", 1)
			if res := u.until("SIP/2.0 200", "1 INVITE"); !strings.Contains(res, "s=offer") {
				t.Errorf("200 %q", res)
			}
			u.send("ACK", 1, sdp("v=0", "s=answer")...)
			if got := <-answers; got != "v=0\r\ns=answer\r\n" {
				t.Errorf("answer %q", got)
			}
			u.send("BYE", 2)
			u.until("SIP/2.0 200", "2 BYE")
		}, []string{"alice INVITE", "hotline 180 INVITE", "hotline 200 INVITE", "alice ACK", "alice BYE", "hotline 200 BYE"}},
		// A redirection isn't followed: it would let a peer choose whom we call.
		{"3.6 session via redirect", func(t *testing.T, n *memNet) {
			u, d, invite := callingBob(t, n)
			u.answer(invite, "302 Moved Temporarily", "Contact: <sip:bob@chicago.example.com>")
			u.until("ACK ", "")
			<-d.Done()
			if o := d.Outcome(); o.Cause != DialRefused || o.Code != 302 {
				t.Errorf("outcome %+v", o)
			}
		}, []string{"hotline INVITE", "bob 302 INVITE", "hotline ACK"}},
		{"3.7 session with re-INVITE", func(t *testing.T, n *memNet) {
			_, legs := answeringSoon(t, n)
			u := newUAC(t, n, callerAddr)
			u.call()
			l := <-legs
			offers := make(chan string, 1)
			l.OnReoffer(func(offer []byte) ([]byte, int) { offers <- string(offer); return []byte("v=0\r\n"), 0 })
			moved := newUAC(t, n, agentAddr)
			moved.callID, moved.toTag = u.callID, u.toTag
			moved.send("INVITE", 2, sdp("c=IN IP4 10.0.0.3")...)
			moved.until("SIP/2.0 200", "2 INVITE")
			moved.send("ACK", 2)
			if got := <-offers; !strings.Contains(got, "10.0.0.3") {
				t.Errorf("offer %q", got)
			}
			synctest.Wait()
			l.Hangup()
			moved.reply(moved.until("BYE sip:x@10.0.0.3:5060 ", ""), "200 OK")
		}, []string{"alice INVITE", "hotline 180 INVITE", "hotline 200 INVITE", "alice ACK",
			"bob INVITE", "hotline 200 INVITE", "bob ACK", "hotline BYE", "bob 200 BYE"}},
		{"3.8 unsuccessful no answer as callee", func(t *testing.T, n *memNet) {
			legs := make(chan *Leg, 1)
			srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
			t.Cleanup(func() { _ = srv.Close() })
			u := newUAC(t, n, callerAddr)
			u.send("INVITE", 1, sdp("v=0")...)
			u.until("SIP/2.0 180", "1 INVITE")
			l := <-legs
			u.toTag = ""
			u.cancel(1)
			u.until("SIP/2.0 487", "1 INVITE")
			u.cancelAck(1)
			<-l.Done()
			if l.End().Cause != EndRemoteCancel {
				t.Errorf("ended %+v", l.End())
			}
		}, []string{"alice INVITE", "hotline 180 INVITE", "alice CANCEL", "hotline 200 CANCEL", "hotline 487 INVITE", "alice ACK"}},
		{"3.8 unsuccessful no answer as caller", func(t *testing.T, n *memNet) {
			u, d, invite := callingBob(t, n)
			u.answer(invite, "180 Ringing")
			<-d.Ringing()
			d.Cancel()
			u.answer(u.until("CANCEL ", ""), "200 OK")
			u.answer(invite, "487 Request Terminated")
			u.until("ACK ", "")
		}, []string{"hotline INVITE", "bob 180 INVITE", "hotline CANCEL", "bob 200 CANCEL", "bob 487 INVITE", "hotline ACK"}},
		{"3.9 unsuccessful busy as callee", refusing(486, "Busy Here"),
			[]string{"alice INVITE", "hotline 486 INVITE", "alice ACK"}},
		{"3.9 unsuccessful busy as caller", refused("486 Busy Here", DialBusy),
			[]string{"hotline INVITE", "bob 486 INVITE", "hotline ACK"}},
		// Without any answer there is nothing to cancel (RFC 3261 9.1).
		{"3.10 unsuccessful no response from user agent", func(t *testing.T, n *memNet) {
			_, d, _ := callingBob(t, n)
			<-d.Done()
			if o := d.Outcome(); o.Cause != DialUnreachable || o.Code != 0 || time.Since(n.t0) != 32*time.Second {
				t.Errorf("outcome %+v after %v", o, time.Since(n.t0))
			}
		}, slices.Repeat([]string{"hotline INVITE"}, 7)},
		{"3.11 unsuccessful temporarily unavailable as callee", refusing(480, "Temporarily Unavailable"),
			[]string{"alice INVITE", "hotline 480 INVITE", "alice ACK"}},
		{"3.11 unsuccessful temporarily unavailable as caller", refused("480 Temporarily Unavailable", DialUnreachable),
			[]string{"hotline INVITE", "bob 480 INVITE", "hotline ACK"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				tc.run(t, n)
				synctest.Wait()
				if got := n.ladder(); !slices.Equal(got, tc.want) {
					t.Errorf("on the wire:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
				}
			})
		})
	}
}

// ladder are the messages in their order: who sent what; to whom, where it is a
// stranger.
func (n *memNet) ladder() (out []string) {
	names := map[string]string{serverAddr: "hotline", callerAddr: "alice", agentAddr: "bob"}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.log {
		what, _, _ := strings.Cut(p.text, " ")
		if what == "SIP/2.0" {
			what = p.text[8:11] + " " + strings.Fields(header(p.text, "CSeq"))[1]
		}
		if names[p.to] == "" {
			what += " to " + p.to
		}
		out = append(out, names[p.from]+" "+what)
	}
	return out
}

// forget drops what went over the wire until now.
func (n *memNet) forget() {
	synctest.Wait()
	n.mu.Lock()
	n.log = nil
	n.mu.Unlock()
}

// bobsPhone is bob's phone at a registrar. It keeps its nonce, as phones do.
type bobsPhone struct {
	*uac
	srv       *Stack
	password  string
	seq, uses int
	chal      *digest.Challenge
	last      string
}

func newBobsPhone(t *testing.T, n *memNet) *bobsPhone {
	srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{{Credentials{User: "bob", Password: "zanzibar"}}}}})
	t.Cleanup(func() { _ = srv.Close() })
	return &bobsPhone{uac: newUAC(t, n, agentAddr), srv: srv, password: "zanzibar"}
}

// register sends a REGISTER, and again with credentials when it is challenged.
func (r *bobsPhone) register(status string, lines ...string) {
	r.t.Helper()
	for range 2 {
		known := r.chal != nil
		r.once(lines)
		if !strings.HasPrefix(r.last, "SIP/2.0 401") || known {
			break
		}
		var err error
		if r.chal, err = digest.ParseChallenge(header(r.last, "WWW-Authenticate")); err != nil {
			r.t.Fatal(err)
		}
	}
	if !strings.HasPrefix(r.last, "SIP/2.0 "+status) {
		r.t.Errorf("answered %q, want %s", r.last, status)
	}
}

func (r *bobsPhone) once(lines []string) {
	r.seq++
	if r.chal != nil {
		r.uses++
		cred, err := digest.Digest(r.chal, digest.Options{Method: "REGISTER", URI: "sip:10.0.0.1", Username: "bob", Password: r.password, Count: r.uses})
		if err != nil {
			r.t.Fatal(err)
		}
		lines = append(slices.Clone(lines), "Authorization: "+cred.String())
	}
	r.raw(fmt.Sprintf("REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.3:5060;branch=z9hG4bKr%d\r\nMax-Forwards: 70\r\nFrom: Bob <sip:bob@10.0.0.1>;tag=a73kszlfl\r\nTo: Bob <sip:bob@10.0.0.1>\r\nCall-ID: 1j9FpLxk3uxtm8tn\r\nCSeq: %d REGISTER\r\n%sContent-Length: 0\r\n\r\n",
		r.seq, r.seq, strings.Join(append(lines, ""), "\r\n")))
	r.last = r.until("SIP/2.0 ", fmt.Sprintf("%d REGISTER", r.seq))
}

// contacts are the bindings that the last answer lists.
func (r *bobsPhone) contacts() string {
	var out []string
	for line := range strings.Lines(r.last) {
		if v, ok := strings.CutPrefix(line, "Contact: "); ok {
			out = append(out, strings.TrimSpace(v))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// answeringSoon is a server that rings and answers.
func answeringSoon(t *testing.T, n *memNet) (*Stack, chan *Leg) {
	legs := make(chan *Leg, 1)
	srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) {
		l.Ring()
		_ = l.Answer([]byte("v=0\r\n"))
		legs <- l
	}}})
	t.Cleanup(func() { _ = srv.Close() })
	return srv, legs
}

// callingBob is a call of ours to a peer of text.
func callingBob(t *testing.T, n *memNet) (*uac, *Dialing, string) {
	srv, u, d, invite := calling(t, n, Options{}, Outgoing{})
	t.Cleanup(func() { _ = srv.Close() })
	return u, d, invite
}

func refusing(code int, phrase string) func(*testing.T, *memNet) {
	return func(t *testing.T, n *memNet) {
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(code, phrase) }}})
		t.Cleanup(func() { _ = srv.Close() })
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		u.until(fmt.Sprintf("SIP/2.0 %d", code), "1 INVITE")
		u.cancelAck(1)
	}
}

func refused(status string, cause DialCause) func(*testing.T, *memNet) {
	return func(t *testing.T, n *memNet) {
		u, d, invite := callingBob(t, n)
		u.answer(invite, status)
		u.until("ACK ", "")
		<-d.Done()
		if o := d.Outcome(); o.Cause != cause {
			t.Errorf("outcome %+v", o)
		}
	}
}

// cancel gives up the INVITE with that CSeq, by its branch.
func (u *uac) cancel(seq int) { u.ofInvite("CANCEL", seq) }

// cancelAck is the ACK to a refusal, in the INVITE's transaction.
func (u *uac) cancelAck(seq int) { u.ofInvite("ACK", seq) }

func (u *uac) ofInvite(method string, seq int) {
	tag := ""
	if u.toTag != "" {
		tag = ";tag=" + u.toTag
	}
	u.raw(fmt.Sprintf("%s sip:95599@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%sINVITE%d;rport\r\nFrom: <sip:13800000000@10.0.0.2>;tag=u\r\nTo: <sip:95599@10.0.0.1>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		method, u.c.addr, strings.NewReplacer(".", "", ":", "").Replace(u.callID), seq, tag, u.callID, seq, method))
}
