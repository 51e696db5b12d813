package sip

import (
	"testing"
	"testing/synctest"
	"time"
)

// The calls and calls per second of a trunk are bounded, and given back.
func TestTrunkLimitsOutgoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw1, answers)
		tr := out(gw1)
		tr.Limits = TrunkLimits{MaxCalls: 2, MaxRate: 3}
		s := dialer(t, n, tr)
		a, b, c := dialOut(s), dialOut(s), dialOut(s)
		if a.Leg == nil || b.Leg == nil || c.Cause != DialNoCapacity {
			t.Fatalf("outcomes %+v, %+v, %+v", a, b, c)
		}
		a.Leg.Hangup()
		synctest.Wait()
		d := dialOut(s) // the third within the second
		if d.Leg == nil {
			t.Fatalf("outcome %+v, want the place of the first", d)
		}
		d.Leg.Hangup()
		synctest.Wait()
		if o := dialOut(s); o.Cause != DialNoCapacity {
			t.Errorf("outcome %+v, want a fourth in a second refused", o)
		}
		time.Sleep(334 * time.Millisecond)
		if d = dialOut(s); d.Leg == nil {
			t.Fatalf("outcome %+v, want a place a third of a second later", d)
		}
		b.Leg.Hangup()
		d.Leg.Hangup()
	})
}

// Only the trunk's own login answers, and only the trunk's own realm.
func TestChallengesOfTheTrunkOnly(t *testing.T) {
	for _, tc := range []struct {
		name  string
		realm string // that the login is for
		cause DialCause
	}{{"the trunk's", "carrier", ""}, {"somebody else's", "other", DialRefused}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				gate := memStack(t, n, gw1, Options{Realm: "carrier", Access: Access{Trunks: []Trunk{{Name: "us",
					Credentials: &Credentials{User: "we", Password: "secret"}}}}, Handlers: Handlers{Invite: answers}})
				defer gate.Close()
				tr := out(gw1)
				tr.Outbound.Login = &Credentials{User: "we", Password: "secret", Realm: tc.realm}
				s := dialer(t, n, tr)
				o := dialOut(s)
				if o.Cause != tc.cause {
					t.Errorf("outcome %+v", o)
				}
				answered := 0
				for _, p := range n.sent(serverAddr, "INVITE ") {
					if header(p.text, "Authorization") != "" {
						answered++
					}
				}
				if want := map[DialCause]int{"": 1}[tc.cause]; answered != want {
					t.Errorf("%d requests with credentials, want %d", answered, want)
				}
				if o.Leg != nil {
					o.Leg.Hangup()
				}
			})
		})
	}
}

// The same for 407, which a gateway passes on from whoever is behind it.
func TestForeignProxyChallenge(t *testing.T) {
	for realm, answered := range map[string]int{"carrier": 1, "evil.example": 0} {
		t.Run(realm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, r := newMemNet(), &scripted{}
				r.open(n, gw1, `407 Proxy Authentication Required|Proxy-Authenticate: Digest realm="`+realm+`", nonce="n", algorithm=MD5, qop="auth"`)
				defer r.close(n, gw1)
				tr := out(gw1, gw2)
				tr.Outbound.Login = &Credentials{User: "we", Password: "secret", Realm: "carrier"}
				s := dialer(t, n, tr)
				if o := dialOut(s); o.Code != 407 || o.Cause != DialRefused {
					t.Errorf("outcome %+v", o)
				}
				got := 0
				for _, p := range n.sent(serverAddr, "INVITE ") {
					if header(p.text, "Proxy-Authorization") != "" {
						got++
					}
				}
				if got != answered {
					t.Errorf("%d answers to the challenge, want %d", got, answered)
				}
			})
		})
	}
}
