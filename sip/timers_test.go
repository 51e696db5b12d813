package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Every timer of RFC 3261 table 4 that applies to us, and those of RFC 6026, 3262 and
// 4028: what happens at its moment has not happened one tick before. docs/sip.md says
// what each does.
func TestTimers(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *clock)
	}{
		{"T1 and A", timerA}, {"B", timerB}, {"D", timerD}, {"E and T2", timerE}, {"F", timerF},
		{"G and T2", timerG}, {"H", timerH}, {"I and T4", timerI}, {"J", timerJ}, {"K", timerK},
		{"L", timerL}, {"M", timerM}, {"2xx", timer2xx}, {"CANCEL", timerCancel},
		{"1xx", timer1xx}, {"RFC 3262 T1", timerReliable}, {"RFC 4028 refresh", timerRefresh}, {"RFC 4028 expiry", timerSession},
		{"RFC 6665 expiry", timerSubscription},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tc.run(t, &clock{t: t, n: newMemNet(), zero: time.Now()}) })
		})
	}
}

// clock looks at a network at exact times, from zero.
type clock struct {
	t    *testing.T
	n    *memNet
	zero time.Time
}

// to waits until d after zero; what is to happen then has happened when it returns.
func (c *clock) to(d time.Duration) {
	time.Sleep(d - time.Since(c.zero))
	synctest.Wait()
}

// restart makes now zero.
func (c *clock) restart() { synctest.Wait(); c.zero = time.Now() }

// tick checks that a figure is before one tick before d, and after at d.
func (c *clock) tick(what string, d time.Duration, figure func() int, before, after int) {
	c.t.Helper()
	c.to(d - 1)
	if got := figure(); got != before {
		c.t.Errorf("one tick before %v: %d %s, want %d", d, got, what, before)
	}
	c.to(d)
	if got := figure(); got != after {
		c.t.Errorf("at %v: %d %s, want %d", d, got, what, after)
	}
}

// sent counts what the server has sent.
func (c *clock) sent(prefix string) func() int {
	return func() int { return len(c.n.sent(serverAddr, prefix)) }
}

// repeats checks that something is sent again at each of the times, in milliseconds.
func (c *clock) repeats(prefix string, already int, at ...int) {
	c.t.Helper()
	for i, ms := range at {
		c.tick(prefix, time.Duration(ms)*time.Millisecond, c.sent(prefix), already+i, already+i+1)
	}
}

// dialling is an INVITE of ours.
func (c *clock) dialling() (*uac, *Dialing, string) {
	u, d, invite := callingBob(c.t, c.n)
	return u, d, invite
}

// calls is a server that counts what it is called for, and does the given to each.
func (c *clock) calls(do func(*Leg)) (*uac, *int, chan *Leg) {
	count, legs := new(int), make(chan *Leg, 8)
	srv := memStack(c.t, c.n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) {
		*count++
		do(l)
		legs <- l
	}}})
	c.t.Cleanup(func() { _ = srv.Close() })
	return newUAC(c.t, c.n, callerAddr), count, legs
}

// Ours, unanswered: again at T1, then double the time without a bound.
func timerA(t *testing.T, c *clock) {
	c.dialling()
	c.repeats("INVITE ", 1, 500, 1500, 3500, 7500, 15500, 31500)
}

// 64*T1: nobody has answered.
func timerB(t *testing.T, c *clock) {
	_, d, _ := c.dialling()
	c.tick("outcomes", timeout, func() int { return closedCount(d.Done()) }, 0, 1)
}

func closedCount(ch <-chan struct{}) int {
	if isClosed(ch) {
		return 1
	}
	return 0
}

// For 32 s after the refusal each repeated one is acknowledged, at once and as the first
// one was; then no more.
func timerD(t *testing.T, c *clock) {
	u, _, invite := c.dialling()
	u.answer(invite, "486 Busy Here")
	first := u.until("ACK ", "")
	for i, at := range []time.Duration{t1, 3 * t1, 32*time.Second - 1} {
		c.to(at)
		u.answer(invite, "486 Busy Here")
		synctest.Wait()
		acks := c.n.sent(serverAddr, "ACK ")
		if len(acks) != i+2 {
			t.Fatalf("at %v: %d ACKs, want %d", at, len(acks), i+2)
		}
		for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
			if a, b := header(acks[i+1].text, name), header(first, name); a != b {
				t.Errorf("%s: %q, and %q in the first ACK", name, a, b)
			}
		}
	}
	c.to(32 * time.Second)
	u.answer(invite, "486 Busy Here")
	synctest.Wait()
	if got := c.sent("ACK ")(); got != 4 {
		t.Errorf("at 32s: %d ACKs, want 4", got)
	}
}

// BYE, unanswered: again at T1, doubling up to T2.
func timerE(t *testing.T, c *clock) {
	u, _, legs := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.call()
	(<-legs).Hangup()
	c.restart()
	c.repeats("BYE ", 1, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500)
}

// 64*T1: the BYE is given up, and nobody waits for it.
func timerF(t *testing.T, c *clock) {
	u, _, legs := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.call()
	l := <-legs
	l.Hangup()
	c.restart()
	settled := make(chan struct{})
	go func() { l.stack.Settle(t.Context()); close(settled) }()
	c.tick("given up", timeout, func() int { return closedCount(settled) }, 0, 1)
}

func busy(l *Leg) { _ = l.Reject(486, "Busy Here") }

// Our refusal, unacknowledged: again at T1, doubling up to T2.
func timerG(t *testing.T, c *clock) {
	u, _, _ := c.calls(busy)
	u.send("INVITE", 1, sdp("v=0")...)
	synctest.Wait()
	c.repeats("SIP/2.0 486", 1, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500)
}

// 64*T1: an unacknowledged refusal is forgotten; the same INVITE is a new call then.
func timerH(t *testing.T, c *clock) {
	u, count, _ := c.calls(busy)
	again(t, c, u, count, timeout)
}

// again repeats the INVITE one tick before d, which makes no call, and at d, which does.
func again(t *testing.T, c *clock, u *uac, count *int, d time.Duration) {
	t.Helper()
	tag := u.toTag
	u.toTag = ""
	if *count == 0 {
		u.send("INVITE", 1, sdp("v=0")...)
	}
	c.to(d - 1)
	u.send("INVITE", 1, sdp("v=0")...)
	synctest.Wait()
	if *count != 1 {
		t.Errorf("one tick before %v: %d calls, want 1", d, *count)
	}
	c.to(d)
	u.send("INVITE", 1, sdp("v=0")...)
	synctest.Wait()
	if *count != 2 {
		t.Errorf("at %v: %d calls, want 2", d, *count)
	}
	u.toTag = tag
}

// T4: an acknowledged refusal swallows what was still on its way.
func timerI(t *testing.T, c *clock) {
	u, count, _ := c.calls(busy)
	u.send("INVITE", 1, sdp("v=0")...)
	u.until("SIP/2.0 486", "1 INVITE")
	u.cancelAck(1)
	c.restart()
	again(t, c, u, count, 5*time.Second)
}

// 64*T1: a repeated BYE is answered as the first one was; then there is no such call.
func timerJ(t *testing.T, c *clock) {
	u, _, _ := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.call()
	u.send("BYE", 2)
	u.until("SIP/2.0 200", "2 BYE")
	c.restart()
	c.to(timeout - 1)
	u.send("BYE", 2)
	u.until("SIP/2.0 200", "2 BYE")
	c.to(timeout)
	u.send("BYE", 2)
	u.until("SIP/2.0 481", "2 BYE")
}

// T4 isn't waited for: our requests forget their transaction with the final answer. A
// repeated one finds nobody and does nothing, which is all that Timer K is for.
func timerK(t *testing.T, c *clock) {
	u, _, legs := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.call()
	(<-legs).Hangup()
	bye := u.until("BYE ", "")
	u.reply(bye, "200 OK")
	c.restart()
	all := len(c.n.ladder())
	for i, d := range []time.Duration{time.Second, 5*time.Second - 1, 5 * time.Second} {
		c.to(d)
		u.reply(bye, "200 OK")
		synctest.Wait()
		if got := len(c.n.ladder()); got != all+i+1 { // what we ourselves sent
			t.Errorf("at %v: something came of it: %v", d, c.n.ladder()[all:])
		}
	}
}

// RFC 6026, 64*T1: an INVITE that was answered with 2xx swallows its repetitions; then
// the dialog tells that they are none.
func timerL(t *testing.T, c *clock) {
	u, count, _ := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.call()
	u.toTag = ""
	c.to(timeout - 1)
	u.send("INVITE", 1, sdp("v=0")...)
	synctest.Wait()
	if got := c.sent("SIP/2.0 482")(); got != 0 {
		t.Errorf("one tick before: %d refusals", got)
	}
	c.to(timeout)
	u.send("INVITE", 1, sdp("v=0")...)
	u.until("SIP/2.0 482", "1 INVITE")
	if *count != 1 {
		t.Errorf("%d calls, want 1", *count)
	}
}

// RFC 6026, 64*T1: a repeated 2xx gets its ACK again, within the transaction; after it,
// by the dialog.
func timerM(t *testing.T, c *clock) {
	u, d, invite := c.dialling()
	u.answer(invite, "200 OK", sdp("v=0")...)
	u.until("ACK ", "")
	<-d.Done()
	c.restart()
	for i, at := range []time.Duration{timeout - 1, timeout, 2 * timeout} {
		c.to(at)
		u.answer(invite, "200 OK", sdp("v=0")...)
		synctest.Wait()
		if got := c.sent("ACK ")(); got != i+2 {
			t.Errorf("at %v: %d ACKs, want %d", at, got, i+2)
		}
	}
	if isClosed(d.Outcome().Leg.Done()) {
		t.Error("the call is over")
	}
}

// RFC 3261 13.3.1.4: our 2xx again at T1, doubling up to T2, and BYE after 64*T1.
func timer2xx(t *testing.T, c *clock) {
	u, _, _ := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.send("INVITE", 1, sdp("v=0")...)
	synctest.Wait()
	c.repeats("SIP/2.0 200", 1, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500)
	c.tick("BYE", timeout, c.sent("BYE "), 0, 1)
}

// RFC 3261 9.1: an INVITE that was cancelled and isn't refused is given up 64*T1 later.
func timerCancel(t *testing.T, c *clock) {
	u, d, invite := c.dialling()
	u.answer(invite, "180 Ringing")
	<-d.Ringing()
	d.Cancel()
	u.answer(u.until("CANCEL ", ""), "200 OK")
	c.restart()
	over := func() int {
		d.stack.mu.Lock()
		defer d.stack.mu.Unlock()
		return len(d.stack.abandoned)
	}
	c.tick("INVITEs remembered", timeout, over, 0, 1)
}

// RFC 3262 3: a provisional answer again at T1, doubling, and 504 after 64*T1.
func timerReliable(t *testing.T, c *clock) {
	u, _, _ := c.calls(func(l *Leg) { l.Ring() })
	u.send("INVITE", 1, append([]string{"Require: 100rel"}, sdp("v=0")...)...)
	synctest.Wait()
	c.repeats("SIP/2.0 180", 1, 500, 1500, 3500, 7500, 15500, 31500)
	c.tick("504", timeout, c.sent("SIP/2.0 504"), 0, 1)
}

// RFC 4028 10: who refreshes does so at half of the interval.
func timerRefresh(t *testing.T, c *clock) {
	u, _, _ := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
	u.send("INVITE", 1, append([]string{"Supported: timer", "Session-Expires: 600;refresher=uas", "Allow: UPDATE"}, sdp("v=0")...)...)
	u.until("SIP/2.0 200", "1 INVITE")
	u.send("ACK", 1)
	c.restart()
	c.tick("UPDATE", 300*time.Second, c.sent("UPDATE "), 0, 1)
}

// RFC 4028 10: who waits for it sends BYE a third of the interval, at most 32 s, before
// its end.
func timerSession(t *testing.T, c *clock) {
	for _, tc := range []struct{ interval, end int }{{90, 60}, {600, 568}} {
		u, _, _ := c.calls(func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) })
		u.send("INVITE", 1, append([]string{"Supported: timer", fmt.Sprintf("Session-Expires: %d;refresher=uac", tc.interval)}, sdp("v=0")...)...)
		u.until("SIP/2.0 200", "1 INVITE")
		u.send("ACK", 1)
		c.restart()
		c.tick("BYE", time.Duration(tc.end)*time.Second, c.sent("BYE "), 0, 1)
		u.reply(u.until("BYE ", ""), "200 OK")
		c.n.forget()
	}
}

// RFC 6665 4.2.1: a subscription ends at its time, and its peer is told.
func timerSubscription(t *testing.T, c *clock) {
	srv, u := watching(t, c.n, Options{})
	t.Cleanup(func() { _ = srv.Close() })
	u.subscribe("bob", 1, "200", "Event: dialog", "Expires: 60")
	if got := u.notified("200 OK"); !strings.Contains(got, "active") {
		t.Errorf("told %q", got)
	}
	c.restart()
	c.tick("subscriptions", 60*time.Second, c.sent("NOTIFY "), 1, 2)
}
