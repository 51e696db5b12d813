package sip

import (
	"strings"
	"testing"
	"testing/synctest"
)

// RFC 3261 12.2.1.2 and 13.2.2.4: a 2xx to our re-INVITE may move the peer's target, and
// the ACK goes there already.
func TestAckOfOurReinviteGoesToTheNewTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		done := make(chan error, 1)
		go func() { _, err := l.Reoffer(t.Context(), []byte("v=0\r\n")); done <- err }()
		req := u.until("INVITE ", "")
		res := "SIP/2.0 200 OK\r\nVia: " + header(req, "Via") + "\r\nFrom: " + header(req, "From") + "\r\nTo: " + header(req, "To") +
			"\r\nCall-ID: " + header(req, "Call-ID") + "\r\nCSeq: " + header(req, "CSeq") + "\r\nContact: <sip:moved@" + callerAddr + ">\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
		u.raw(res)
		if ack := u.until("ACK ", ""); !strings.HasPrefix(ack, "ACK sip:moved@") {
			t.Errorf("sent %q", ack)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.Hangup()
		bye := u.until("BYE ", "")
		if !strings.HasPrefix(bye, "BYE sip:moved@") {
			t.Errorf("sent %q", bye)
		}
		u.answer(bye, "200 OK")
		synctest.Wait()
	})
}
