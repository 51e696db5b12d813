package sip

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// answeredAs makes a transaction that is answered, as by UDP.
func answeredAs(t *transactions, name string) *transaction {
	tx := &transaction{key: txKey{branch: name, method: "BYE"}}
	t.begin(tx)
	t.linger(tx, timeout)
	return tx
}

// Whatever comes, only so many answered transactions are kept, and the oldest go first.
func TestAnsweredTransactionsAreBounded(t *testing.T) {
	all := newTransactions()
	defer all.close()
	for i := range maxAnswered + 100 {
		answeredAs(all, fmt.Sprint(i))
	}
	if n := len(all.all); n != maxAnswered {
		t.Errorf("%d are kept, want %d", n, maxAnswered)
	}
	if all.find(txKey{branch: "99", method: "BYE"}) != nil || all.find(txKey{branch: "100", method: "BYE"}) == nil {
		t.Error("another one than the oldest was dropped")
	}
}

// A transaction counts until its time is over, to the nanosecond, and takes memory only a moment longer,
// however many come meanwhile.
func TestTransactionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTransactions()
		first := answeredAs(all, "first")
		for i := range 1000 {
			time.Sleep(50 * time.Millisecond)
			answeredAs(all, fmt.Sprint(i))
		}
		synctest.Wait() // a sweep may be due now
		if all.find(first.key) != nil {
			t.Error("the first is still found after 50 s")
		}
		if n, most := len(all.all), int((timeout+sweepEvery)/(50*time.Millisecond))+2; n > most {
			t.Errorf("%d are kept, at most %d could be", n, most)
		}
		last := answeredAs(all, "last")
		time.Sleep(timeout - 1)
		if all.find(last.key) != last {
			t.Error("it is forgotten a nanosecond before its time")
		}
		time.Sleep(time.Nanosecond)
		if all.find(last.key) != nil {
			t.Error("it is found when its time is over")
		}
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		if len(all.all) != 0 || len(all.answered) != 0 {
			t.Errorf("%d and %d are left", len(all.all), len(all.answered))
		}
	})
}

// A request that comes while the one before it is at work gets nothing, then its answer again.
func TestRepeatedRequestGetsItsAnswerAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 2)
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Handlers: Handlers{Invite: func(l *Leg) { legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		for range 3 {
			u.send("INVITE", 1, sdp("v=0")...)
			synctest.Wait()
		}
		l := <-legs
		if len(legs) != 0 || len(n.sent(serverAddr, "SIP/2.0")) != 0 {
			t.Fatalf("%d more calls, and %d answers", len(legs), len(n.sent(serverAddr, "SIP/2.0")))
		}
		l.Ring()
		u.send("INVITE", 1, sdp("v=0")...)
		synctest.Wait()
		if got := n.sent(serverAddr, "SIP/2.0 180"); len(got) != 2 || got[0].text != got[1].text {
			t.Errorf("180 was sent %d times, want twice the same", len(got))
		}
		if err := l.Reject(486, "Busy Here"); err != nil {
			t.Fatal(err)
		}
		u.send("INVITE", 1, sdp("v=0")...)
		synctest.Wait()
		if got := n.sent(serverAddr, "SIP/2.0 486"); len(got) != 2 || got[0].text != got[1].text {
			t.Errorf("486 was sent %d times, want twice the same", len(got))
		}
		if err := l.Reject(603, "Decline"); err == nil {
			t.Error("a second final answer was taken")
		}
	})
}
