package sip

import (
	"sync"
	"testing"
	"testing/synctest"
)

// RFC 3262 3: a second reliable provisional answer waits for the PRACK of the first, also
// when two goroutines want to say something at once (a PRACK's, and the call's owner).
func TestProvisionalAnswersAtOnce(t *testing.T) {
	for range 1000 {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet()
			legs := make(chan *Leg, 1)
			srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}})
			defer srv.Close()
			u := newUAC(t, n, callerAddr)
			u.send("INVITE", 1, append([]string{"Require: 100rel"}, sdp("v=0")...)...)
			l := <-legs
			var both sync.WaitGroup
			both.Go(l.Ring)
			both.Go(func() { l.Progress([]byte("v=0\r\n")) })
			both.Wait()
			synctest.Wait()
			if got := len(n.sent(serverAddr, "SIP/2.0 18")); got != 1 {
				t.Errorf("%d provisional answers before a PRACK", got)
			}
			_ = l.Reject(486, "Busy Here")
			u.until("SIP/2.0 486", "1 INVITE")
			u.send("ACK", 1)
			synctest.Wait()
		})
		if t.Failed() {
			return
		}
	}
}
