package sip

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A call for which nothing can be offered asks no gateway, and says so; where one was asked before, its
// answer counts.
func TestNothingToOffer(t *testing.T) {
	none := errors.New("no port")
	for _, tc := range []struct {
		name  string
		offer func() ([]byte, error)
		want  string
		cause DialCause
		code  int
	}{
		{"none at all", func() ([]byte, error) { return nil, none }, "", DialNoOffer, 0},
		{"one, for the first", func() ([]byte, error) { return []byte("v=0\r\n"), nil }, gw1 + " " + gw2, DialUnreachable, 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, g := newMemNet(), &gateways{}
				g.open(t, n, gw1, rejects(503))
				g.open(t, n, gw2, rejects(503))
				s := dialer(t, n, out(gw1, gw2))
				d := s.DialTrunk("out", Outgoing{ToUser: "+8613800000000", FromUser: "95599", OfferTo: func(string, int) ([]byte, error) { return tc.offer() }})
				<-d.Done()
				if o := d.Outcome(); o.Cause != tc.cause || o.Code != tc.code || g.all() != tc.want {
					t.Errorf("%+v, asked %q", o, g.all())
				}
				synctest.Wait()
				if st := s.Trunks()[0]; st.CallsOut != 0 {
					t.Errorf("%d calls are still counted", st.CallsOut)
				}
			})
		})
	}
}
