package sip

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The layout of "HEP3 Network Protocol Specification" rev. 32: vendor, type, length, value.
func TestHEPPacket(t *testing.T) {
	at := time.Unix(1700000000, 200000999) // 0x6553f100 s, 0x30d40 µs
	for _, tc := range []struct {
		name     string
		m        hepMessage
		password string
		want     string
	}{
		{"IPv4, UDP, password", hepMessage{at: at, from: netip.MustParseAddrPort("192.0.2.1:5060"), to: netip.MustParseAddrPort("203.0.113.1:5062"),
			correlation: "abc", text: []byte("SIP/2.0 200 OK\r\n\r\n")}, "pass", `
			48455033 0088
			0000 0001 0007 02
			0000 0002 0007 11
			0000 0003 000a c0000201
			0000 0004 000a cb007101
			0000 0007 0008 13c4
			0000 0008 0008 13c6
			0000 0009 000a 6553f100
			0000 000a 000a 00030d40
			0000 000b 0007 01
			0000 000c 000a 000007d1
			0000 000e 000a 70617373
			0000 0011 0009 616263
			0000 000f 0018 5349502f322e3020323030204f4b0d0a0d0a`},
		{"IPv6, TCP", hepMessage{at: at, stream: true, from: netip.MustParseAddrPort("[2001:db8::1]:5060"), to: netip.MustParseAddrPort("[2001:db8::2]:443"),
			correlation: "a", text: []byte("x")}, "", `
			48455033 0083
			0000 0001 0007 0a
			0000 0002 0007 06
			0000 0005 0016 20010db8000000000000000000000001
			0000 0006 0016 20010db8000000000000000000000002
			0000 0007 0008 13c4
			0000 0008 0008 01bb
			0000 0009 000a 6553f100
			0000 000a 000a 00030d40
			0000 000b 0007 01
			0000 000c 000a 000007d1
			0000 0011 0007 61
			0000 000f 0007 78`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.Join(strings.Fields(tc.want), ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := hepPacket(&tc.m, 2001, tc.password); !bytes.Equal(got, want) {
				t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
			}
		})
	}
	// The longest one there is fits into a datagram.
	long := hepMessage{at: at, from: netip.MustParseAddrPort("[::1]:1"), to: netip.MustParseAddrPort("[::1]:2"),
		correlation: strings.Repeat("c", 70000), text: make([]byte, 70000)}
	if n := len(hepPacket(&long, 1, strings.Repeat("p", 70000))); n > 65507-20 {
		t.Errorf("%d bytes", n)
	}
}

// wedged is a connection whose writes don't end until it is let go, or fail.
type wedged struct {
	net.Conn
	held chan struct{}
	err  error
	last []byte
}

func (w *wedged) Write(b []byte) (int, error) { <-w.held; w.last = b; return len(b), w.err }
func (w *wedged) Close() error                { return nil }

// Who hands a message over never waits, and what doesn't fit is counted; credentials
// don't leave.
func TestHEPDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wedged{held: make(chan struct{})}
		h := &hepExport{opt: HEP{}, log: slog.New(slog.DiscardHandler), conn: w, queue: make(chan hepMessage, 16), fault: newSampler(time.Minute)}
		closed := make(chan struct{})
		go h.run(closed)
		m := hepMessage{from: netip.MustParseAddrPort(callerAddr), to: netip.MustParseAddrPort(serverAddr),
			text: []byte("REGISTER sip:x SIP/2.0\r\nAuthorization: Digest response=\"cafe\"\r\n\r\n")}
		h.offer(m)
		synctest.Wait() // one is on its way and waits
		for range 20 {
			h.offer(m)
		}
		if got := h.dropped.Load(); got != 4 {
			t.Errorf("%d dropped, want 4", got)
		}
		close(w.held)
		synctest.Wait()
		if got := h.sent.Load(); got != 17 || bytes.Contains(w.last, []byte("cafe")) || !bytes.Contains(w.last, []byte("REGISTER sip:x")) {
			t.Errorf("%d sent, the last %q", got, w.last)
		}
		w.err = net.ErrClosed
		h.offer(m)
		synctest.Wait()
		if got := h.failed.Load(); got != 1 {
			t.Errorf("%d failed", got)
		}
		w.err, w.held = nil, make(chan struct{})
		h.offer(m)
		synctest.Wait()
		h.offer(m)
		close(closed) // what waits at the end is sent still
		close(w.held)
		synctest.Wait()
		if got := h.sent.Load(); got != 19 {
			t.Errorf("%d sent in the end, want 19", got)
		}
	})
}

// The dialogs of one call share the Call-ID of its first one, also when calls are pushed
// out of memory, which then holds nothing of them.
func TestHEPCorrelation(t *testing.T) {
	tr := newTraces(2)
	for _, id := range []string{"a", "b"} {
		tracedInvite(tr, id, "1")
		tr.keep(id)
		tr.join(id, "call")
	}
	if a, b, c := tr.lead("a"), tr.lead("b"), tr.lead("c"); a != "a" || b != "a" || c != "c" {
		t.Errorf("a with %s, b with %s, c with %s", a, b, c)
	}
	for _, id := range []string{"d", "e"} {
		tracedInvite(tr, id, "1")
		tr.keep(id)
	}
	if len(tr.leads) != 0 || tr.lead("b") != "b" {
		t.Errorf("still held: %v", tr.leads)
	}
}
