package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func watched(addrs ...string) Trunk {
	tr := out(addrs...)
	tr.Outbound.Health = Health{Interval: 10 * time.Second, Failures: 3}
	return tr
}

func states(s *Stack) string {
	var out []string
	for _, t := range s.Trunks() {
		for _, g := range t.Gateways {
			for _, a := range g.Addresses {
				out = append(out, a.State)
			}
		}
	}
	return strings.Join(out, " ")
}

// A gateway is down after the third silent OPTIONS, not before, and up again at the
// first answer; calls pass it over meanwhile without waiting for it.
func TestOptionsTellWhichGatewayIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		var dead atomic.Bool
		n.drop = func(from, to, text string) bool { return to == gw1 && dead.Load() }
		g.open(t, n, gw1, rejects(486))
		g.open(t, n, gw2, rejects(486))
		s := dialer(t, n, watched(gw1, gw2))
		time.Sleep(time.Second)
		if got := states(s); got != "up up" {
			t.Fatalf("gateways %s", got)
		}
		dead.Store(true)
		// Pings at 10, 20 and 30 s, each given up after 5 s.
		time.Sleep(34*time.Second - time.Nanosecond)
		if got := states(s); got != "up up" {
			t.Fatalf("gateways %s after two failures", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := states(s); got != "down up" || s.Trunks()[0].Gateways[0].Up || !s.Trunks()[0].Gateways[1].Up {
			t.Fatalf("gateways %s after three failures", got)
		}
		t0 := time.Now()
		if o := dialOut(s); o.Cause != DialBusy || time.Since(t0) != 0 || g.all() != gw2 {
			t.Fatalf("outcome %+v after %v by %s", o, time.Since(t0), g.all())
		}
		dead.Store(false)
		time.Sleep(5 * time.Second) // the ping of second 40
		synctest.Wait()
		if got := states(s); got != "up up" {
			t.Errorf("gateways %s, want both up at the first answer", got)
		}
	})
}

// Any answer but 408 and 503 is a sign of life.
func TestAnswersToOptions(t *testing.T) {
	for status, state := range map[string]string{"200 OK": "up", "404 Not Found": "up", "401 Unauthorized": "up", "500 Oh": "up",
		"503 Service Unavailable": "down", "408 Request Timeout": "down"} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				c := n.listen(gw1)
				defer c.Close()
				go func() {
					b := make([]byte, 4096)
					for {
						m, from, err := c.ReadFrom(b)
						if err != nil {
							return
						}
						text := string(b[:m])
						_, _ = c.WriteTo(fmt.Appendf(nil, "SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=g\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n", status,
							header(text, "Via"), header(text, "From"), header(text, "To"), header(text, "Call-ID"), header(text, "CSeq")), from)
					}
				}()
				s := dialer(t, n, watched(gw1))
				time.Sleep(21 * time.Second)
				synctest.Wait()
				if got := states(s); got != state {
					t.Errorf("gateway is %s, want %s", got, state)
				}
			})
		})
	}
}

// All gateways down: the call is over at once, so that another trunk can be tried.
func TestNoGatewayIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		s := dialer(t, n, watched(gw1, gw2))
		time.Sleep(26 * time.Second)
		t0 := time.Now()
		if o := dialOut(s); o.Cause != DialUnreachable || time.Since(t0) != 0 {
			t.Errorf("outcome %+v after %v", o, time.Since(t0))
		}
		if len(n.sent(serverAddr, "INVITE ")) != 0 {
			t.Error("a gateway that is down got an INVITE")
		}
	})
}

// A reload begins the pings of new gateways and ends those of removed ones; what is
// known of those that stay is kept.
func TestReloadOfGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw2, answers)
		s := dialer(t, n, watched(gw1, gw2))
		time.Sleep(26 * time.Second)
		if got := states(s); got != "down up" {
			t.Fatalf("gateways %s", got)
		}
		s.SetAccess(Access{Trunks: []Trunk{watched(gw3, gw1)}})
		if got := states(s); got != "down" {
			t.Errorf("gateways %s, want what is known of the first one kept", got)
		}
		time.Sleep(time.Second)
		before := len(n.sent(serverAddr, "OPTIONS sip:10.0.0.12"))
		time.Sleep(time.Minute)
		if after := len(n.sent(serverAddr, "OPTIONS sip:10.0.0.12")); after != before {
			t.Error("the gateway that was taken away is still pinged")
		}
		if len(n.sent(serverAddr, "OPTIONS sip:10.0.0.13")) == 0 {
			t.Error("the new gateway isn't pinged")
		}
		s.SetAccess(Access{})
		time.Sleep(time.Second)
		before = len(n.sent(serverAddr, "OPTIONS "))
		time.Sleep(time.Minute)
		if len(n.sent(serverAddr, "OPTIONS ")) != before {
			t.Error("the gateways of a trunk that was taken away are still pinged")
		}
	})
}

// Calls from a trunk beyond its limits get 503, with Retry-After unless the trunk
// has no other way, and their places are given back.
func TestTrunkLimitsIncoming(t *testing.T) {
	for _, sole := range []bool{false, true} {
		t.Run(fmt.Sprintf("sole upstream %v", sole), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, seen := newMemNet(), newCounter()
				tr := Trunk{Name: "in", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
					Limits: TrunkLimits{MaxCalls: 1, MaxRate: 2}, SoleUpstream: sole}
				legs := make(chan *Leg, 4)
				s := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{tr}}, Observer: seen,
					Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}})
				defer s.Close()
				ua := memStack(t, n, callerAddr, Options{})
				defer ua.Close()
				dial := func() Outcome {
					d := dialTo(t, ua, "sip:95599@10.0.0.1:5060")
					<-d.Done()
					return d.Outcome()
				}
				first, second := dial(), dial()
				if first.Leg == nil || second.Code != 503 || (second.RetryAfter > 0) == sole {
					t.Fatalf("outcomes %+v, %+v", first, second)
				}
				if st := s.Trunks()[0]; st.CallsIn != 1 || st.RefusedIn != 1 || seen.of("trunk_limit") != 1 {
					t.Errorf("status %+v, %d counted", st, seen.of("trunk_limit"))
				}
				first.Leg.Hangup()
				synctest.Wait()
				third := dial()
				if third.Leg == nil {
					t.Fatalf("outcome %+v, want the place of the first call", third)
				}
				third.Leg.Hangup()
				synctest.Wait()
				if o := dial(); o.Code != 503 {
					t.Errorf("outcome %+v, want a third call within a second refused", o)
				}
				time.Sleep(500 * time.Millisecond)
				if o := dial(); o.Leg == nil {
					t.Errorf("outcome %+v, want a call half a second later", o)
				} else {
					o.Leg.Hangup()
				}
				synctest.Wait()
				if st := s.Trunks()[0]; st.CallsIn != 0 {
					t.Errorf("%d calls are left", st.CallsIn)
				}
			})
		})
	}
}

// An overloaded server tells a sole upstream no time to stay away for, either.
func TestOverloadOfASoleUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		tr := Trunk{Name: "in", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, SoleUpstream: true}
		s := memStack(t, n, serverAddr, Options{MaxCalls: -1, Access: Access{Trunks: []Trunk{tr}}})
		defer s.Close()
		for addr, told := range map[string]bool{callerAddr: false, agentAddr: true} {
			u := newUAC(t, n, addr)
			u.send("INVITE", 1, sdp("v=0")...)
			if got := header(u.until("SIP/2.0 503", ""), "Retry-After"); (got != "") != told {
				t.Errorf("%s: Retry-After %q", addr, got)
			}
		}
	})
}
