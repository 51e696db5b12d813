package sip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkNames asks for a name that exists and for one that doesn't, in turn and each with a wrong password, over a real
// socket, and reports how much longer the answer takes for the one that exists: by the medians, and the half of the
// range that the difference of medians has over ten parts of the run.
func BenchmarkNames(b *testing.B) {
	names := [2]string{"alice", "mallo"}
	for _, step := range []string{"first", "wrong password"} {
		b.Run(step, func(b *testing.B) {
			s, err := Open(Options{Listen: []Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}, MaxSourceRate: -1, MaxDelay: -1,
				Access: Access{Accounts: []Account{account(MD5)}}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var took [2][]time.Duration
			for n := 0; b.Loop(); n++ {
				for i := range names {
					i = (i + n) % 2
					took[i] = append(took[i], guess(b, s.Addr(0), n, names[i], step))
				}
			}
			var parts []time.Duration
			for n := range 10 {
				parts = append(parts, apart(took, n*b.N/10, (n+1)*b.N/10))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(apart(took, 0, b.N)), "ns-longer")
			b.ReportMetric(float64(slices.Max(parts)-slices.Min(parts))/2, "±ns")
			b.ReportMetric(float64(median(took[1])), "ns-unknown")
		})
	}
}

func apart(took [2][]time.Duration, from, to int) time.Duration {
	if to <= from {
		return 0
	}
	return median(took[0][from:to]) - median(took[1][from:to])
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// guess tells how long the answer takes to a REGISTER, the first one without a password, or the one with a wrong one. Each
// comes from an address of its own, so that nobody is told to come later.
func guess(b *testing.B, server netip.AddrPort, n int, user, step string) time.Duration {
	b.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}), 0)), net.UDPAddrFromAddrPort(server))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var buf [2048]byte
	ask := func(seq int, header string) (string, time.Duration) {
		msg := fmt.Sprintf("REGISTER sip:hotline SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d%d%s\r\nFrom: <sip:%s@hotline>;tag=t\r\nTo: <sip:%s@hotline>\r\nCall-ID: %d%s\r\nCSeq: %d REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:%s@%s>\r\n%sContent-Length: 0\r\n\r\n",
			c.LocalAddr(), n, seq, user, user, user, n, user, seq, user, c.LocalAddr(), header)
		begin := time.Now()
		if _, err := c.Write([]byte(msg)); err != nil {
			b.Fatal(err)
		}
		_ = c.SetReadDeadline(begin.Add(5 * time.Second))
		size, err := c.Read(buf[:])
		if err != nil || !strings.HasPrefix(string(buf[:size]), "SIP/2.0 401 ") {
			b.Fatalf("%v, %q", err, buf[:size])
		}
		return string(buf[:size]), time.Since(begin)
	}
	challenge, took := ask(1, "")
	if step == "first" {
		return took
	}
	_, took = ask(2, answer(b, challenge, "REGISTER", "sip:hotline", user, "guess", 1)+"\r\n")
	return took
}
