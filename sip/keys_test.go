package sip

import (
	"strings"
	"testing"
	"testing/synctest"
)

// A peer that is to send keys beside its sound is told that INFO has no place for them
// (RFC 2976 2.2): 415, and nothing that would be accepted. Other INFOs stay as they are.
func TestDigitsByInfoAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, u, l := inCall(t, newMemNet())
		defer srv.Close()
		l.OnDigit(func(k byte) { t.Errorf("key %c was taken", k) })
		l.RefuseDigits()
		u.send("INFO", 10, "Content-Type: application/dtmf-relay", "", "Signal=5", "Duration=160")
		if res := u.until("SIP/2.0 415", "10 INFO"); !strings.Contains(res, "\r\nAccept: \r\n") {
			t.Errorf("answered %q", res)
		}
		u.send("INFO", 11, "Content-Type: application/dtmf", "", "5")
		u.until("SIP/2.0 415", "11 INFO")
		u.send("INFO", 12)
		u.until("SIP/2.0 200", "12 INFO")
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// Our keys by INFO come one after the other: the next when the one before was answered,
// whatever the answer. A peer that knows of no call any more ends it.
func TestDigitsAreSentByInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		for _, key := range []byte("1#A") {
			if !l.SendDigit(key) {
				t.Errorf("key %c can't be sent", key)
			}
		}
		for i, want := range []struct{ key, status string }{{"1", "200 OK"}, {"#", "415 Unsupported Media Type"}, {"A", "481 Call Does Not Exist"}} {
			req := u.until("INFO ", "")
			synctest.Wait()
			if got := len(n.sent(serverAddr, "INFO ")); got != i+1 {
				t.Fatalf("%d INFOs sent before %d were answered", got, i+1)
			}
			if header(req, "Content-Type") != "application/dtmf-relay" || !strings.HasSuffix(req, "\r\n\r\nSignal="+want.key+"\r\nDuration=160\r\n") {
				t.Errorf("sent %q", req)
			}
			if isClosed(l.Done()) {
				t.Fatal("the call is over")
			}
			u.answer(req, want.status)
		}
		<-l.Done()
		if l.SendDigit('1') {
			t.Error("a key is sent in a call that is over")
		}
	})
}

// What a peer that answers nothing is to be sent is bounded.
func TestDigitsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _, l := inCall(t, newMemNet())
		defer srv.Close()
		sent := 0
		for range 2 * maxKeys {
			if l.SendDigit('1') {
				sent++
			}
		}
		if sent != maxKeys {
			t.Errorf("%d keys wait, want %d", sent, maxKeys)
		}
	})
}
