package sip

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	gosip "github.com/emiago/sipgo/sip"
)

// When whatever is asked for takes its time, only so much is worked on at once, of each kind and from however many
// addresses; the rest is told to come later. Then all is as before.
func TestTheCrewIsBounded(t *testing.T) {
	const most, offered = 50, 1000
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{MaxPending: most, MaxSourceRate: -1, MaxDelay: -1})
		defer srv.Close()
		open := make(chan struct{})
		for _, m := range []gosip.RequestMethod{gosip.BYE, gosip.INFO, gosip.OPTIONS} {
			after := srv.methods[m]
			srv.methods[m] = func(req *gosip.Request, tx *transaction) { <-open; after(req, tx) }
		}
		synctest.Wait()
		before := runtime.NumGoroutine()
		var peers []*uac
		for i := range offered {
			u := newUAC(t, n, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 5060).String())
			u.callID = fmt.Sprint("crew", i)
			u.send([]string{"BYE", "INFO", "OPTIONS"}[i%3], 1)
			peers = append(peers, u)
			synctest.Wait()
		}
		if got := runtime.NumGoroutine() - before; got > most+2 {
			t.Errorf("%d goroutines at work, at most %d may be", got, most)
		}
		if got := len(n.sent(serverAddr, "SIP/2.0 503")); got != offered-most {
			t.Errorf("%d were told to come later, want %d", got, offered-most)
		}
		close(open)
		synctest.Wait()
		if got := len(n.sent(serverAddr, "SIP/2.0 481")) + len(n.sent(serverAddr, "SIP/2.0 200")); got != most {
			t.Errorf("%d got their answer in the end, want %d", got, most)
		}
		u := peers[offered-1]
		u.send("OPTIONS", 2)
		if res := u.until("SIP/2.0 ", "2 OPTIONS"); !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Errorf("the next one got %q", res)
		}
	})
}

// What belongs to nothing and needs no admission, as who hangs up or cancels must be heard, costs no goroutine.
func TestStrayRequestsNeedNoCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{MaxSourceRate: -1})
		defer srv.Close()
		for i := range 100 {
			u := newUAC(t, n, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 5060).String())
			u.callID = fmt.Sprint("stray", i)
			u.send("ACK", 1)
			u.send("CANCEL", 1)
			if res := u.until("SIP/2.0 ", "1 CANCEL"); !strings.HasPrefix(res, "SIP/2.0 481") {
				t.Errorf("got %q", res)
			}
			if got := srv.crew.size.Load(); got != 0 {
				t.Fatalf("%d at work", got)
			}
		}
		if got := srv.pending.Load(); got != 0 {
			t.Errorf("%d pending", got)
		}
	})
}

// A dialog whose requests pile up refuses the next one, and goes on when they are done.
func TestRequestsInTurnAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, u, l := inCall(t, newMemNet())
		defer srv.Close()
		open := make(chan struct{})
		answer := srv.methods[gosip.INFO]
		srv.methods[gosip.INFO] = func(req *gosip.Request, tx *transaction) { <-open; answer(req, tx) }
		for i := range maxInTurn + 2 { // one at work, as many as may wait, and one more
			u.send("INFO", 2+i)
			synctest.Wait()
		}
		if res := u.until("SIP/2.0 ", fmt.Sprint(maxInTurn+3, " INFO")); !strings.HasPrefix(res, "SIP/2.0 500") {
			t.Errorf("one too many got %q", res)
		}
		u.send("BYE", maxInTurn+4) // has room nevertheless
		synctest.Wait()
		close(open)
		if res := u.until("SIP/2.0 ", fmt.Sprint(maxInTurn+2, " INFO")); !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Errorf("the last that had room got %q", res)
		}
		u.until("SIP/2.0 200", fmt.Sprint(maxInTurn+4, " BYE"))
		<-l.Done()
	})
}
