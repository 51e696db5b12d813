package sip

import (
	"testing"
	"testing/synctest"
	"time"
)

// timer1xx: a call that isn't answered for long is told to go on each minute (RFC 3261 13.3.1.1),
// with what was said last, from when it was said, and no more once it is answered.
func timer1xx(t *testing.T, c *clock) {
	legs := make(chan *Leg, 1)
	srv, _ := answering(t, c.n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
	t.Cleanup(func() { _ = srv.Close() })
	u := newUAC(t, c.n, callerAddr)
	u.send("INVITE", 1, append([]string{"Supported: 100rel"}, sdp("v=0")...)...)
	u.until("SIP/2.0 180", "1 INVITE")
	c.restart()
	l := <-legs
	c.repeats("SIP/2.0 180", 1, 60_000, 120_000)
	l.Progress([]byte("v=0\r\n"))
	synctest.Wait()
	u.until("SIP/2.0 183", "1 INVITE")
	u.send("PRACK", 2, "RAck: "+header(c.n.sent(serverAddr, "SIP/2.0 183")[0].text, "RSeq")+" 1 INVITE")
	u.until("SIP/2.0 200", "2 PRACK")
	c.restart()
	c.repeats("SIP/2.0 183", 1, 60_000, 120_000)
	if last := c.n.sent(serverAddr, "SIP/2.0 183")[2].text; header(last, "Content-Length") != "0" {
		t.Errorf("the session is described again: %q", last)
	}
	_ = l.Answer([]byte("v=0\r\n"))
	u.until("SIP/2.0 200", "1 INVITE")
	u.send("ACK", 1)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	if got := len(c.n.sent(serverAddr, "SIP/2.0 1")); got != 6 {
		t.Errorf("%d provisional answers in all, want 6", got)
	}
}
