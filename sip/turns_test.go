package sip

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What a phone sends in one breath within a call is worked on as it came: its ACK before the re-INVITE, and each key
// after the other. Over a real socket, on goroutines that would overtake each other.
func TestRequestsOfADialogKeepTheirOrder(t *testing.T) {
	const calls, keys = 40, 20
	pressed := make(chan string, calls)
	srv := realStack(t, "udp", Options{Access: Access{Trunks: []Trunk{{Name: "t", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}},
		Handlers: Handlers{Invite: func(l *Leg) {
			typed := make(chan byte, keys)
			l.OnDigit(func(key byte) { typed <- key })
			l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
			if err := l.Answer([]byte("v=0\r\n")); err != nil {
				t.Error(err)
			}
			var all []byte
			for range keys {
				select {
				case k := <-typed:
					all = append(all, k)
				case <-time.After(5 * time.Second):
				}
			}
			pressed <- string(all)
		}}})
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(srv.Addr(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var want strings.Builder
	for i := range keys {
		fmt.Fprint(&want, i%10)
	}
	for call := range calls {
		tag := ""
		send := func(method string, seq int, kind, body string) {
			_, _ = fmt.Fprintf(c, "%s sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d%s%d\r\nFrom: <sip:2@127.0.0.1>;tag=f\r\nTo: <sip:1@127.0.0.1>%s\r\nCall-ID: turns%d\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:2@%s>\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
				method, c.LocalAddr(), call, method, seq, tag, call, seq, method, c.LocalAddr(), kind, len(body), body)
		}
		send("INVITE", 1, "application/sdp", "v=0\r\n")
		answer := nextAnswer(t, c, call, "1 INVITE")
		tag = ";tag=" + rawTag([]byte(header(answer, "To")))
		send("ACK", 1, "application/sdp", "")
		send("INVITE", 2, "application/sdp", "v=0\r\n")
		for i := range keys {
			send("INFO", 3+i, "application/dtmf", fmt.Sprint(i%10))
		}
		if res := nextAnswer(t, c, call, "2 INVITE"); !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Fatalf("re-INVITE right behind the ACK: %s", startLine([]byte(res)))
		}
		send("ACK", 2, "application/sdp", "")
		if got := <-pressed; got != want.String() {
			t.Fatalf("the keys are %s, want %s", got, want.String())
		}
		send("BYE", 3+keys, "application/sdp", "")
		nextAnswer(t, c, call, fmt.Sprint(3+keys, " BYE"))
	}
}

// nextAnswer is the next final answer of a call with that CSeq.
func nextAnswer(t *testing.T, c *net.UDPConn, call int, seq string) string {
	t.Helper()
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("no answer to %s: %v", seq, err)
		}
		if text := string(b[:n]); header(text, "CSeq") == seq && header(text, "Call-ID") == fmt.Sprint("turns", call) && !strings.HasPrefix(text, "SIP/2.0 1") {
			return text
		}
	}
}
