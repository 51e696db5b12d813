package e2e

import (
	"testing"
)

// A phone that registered by UDP for ten minutes is called right after the server
// was killed and started again: it needn't register anew.
func TestPhoneIsCalledAfterARestart(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: p.sip, regint: 600})
	p.log.await(t, "seat registered", "seat", "carol")
	p.log.await(t, "registrations saved")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	p.start()
	p.log.await(t, "seat registered", "seat", "carol")
	c := dial(t, openPhone(t, p.uri()), "1", "13900000001")
	p.log.await(t, "talk started", "seat", "carol")
	carol.await("CALL_ESTABLISHED", patience)
	c.Hangup()
	p.log.await(t, "call closed", "outcome", "answered")
}
