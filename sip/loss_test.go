package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 3261 17.1.1.2: Timer A doubles without a bound, until Timer B.
func TestLostInviteIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.drop = func(_, to, _ string) bool { return to == agentAddr }
		srv := memStack(t, n, serverAddr, Options{})
		defer srv.Close()
		c, _ := srv.ContactTo("sip:alice@10.0.0.3:5060")
		start := time.Now()
		d := srv.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n"), Unreachable: -1})
		<-d.Done()
		if w := time.Since(start); w != 32*time.Second || d.Outcome().Cause != DialUnreachable {
			t.Errorf("%+v after %v, want unreachable after 32s", d.Outcome(), w)
		}
		if got := times(n.sent(serverAddr, "INVITE ")); got != "[0s 500ms 1.5s 3.5s 7.5s 15.5s 31.5s]" {
			t.Errorf("INVITE sent at %s", got)
		}
	})
}

func times(ps []memPacket) string {
	var at []string
	for _, p := range ps {
		at = append(at, p.at.String())
	}
	return fmt.Sprint(at)
}

// lose drops the first k datagrams that start with prefix.
func (n *memNet) lose(k int, prefix string) {
	n.drop = func(_, _, text string) bool {
		if !strings.HasPrefix(text, prefix) || k == 0 {
			return false
		}
		k--
		return true
	}
}

// RFC 3261 17.1.2.2: Timer E repeats a lost BYE or CANCEL; what is lost on the way
// back is answered again.
func TestLostByeAndCancelAreRepeated(t *testing.T) {
	for _, lost := range []string{"BYE ", "SIP/2.0 200 OK"} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			srv, legs := answering(t, n, Options{})
			defer srv.Close()
			ua := memStack(t, n, callerAddr, Options{})
			defer ua.Close()
			d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
			<-d.Done()
			a := <-legs
			<-a.Confirmed()
			n.lose(4, lost)
			a.Hangup()
			<-d.Outcome().Leg.Done()
			time.Sleep(40 * time.Second)
			if got := times(n.sent(serverAddr, "BYE ")); got != "[0s 500ms 1.5s 3.5s 7.5s]" {
				t.Errorf("with %q lost, BYE sent at %s", lost, got)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		l := <-legs
		<-d.Ringing()
		n.lose(2, "CANCEL ")
		d.Cancel()
		<-l.Done()
		synctest.Wait()
		if got := times(n.sent(callerAddr, "CANCEL ")); got != "[0s 500ms 1.5s]" || l.End().Cause != EndRemoteCancel {
			t.Errorf("CANCEL sent at %s, ended with %q", got, l.End().Cause)
		}
	})
}

// A lost 200 is repeated by us, and a lost 486 by its transaction.
func TestLostFinalAnswerIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.lose(3, "SIP/2.0 200")
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		start := time.Now()
		c, err := ua.ContactTo("sip:95599@10.0.0.1:5060")
		if err != nil {
			t.Fatal(err)
		}
		d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "95599", Offer: []byte("v=0\r\n"), Unreachable: -1})
		<-d.Done()
		if w := time.Since(start); w != 3500*time.Millisecond || d.Outcome().Leg == nil {
			t.Errorf("answered after %v: %+v", w, d.Outcome())
		}
		<-(<-legs).Confirmed()
		d.Outcome().Leg.Hangup()
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.lose(3, "SIP/2.0 486") // at once, by Timer G, and for the repeated INVITE
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy Here") }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		start := time.Now()
		d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
		<-d.Done()
		if w := time.Since(start); d.Outcome().Cause != DialBusy || w != 1500*time.Millisecond {
			t.Errorf("%+v after %v, want busy after 1.5s", d.Outcome(), w)
		}
	})
}
