package sip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A gateway that was down when a reload switched its pings off is up: nobody would ever
// find out that it is back.
func TestGatewayIsUpOnceNobodyPingsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		n.drop = func(_, to, text string) bool { return to == gw1 && strings.HasPrefix(text, "OPTIONS ") }
		g.open(t, n, gw1, rejects(486))
		tr := watched(gw1)
		s := dialer(t, n, tr)
		time.Sleep(time.Minute)
		if got := states(s); got != "down" {
			t.Fatalf("the gateway is %s", got)
		}
		tr.Limits.MaxCalls = 5 // another reload changes nothing
		s.SetAccess(Access{Trunks: []Trunk{tr}})
		if got := states(s); got != "down" {
			t.Fatalf("the gateway is %s after a reload", got)
		}
		tr.Outbound.Health = Health{}
		s.SetAccess(Access{Trunks: []Trunk{tr}})
		if got := states(s); got != "up" {
			t.Errorf("the gateway is %s, and nobody pings it", got)
		}
		if o := dialOut(s); o.Cause != DialBusy || g.all() != gw1 {
			t.Errorf("outcome %+v by %q", o, g.all())
		}
	})
}

// An answer that comes when the call has gone on to the next trunk is ended with the
// password of its own trunk: the other one's is none of its business.
func TestLateAnswerHasItsOwnCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		first, second := out(gw1), out(gw2)
		first.Name, second.Name = "first", "second"
		first.Outbound.Login = &Credentials{User: "one", Password: "x"}
		second.Outbound.Login = &Credentials{User: "two", Password: "y"}
		s := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{first, second}}})
		defer s.Close()
		slow, next := newUAC(t, n, gw1), newUAC(t, n, gw2)
		d := s.DialTrunks([]string{"first", "second"}, Outgoing{ToUser: "+8613800000000"})
		invite := slow.until("INVITE ", "")
		other := next.until("INVITE ", "") // the first one said nothing in time
		slow.reply(invite, "200 OK\r\nContact: <sip:x@"+gw1+">")
		slow.until("ACK ", "")
		bye := slow.until("BYE ", "")
		slow.reply(bye, `401 Unauthorized`+"\r\n"+`WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5`)
		var again string
		for again = bye; header(again, "CSeq") == header(bye, "CSeq"); {
			again = slow.until("BYE ", "")
		}
		if got := header(again, "Authorization"); !strings.Contains(got, `username="one"`) {
			t.Errorf("the late trunk was shown %q", got)
		}
		slow.reply(again, "200 OK")
		next.reply(other, "486 Busy Here")
		<-d.Done()
	})
}
