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
