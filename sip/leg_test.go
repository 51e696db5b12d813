package sip

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// dialTo dials the server from another stack.
func dialTo(t *testing.T, s *Stack, uri string) *Dialing {
	t.Helper()
	c, err := s.ContactTo(uri)
	if err != nil {
		t.Fatal(err)
	}
	return s.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "95599", Offer: []byte("v=0\r\n")})
}

func TestCallIsAnsweredAndHungUpByEitherSide(t *testing.T) {
	for _, by := range []string{"caller", "server"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				legs := make(chan *Leg, 1)
				srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
					Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); _ = l.Answer([]byte("v=0\r\no=s\r\n")); legs <- l }}})
				defer srv.Close()
				ua := memStack(t, n, callerAddr, Options{})
				defer ua.Close()
				d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
				<-d.Done()
				out := d.Outcome()
				if out.Leg == nil || string(out.Answer) != "v=0\r\no=s\r\n" {
					t.Fatalf("outcome %+v, want a leg with the server's SDP", out)
				}
				a := <-legs
				<-a.Confirmed()
				in := a.Incoming()
				if in.Caller.Number != "+8613800000000" || in.Dialled != "95599" || in.Trunk.Name != "carrier" {
					t.Fatalf("incoming %+v", in)
				}
				first, second := out.Leg, a
				if by == "server" {
					first, second = a, out.Leg
				}
				first.Hangup()
				<-first.Done()
				<-second.Done()
				if e := second.End(); e.Cause != EndRemoteBye {
					t.Errorf("other side ended with %q, want remote_bye", e.Cause)
				}
				synctest.Wait()
				if srv.Calls() != 0 || ua.Calls() != 0 {
					t.Errorf("dialogs left: server %d, caller %d", srv.Calls(), ua.Calls())
				}
			})
		})
	}
}

// RFC 3261 13.3.1.4: the 2xx is repeated at T1, doubling to T2, until the ACK;
// without one, BYE after 64*T1.
func TestAnswerIsRepeatedUntilAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.drop = func(from, to, text string) bool { return strings.HasPrefix(text, "ACK ") }
		legs := make(chan *Leg, 1)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		<-d.Done()
		a := <-legs
		<-a.Done()
		if a.End().Cause != EndNoAck {
			t.Fatalf("ended with %q, want no_ack", a.End().Cause)
		}
		synctest.Wait()
		var at []string
		for _, p := range n.sent(serverAddr, "SIP/2.0 200") {
			if strings.Contains(header(p.text, "CSeq"), "INVITE") {
				at = append(at, p.at.String())
			}
		}
		want := "[0s 500ms 1.5s 3.5s 7.5s 11.5s 15.5s 19.5s 23.5s 27.5s 31.5s]"
		if fmt.Sprint(at) != want {
			t.Errorf("200 sent at %v, want %v", at, want)
		}
		bye := n.sent(serverAddr, "BYE ")
		if len(bye) != 1 || bye[0].at != 32*time.Second {
			t.Errorf("BYE %v, want one at 32s", bye)
		}
		if got := len(n.sent(callerAddr, "ACK ")); got != len(at) {
			t.Errorf("%d ACKs for %d answers", got, len(at))
		}
	})
}

// One lost ACK: the repeated 200 brings it again.
func TestLostAckIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		lost := false
		n.drop = func(from, to, text string) bool {
			first := strings.HasPrefix(text, "ACK ") && !lost
			lost = lost || first
			return first
		}
		legs := make(chan *Leg, 1)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		a := <-legs
		start := time.Now()
		<-a.Confirmed()
		if w := time.Since(start); w != 500*time.Millisecond {
			t.Errorf("confirmed after %v, want 500ms", w)
		}
		<-d.Done()
		d.Outcome().Leg.Hangup()
		<-a.Done()
	})
}

// Hanging up before the ACK: BYE waits for it (RFC 3261 15).
func TestHangupBeforeAckSendsByeAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		acks := 0
		n.drop = func(from, to, text string) bool {
			if strings.HasPrefix(text, "ACK ") {
				acks++
			}
			return strings.HasPrefix(text, "ACK ") && acks < 3
		}
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); l.Hangup() }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		<-d.Done()
		leg := d.Outcome().Leg
		<-leg.Done()
		if leg.End().Cause != EndRemoteBye {
			t.Fatalf("caller's leg ended with %q", leg.End().Cause)
		}
		if bye := n.sent(serverAddr, "BYE "); len(bye) != 1 || bye[0].at != 1500*time.Millisecond {
			t.Errorf("BYE at %v, want once at 1.5s with the third ACK", bye)
		}
		synctest.Wait()
		if srv.Calls() != 0 {
			t.Errorf("%d dialogs left", srv.Calls())
		}
	})
}

func TestCallerCancelsWhileItRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		a := <-legs
		<-d.Ringing()
		if l := d.Cancel(); l != nil {
			t.Fatal("a leg came out of a cancelled call")
		}
		<-a.Done()
		if a.End().Cause != EndRemoteCancel {
			t.Errorf("ended with %q", a.End().Cause)
		}
		if err := a.Answer(nil); !errors.Is(err, ErrEnded) {
			t.Errorf("answer after cancel: %v, want ErrEnded", err)
		}
		synctest.Wait()
		tags := map[string]bool{}
		for _, p := range n.sent(serverAddr, "SIP/2.0 ") {
			if strings.HasPrefix(p.text, "SIP/2.0 100") {
				continue
			}
			_, tag, _ := strings.Cut(header(p.text, "To"), ";tag=")
			tags[tag] = true
		}
		if len(tags) != 1 || tags[""] {
			t.Errorf("To tags of 180, 200 to CANCEL and 487 are %v, want one", tags)
		}
	})
}

// CANCEL and 200 cross on the wire: the call that was answered is ended by ACK
// and BYE, and nobody keeps a leg.
func TestCancelCrossesAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.drop = func(from, to, text string) bool { return strings.HasPrefix(text, "CANCEL ") }
		legs := make(chan *Leg, 1)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		a := <-legs
		<-d.Ringing()
		d.Cancel()
		if err := a.Answer([]byte("v=0\r\n")); err != nil {
			t.Fatal(err)
		}
		<-a.Done()
		if a.End().Cause != EndRemoteBye {
			t.Errorf("ended with %q, want remote_bye", a.End().Cause)
		}
		synctest.Wait()
		if len(n.sent(callerAddr, "ACK ")) != 1 || len(n.sent(callerAddr, "BYE ")) != 1 {
			t.Error("the late answer wants one ACK and one BYE")
		}
		if ua.Calls() != 0 || srv.Calls() != 0 {
			t.Error("a dialog is left")
		}
	})
}

// A phone that has vanished: unreachable after 3 s, not after Timer B's 32 s; if
// it comes back and answers late, it is hung up.
func TestSilentPhoneIsUnreachableAfterThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		deaf := true
		n.drop = func(from, to, text string) bool { return to == agentAddr && deaf }
		ua := memStack(t, n, serverAddr, Options{})
		defer ua.Close()
		phone := n.listen(agentAddr)
		start := time.Now()
		d := dialTo(t, ua, "sip:alice@10.0.0.3:5060")
		<-d.Done()
		if w := time.Since(start); w != 3*time.Second || d.Outcome().Cause != DialUnreachable {
			t.Fatalf("%+v after %v, want unreachable after 3s", d.Outcome(), w)
		}
		sent := len(n.sent(serverAddr, "INVITE "))
		deaf = false
		invite := n.sent(serverAddr, "INVITE ")[0].text
		late := fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=late\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:alice@10.0.0.3:5060>\r\nContent-Length: 0\r\n\r\n",
			header(invite, "Via"), header(invite, "From"), header(invite, "To"), header(invite, "Call-ID"), header(invite, "CSeq"))
		_, _ = phone.WriteTo([]byte(late), ua.binds[0].udpAddr())
		synctest.Wait()
		if len(n.sent(serverAddr, "ACK ")) != 1 || len(n.sent(serverAddr, "BYE ")) != 1 {
			t.Error("the late 200 wants ACK and BYE")
		}
		time.Sleep(time.Minute)
		if got := len(n.sent(serverAddr, "INVITE ")); got != sent {
			t.Errorf("INVITE repeated %d more times after giving up", got-sent)
		}
	})
}

// More provisional answers than sipgo's own dialog could bear, then CANCEL.
func TestManyProvisionalAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		ua := memStack(t, n, serverAddr, Options{})
		defer ua.Close()
		legs := make(chan *Leg, 1)
		phone := memStack(t, n, agentAddr, Options{Access: Access{Trunks: []Trunk{anyTrunk}}, Handlers: Handlers{Invite: func(l *Leg) {
			for range 25 {
				l.Ring()
				time.Sleep(time.Second)
			}
			legs <- l
		}}})
		defer phone.Close()
		d := dialTo(t, ua, "sip:alice@10.0.0.3:5060")
		l := <-legs
		if isClosed(d.Done()) {
			t.Fatalf("dialling ended early: %+v", d.Outcome())
		}
		d.Cancel()
		<-l.Done()
		if l.End().Cause != EndRemoteCancel {
			t.Errorf("phone ended with %q, want remote_cancel", l.End().Cause)
		}
	})
}

func TestRefusalsAndWhatTheySayOfTheSeat(t *testing.T) {
	for code, want := range map[int]DialCause{
		486: DialBusy, 600: DialBusy, 603: DialRefused, 480: DialUnreachable, 404: DialUnreachable,
		408: DialUnreachable, 500: DialUnreachable, 503: DialUnreachable, 302: DialRefused, 488: DialFault,
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			ua := memStack(t, n, serverAddr, Options{})
			defer ua.Close()
			phone := memStack(t, n, agentAddr, Options{Access: Access{Trunks: []Trunk{anyTrunk}},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(code, "No") }}})
			defer phone.Close()
			d := dialTo(t, ua, "sip:alice@10.0.0.3:5060")
			<-d.Done()
			if o := d.Outcome(); o.Cause != want || o.Code != code || o.Leg != nil {
				t.Errorf("%d: %+v, want %s", code, o, want)
			}
		})
	}
}

// Two phones of one agent ring; the one that answers wins, the other stops. When
// both answer at once the second is ended by ACK and BYE.
func TestForkedContacts(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprintf("both=%v", both), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				ua := memStack(t, n, serverAddr, Options{})
				defer ua.Close()
				legs := make(chan *Leg, 2)
				open := func(addr string, answer bool) *Stack {
					return memStack(t, n, addr, Options{Access: Access{Trunks: []Trunk{anyTrunk}}, Handlers: Handlers{Invite: func(l *Leg) {
						l.Ring()
						time.Sleep(2 * time.Second)
						if answer {
							_ = l.Answer([]byte("v=0\r\n"))
						}
						legs <- l
					}}})
				}
				desk, mobile := open(agentAddr, true), open("10.0.0.4:5060", both)
				defer desk.Close()
				defer mobile.Close()
				c1, _ := ua.ContactTo("sip:alice@10.0.0.3:5060")
				c2, _ := ua.ContactTo("sip:alice@10.0.0.4:5060")
				d := ua.Dial(Outgoing{Contacts: []Contact{c1, c2}, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
				<-d.Done()
				won := d.Outcome().Leg
				if won == nil {
					t.Fatal("nobody answered")
				}
				ended := 0
				for range 2 {
					l := <-legs
					synctest.Wait()
					if isClosed(l.Done()) {
						ended++
					}
				}
				if ended != 1 || ua.Calls() != 1 {
					t.Errorf("%d phones ended and %d dialogs, want 1 and 1", ended, ua.Calls())
				}
				won.Hangup()
				synctest.Wait()
			})
		})
	}
}

// A peer that hangs up in the same instant as our ACK reaches it: its BYE finds
// the dialog.
func TestByeRightBehindTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) {
			_ = l.Answer([]byte("v=0\r\n"))
			<-l.Confirmed()
			l.Hangup()
		}}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		for range 200 {
			d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
			<-d.Done()
			leg := d.Outcome().Leg
			synctest.Wait()
			if !isClosed(leg.Done()) {
				t.Fatal("the BYE was not understood")
			}
		}
	})
}
