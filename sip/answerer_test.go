package sip

import (
	"strings"
	"testing"
	"testing/synctest"
)

// Each party of a fork is told apart by the tag of its answers.
func TestTellsWhoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, d, invite := calling(t, n, Options{}, Outgoing{})
		defer srv.Close()
		u.answer(invite, "183 Session Progress", sdp("v=0", "s=early")...)
		<-d.Early()
		early, id := d.EarlyFrom(), header(invite, "Call-ID")
		if early.Dialog != id+";callee" || early.Trunk != "" {
			t.Errorf("early from %+v", early)
		}
		other := strings.Replace(invite, "To: "+header(invite, "To"), "To: "+header(invite, "To")+";tag=other", 1)
		u.answer(other, "200 OK", sdp("v=0", "s=answer")...)
		<-d.Done()
		if o := d.Outcome(); o.From.Dialog != id+";other" || o.Leg == nil {
			t.Errorf("outcome %+v", o)
		}
		d.Outcome().Leg.Hangup()
		u.answer(u.until("BYE ", ""), "200 OK")
	})
}

// The gateway and the trunk that have answered are known.
func TestTellsWhichGatewayAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		g := &gateways{}
		g.open(t, n, gw1, rejects(503))
		g.open(t, n, gw2, answers)
		s := dialer(t, n, out(gw1, gw2))
		o := dialOut(s)
		if o.From.Source != gw2 || o.From.Trunk != "out" || o.From.Dialog == "" {
			t.Errorf("from %+v", o.From)
		}
		o.Leg.Hangup()
	})
}
