package sip

import (
	"testing"
	"testing/synctest"
)

// A call on behalf of another has one hop less to go (RFC 7332), also by a trunk and when
// it is sent again with a password; one of nobody's begins anew.
func TestHops(t *testing.T) {
	for hops, want := range map[int]string{0: "70", 1: "0", 70: "69"} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			far := Trunk{Name: "far", Outbound: Outbound{Gateways: []Gateway{{Host: "10.0.7.1", Port: 5060}}, Login: &Credentials{User: "us", Password: "x", Realm: "far"}}}
			srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{far}}})
			defer srv.Close()
			gateway := newUAC(t, n, "10.0.7.1:5060")
			d := srv.DialTrunk("far", Outgoing{ToUser: "+8613800000000", Hops: hops})
			invite := gateway.until("INVITE ", "")
			if got := header(invite, "Max-Forwards"); got != want {
				t.Errorf("%d hops: sent %q, want %q", hops, got, want)
			}
			gateway.reply(invite, `401 Unauthorized`+"\r\n"+`WWW-Authenticate: Digest realm="far", nonce="n", algorithm=MD5`)
			again := gateway.until("INVITE ", "")
			if got := header(again, "Max-Forwards"); got != want || header(again, "Authorization") == "" {
				t.Errorf("%d hops, again: sent %q, want %q", hops, got, want)
			}
			gateway.reply(again, "486 Busy Here")
			<-d.Done()
		})
	}
}
