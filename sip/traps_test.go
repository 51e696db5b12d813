package sip

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A request that waits in the socket when the stack opens finds its handler: all are
// there before the first listener reads.
func TestHandlersAreThereBeforeListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		u := newUAC(t, n, callerAddr)
		conn := n.listen(serverAddr)
		u.send("OPTIONS", 1)
		srv, err := Open(Options{Listen: []Listener{{Network: "udp", PacketConn: conn}}})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		u.until("SIP/2.0 200", "1 OPTIONS")
	})
}

// What nobody can read ends no listener, and neither does a socket that fails for a
// moment: an ICMP error of an earlier datagram comes back as one of the next read.
func TestListenerOutlivesWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		u := newUAC(t, n, callerAddr)
		conn := &failing{memConn: n.listen(serverAddr), fail: 3}
		srv, err := Open(Options{Listen: []Listener{{Network: "udp", PacketConn: conn}}})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		u.raw("\x00\x01 rubbish")
		u.raw("")
		time.Sleep(time.Second)
		u.send("OPTIONS", 1)
		u.until("SIP/2.0 200", "1 OPTIONS")
	})
}

// failing is a socket whose first reads fail.
type failing struct {
	*memConn
	fail int
}

func (f *failing) ReadFrom(b []byte) (int, net.Addr, error) {
	if f.fail > 0 {
		f.fail--
		return 0, nil, &net.OpError{Op: "read", Net: "udp", Err: errRefused}
	}
	return f.memConn.ReadFrom(b)
}

var errRefused = &net.AddrError{Err: "connection refused"}

// Requests of one dialog that overtake each other on sipgo's goroutines don't undo each
// other: the late one is refused (RFC 3261 12.2.2).
func TestRequestsThatAreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, l := inCall(t, n)
		defer srv.Close()
		var got []string
		l.OnReoffer(func(offer []byte) ([]byte, int) {
			got = append(got, strings.TrimSpace(string(offer)))
			return []byte("v=0\r\n"), 0
		})
		u.send("UPDATE", 5, sdp("a=later")...)
		u.until("SIP/2.0 200", "5 UPDATE")
		u.send("UPDATE", 4, sdp("a=earlier")...)
		u.until("SIP/2.0 500", "4 UPDATE")
		if len(got) != 1 || got[0] != "a=later" {
			t.Errorf("taken over: %q", got)
		}
	})
}
