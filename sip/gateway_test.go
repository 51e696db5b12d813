package sip

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	gw1 = "10.0.0.11:5060"
	gw2 = "10.0.0.12:5060"
	gw3 = "10.0.0.13:5060"
)

// gateways are peers that take calls from the stack under test, each as its
// script says; they note what came.
type gateways struct {
	mu    sync.Mutex
	taken []string // addresses in the order in which INVITEs came
	legs  []*Leg
}

func (g *gateways) all() string { g.mu.Lock(); defer g.mu.Unlock(); return strings.Join(g.taken, " ") }

func (g *gateways) open(t *testing.T, n *memNet, addr string, do func(*Leg)) *Stack {
	t.Helper()
	s := memStack(t, n, addr, Options{Access: Access{Trunks: []Trunk{anyTrunk}}, Handlers: Handlers{Invite: func(l *Leg) {
		g.mu.Lock()
		g.taken = append(g.taken, addr)
		g.legs = append(g.legs, l)
		g.mu.Unlock()
		do(l)
	}}})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func answers(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) }

func rejects(code int, headers ...string) func(*Leg) {
	return func(l *Leg) { _ = l.Reject(code, "No", headers...) }
}

// out is a trunk with gateways at the addresses, in this order of priority.
func out(addrs ...string) Trunk {
	tr := Trunk{Name: "out"}
	for i, a := range addrs {
		host, _, _ := strings.Cut(a, ":")
		tr.Outbound.Gateways = append(tr.Outbound.Gateways, Gateway{Host: host, Port: 5060, Network: "udp", Priority: i, Weight: 1})
	}
	return tr
}

func dialer(t *testing.T, n *memNet, tr Trunk) *Stack {
	t.Helper()
	s := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{tr}}})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func dialOut(s *Stack) Outcome {
	d := s.DialTrunk("out", Outgoing{ToUser: "+8613800000000", FromUser: "95599", Offer: []byte("v=0\r\n")})
	<-d.Done()
	return d.Outcome()
}

// What leads to the next gateway, and what speaks for the person called.
func TestGatewaysAreTriedInTurn(t *testing.T) {
	for _, tc := range []struct {
		first func(*Leg)
		name  string
		want  string // gateways that saw the call
		cause DialCause
	}{
		{answers, "answer", gw1, ""},
		{rejects(503), "503", gw1 + " " + gw2, ""},
		{rejects(500), "500", gw1 + " " + gw2, ""},
		{rejects(408), "408", gw1 + " " + gw2, ""},
		{rejects(502), "502", gw1 + " " + gw2, ""},
		{rejects(501), "501 isn't in the rule", gw1, DialUnreachable},
		{rejects(486), "486", gw1, DialBusy},
		{rejects(404), "404", gw1, DialUnreachable},
		{rejects(403), "403", gw1, DialRefused},
		{rejects(480), "480", gw1, DialUnreachable},
		{rejects(600), "600", gw1, DialBusy},
		{rejects(603), "603", gw1, DialRefused},
		{rejects(302, "Contact", "<sip:1900@10.0.0.13>"), "302", gw1, DialRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, g := newMemNet(), &gateways{}
				g.open(t, n, gw1, tc.first)
				g.open(t, n, gw2, answers)
				s := dialer(t, n, out(gw1, gw2))
				o := dialOut(s)
				if g.all() != tc.want || o.Cause != tc.cause || (o.Leg != nil) != (tc.cause == "") {
					t.Fatalf("gateways %q, outcome %+v; want %q, cause %q", g.all(), o, tc.want, tc.cause)
				}
				if o.Leg != nil {
					o.Leg.Hangup()
				}
			})
		})
	}
}

// A gateway that says nothing costs the time for a first answer, and is tried
// last by the calls that follow.
func TestSilentGatewayIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw2, answers)
		tr := out(gw1, gw2)
		tr.Outbound.Unreachable = 2 * time.Second
		s := dialer(t, n, tr)
		t0 := time.Now()
		first := dialOut(s)
		if first.Leg == nil || time.Since(t0) != 2*time.Second {
			t.Fatalf("outcome %+v after %v, want a leg after 2s", first, time.Since(t0))
		}
		t0 = time.Now()
		second := dialOut(s)
		if second.Leg == nil || time.Since(t0) != 0 {
			t.Fatalf("outcome %+v after %v, want a leg at once", second, time.Since(t0))
		}
		first.Leg.Hangup()
		second.Leg.Hangup()
		time.Sleep(suspectFor + time.Second)
		t0 = time.Now()
		third := dialOut(s)
		if third.Leg == nil || time.Since(t0) != 2*time.Second {
			t.Fatalf("outcome %+v after %v: the first gateway has its turn again", third, time.Since(t0))
		}
		third.Leg.Hangup()
	})
}

// RFC 3261 21.5.4: a gateway that asks for rest has it, one tick before its end
// and no longer; what it can ask for is bounded.
func TestRetryAfterGivesAGatewayRest(t *testing.T) {
	for header, rest := range map[string]time.Duration{
		"20": 20 * time.Second, "18 (moving house);duration=3600": 18 * time.Second, "99999": time.Minute, "0": 0, "": 0,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, g := newMemNet(), &gateways{}
				if header == "" {
					g.open(t, n, gw1, rejects(503))
				} else {
					g.open(t, n, gw1, rejects(503, "Retry-After", header))
				}
				g.open(t, n, gw2, rejects(486))
				tr := out(gw1, gw2)
				tr.Outbound.MaxRest = time.Minute
				s := dialer(t, n, tr)
				want := []string{gw1, gw2}
				dialOut(s)
				if rest > 0 {
					time.Sleep(rest - 1)
					dialOut(s)
					want = append(want, gw2)
					time.Sleep(time.Nanosecond)
				}
				dialOut(s)
				want = append(want, gw1, gw2)
				if !slices.Equal(g.taken, want) {
					t.Errorf("gateways %q, want %q", g.taken, want)
				}
			})
		})
	}
}

func TestAllGatewaysFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw1, rejects(503, "Retry-After", "30"))
		g.open(t, n, gw2, rejects(500))
		s := dialer(t, n, out(gw1, gw2, gw3))
		if o := dialOut(s); o.Leg != nil || o.Cause != DialUnreachable || o.Code != 503 || g.all() != gw1+" "+gw2 {
			t.Errorf("outcome %+v by %q", o, g.all())
		}
		synctest.Wait()
		if s.Calls() != 0 {
			t.Error("a dialog is left")
		}
	})
}

// One leg comes out: the call given up while the second gateway rings is
// cancelled there, and no third one is tried.
func TestCancelStopsTheSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw1, rejects(503))
		g.open(t, n, gw2, func(l *Leg) { l.Ring() })
		g.open(t, n, gw3, answers)
		s := dialer(t, n, out(gw1, gw2, gw3))
		d := s.DialTrunk("out", Outgoing{ToUser: "+8613800000000", FromUser: "95599"})
		<-d.Ringing()
		if l := d.Cancel(); l != nil {
			t.Fatal("a leg came out")
		}
		synctest.Wait()
		if g.all() != gw1+" "+gw2 || g.legs[1].End().Cause != EndRemoteCancel || d.Outcome().Cause != DialCancelled {
			t.Errorf("gateways %q, the second ended %+v, outcome %+v", g.all(), g.legs[1].End(), d.Outcome())
		}
	})
}

// A silent gateway that answers late, when another one has the call already, gets
// ACK and BYE.
func TestLateAnswerOfAGatewayIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		var late atomic.Bool
		n.drop = func(from, to, text string) bool { return from == gw1 && !late.Load() }
		g.open(t, n, gw1, func(l *Leg) { time.Sleep(5 * time.Second); late.Store(true); answers(l) })
		g.open(t, n, gw2, answers)
		s := dialer(t, n, out(gw1, gw2))
		o := dialOut(s)
		if o.Leg == nil {
			t.Fatalf("outcome %+v", o)
		}
		time.Sleep(6 * time.Second)
		if e := g.legs[0].End().Cause; e != EndRemoteBye {
			t.Errorf("the late one ended with %q, want remote_bye", e)
		}
		if isClosed(o.Leg.Done()) {
			t.Error("the call itself has ended")
		}
		o.Leg.Hangup()
	})
}

func TestTrunkWithoutAWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		s := dialer(t, n, Trunk{Name: "in only"})
		for _, name := range []string{"out", "in only"} {
			d := s.DialTrunk(name, Outgoing{ToUser: "110"})
			if !isClosed(d.Done()) || d.Outcome().Cause != DialNoRoute {
				t.Errorf("%s: outcome %+v", name, d.Outcome())
			}
			if d.Cancel() != nil {
				t.Error("a leg")
			}
		}
	})
}

// A trunk that is full, or whose gateways all fail, leaves the call to the next
// one, with that one's numbers and login; the places are given back.
func TestTrunksAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw1, answers)
		g.open(t, n, gw2, rejects(503))
		g.open(t, n, gw3, answers)
		full, failing, last := out(gw1), out(gw2), out(gw3)
		full.Name, failing.Name, last.Name = "full", "failing", "last"
		full.Limits.MaxCalls = 1
		full.Outbound.Numbers = NumberRules{{Strip: 3, Prepend: "0"}}
		failing.Outbound.Numbers = NumberRules{{Strip: 1, Prepend: "00"}}
		s := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{full, failing, last}}})
		defer s.Close()
		dial := func(names ...string) Outcome {
			d := s.DialTrunks(names, Outgoing{ToUser: "+8613800000000", FromUser: "95599"})
			<-d.Done()
			return d.Outcome()
		}
		first, second := dial("full", "nobody", "last"), dial("full", "failing", "last")
		if first.Leg == nil || second.Leg == nil || g.all() != gw1+" "+gw2+" "+gw3 {
			t.Fatalf("outcomes %+v, %+v by %q", first, second, g.all())
		}
		var dialled []string
		for _, l := range g.legs {
			dialled = append(dialled, l.Incoming().Dialled)
		}
		if got := strings.Join(dialled, " "); got != "013800000000 008613800000000 +8613800000000" {
			t.Errorf("dialled %s", got)
		}
		busy := func() string {
			synctest.Wait()
			var out []string
			for _, t := range s.Trunks() {
				out = append(out, fmt.Sprint(t.Name, t.CallsOut))
			}
			return strings.Join(out, " ")
		}
		if got := busy(); got != "failing0 full1 last1" {
			t.Errorf("calls %s", got)
		}
		if o := dial("full", "nobody"); o.Cause != DialNoCapacity {
			t.Errorf("outcome %+v, want no capacity", o)
		}
		if o := dial("failing"); o.Cause != DialUnreachable || o.Code != 503 {
			t.Errorf("outcome %+v, want 503", o)
		}
		if o := dial(); o.Cause != DialNoRoute {
			t.Errorf("outcome %+v, want no route", o)
		}
		first.Leg.Hangup()
		second.Leg.Hangup()
		if got := busy(); got != "failing0 full0 last0" {
			t.Errorf("calls %s are left", got)
		}
	})
}

func TestWeightsShareTheCalls(t *testing.T) {
	count := map[string]int{}
	for range 10000 {
		list := []Gateway{{Host: "c", Priority: 1, Weight: 100}, {Host: "a", Weight: 3}, {Host: "b", Weight: 1}, {Host: "z"}}
		shuffle(list, func(g Gateway) (int, int) { return g.Priority, g.Weight })
		count[list[0].Host]++
		if got := fmt.Sprint(list[2].Host, list[3].Host); got != "zc" {
			t.Fatalf("the last two are %q: weight 0 comes last of its priority", got)
		}
	}
	if a := count["a"]; a < 7200 || a > 7800 || count["b"] != 10000-a {
		t.Errorf("first ones %v, want a three times as often as b", count)
	}
}

// A gateway that calls itself by name in Record-Route and Contact gets ACK and BYE
// at once, however slow the DNS is; one that names another host gets them there.
func TestNamedNextHop(t *testing.T) {
	for _, tc := range []struct {
		name, host, zone string
		slow             time.Duration
		to               string
		wait             time.Duration
	}{
		{"its own name", "gw.test", "", time.Minute, gw1, 0},
		{"another one", "sbc.test", "sbc.test. 60 IN A 10.0.0.12", 0, gw2, 0},
		{"a name that nobody knows", "sbc.test", "", 0, gw1, 0},
		{"a slow DNS", "sbc.test", "sbc.test. 60 IN A 10.0.0.12", time.Minute, gw1, namedWithin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, r := newMemNet(), &scripted{}
				route := "Record-Route: <sip:" + tc.host + ":5060;lr>\r\nContact: <sip:g@" + tc.host + ":5060>"
				r.open(n, gw1, "200 OK|"+route, "200 OK")
				defer r.close(n, gw1)
				far := n.listen(gw2)
				defer far.Close()
				tr := out(gw1)
				tr.Outbound.Domain = "gw.test"
				s := dialer(t, n, tr)
				z := newZone(t)
				if tc.zone != "" {
					z = newZone(t, tc.zone)
				}
				z.set(tc.slow, nil)
				s.resolver.query = z.query
				t0 := time.Now()
				d := s.DialTrunk("out", Outgoing{ToUser: "110", Offer: []byte("v=0\r\n")})
				<-d.Done()
				o := d.Outcome()
				if o.Leg == nil || time.Since(t0) != tc.wait {
					t.Fatalf("outcome %+v after %v, want %v", o, time.Since(t0), tc.wait)
				}
				o.Leg.Hangup()
				synctest.Wait()
				for _, method := range []string{"ACK ", "BYE "} {
					if sent := n.sent(serverAddr, method); len(sent) == 0 || sent[0].to != tc.to {
						t.Errorf("%s went %v, want to %s", method, sent, tc.to)
					}
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}
