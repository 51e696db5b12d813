package sip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// zone is a DNS for tests: records by name and type.
type zone struct {
	mu    sync.Mutex
	rrs   map[string][]dns.RR
	asked int
	err   error
	slow  time.Duration
}

func newZone(t *testing.T, lines ...string) *zone {
	z := &zone{rrs: map[string][]dns.RR{}}
	for _, l := range lines {
		rr, err := dns.NewRR(l)
		if err != nil {
			t.Fatal(err)
		}
		key := rr.Header().Name + dns.TypeToString[rr.Header().Rrtype]
		z.rrs[key] = append(z.rrs[key], rr)
	}
	return z
}

func (z *zone) query(_ context.Context, name string, kind uint16) ([]dns.RR, error) {
	z.mu.Lock()
	slow, err, rrs := z.slow, z.err, z.rrs[name+dns.TypeToString[kind]]
	z.asked++
	z.mu.Unlock()
	time.Sleep(slow)
	return rrs, err
}

func (z *zone) set(slow time.Duration, err error) {
	z.mu.Lock()
	z.slow, z.err, z.asked = slow, err, 0
	z.mu.Unlock()
}

func (z *zone) count() int { z.mu.Lock(); defer z.mu.Unlock(); return z.asked }

// hops are the addresses of a gateway by a stack with listeners on UDP and IPv4,
// and TCP.
func (z *zone) hops(t *testing.T, g Gateway, networks ...string) ([]string, error) {
	t.Helper()
	r := &resolver{spawn: func(f func()) bool { go f(); return true }, query: z.query, entries: map[place]*entry{},
		leads: func(network string, v4 bool) bool { return v4 && slices.Contains(networks, network) }}
	s := &Stack{resolver: r}
	found, err := s.locate(t.Context(), g)
	var out []string
	for _, h := range found {
		out = append(out, h.network+" "+h.addr)
	}
	return out, err
}

// RFC 3263 4.1, 4.2.
func TestGatewaysAreFoundByTheDNS(t *testing.T) {
	both := []string{"UDP", "TCP"}
	full := []string{
		`naptr.test. 60 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.naptr.test.`,
		`naptr.test. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.naptr.test.`,
		`naptr.test. 60 IN NAPTR 5 10 "s" "SIPS+D2T" "" _sips._tcp.naptr.test.`,
		`naptr.test. 60 IN NAPTR 1 10 "u" "E2U+sip" "!^.*$!sip:x@y!" .`,
		"_sip._udp.naptr.test. 60 IN SRV 10 1 5070 a.test.",
		"_sip._tcp.naptr.test. 60 IN SRV 20 1 5072 b.test.",
		"_sip._tcp.naptr.test. 60 IN SRV 10 1 5071 a.test.",
		"_sips._tcp.naptr.test. 60 IN SRV 10 1 5073 a.test.",
		"a.test. 60 IN A 192.0.2.1",
		"a.test. 60 IN A 192.0.2.2",
		"a.test. 60 IN AAAA 2001:db8::1",
		"b.test. 60 IN A 192.0.2.3",
		"_sip._udp.srv.test. 60 IN SRV 10 1 5090 b.test.",
		"_sip._tcp.srv.test. 60 IN SRV 10 1 5091 b.test.",
		"_sip._udp.none.test. 60 IN SRV 0 0 0 .",
		"none.test. 60 IN A 192.0.2.9",
	}
	for _, tc := range []struct {
		name string
		g    Gateway
		nets []string
		want string // by rank; those of one rank come in any order
	}{
		{"NAPTR, in its order, without TLS", Gateway{Host: "naptr.test"}, both,
			"TCP 192.0.2.1:5071, TCP 192.0.2.2:5071; TCP 192.0.2.3:5072; UDP 192.0.2.1:5070, UDP 192.0.2.2:5070"},
		{"NAPTR, only UDP spoken", Gateway{Host: "naptr.test"}, both[:1], "UDP 192.0.2.1:5070, UDP 192.0.2.2:5070"},
		{"SRV of the network given", Gateway{Host: "naptr.test", Network: "udp"}, both, "UDP 192.0.2.1:5070, UDP 192.0.2.2:5070"},
		{"SRV without NAPTR", Gateway{Host: "srv.test"}, both, "UDP 192.0.2.3:5090; TCP 192.0.2.3:5091"},
		{"a port: addresses only", Gateway{Host: "a.test", Port: 5099}, both, "UDP 192.0.2.1:5099, UDP 192.0.2.2:5099"},
		{"neither NAPTR nor SRV", Gateway{Host: "b.test", Network: "tcp"}, both, "TCP 192.0.2.3:5060"},
		{"TLS has its own port", Gateway{Host: "b.test", Network: "tls"}, []string{"TLS"}, "TLS 192.0.2.3:5061"},
		{"an address", Gateway{Host: "192.0.2.77"}, both, "UDP 192.0.2.77:5060"},
		{"an IPv6 address", Gateway{Host: "2001:db8::7", Port: 5080, Network: "tcp"}, both, "TCP [2001:db8::7]:5080"},
		{"SRV that says no", Gateway{Host: "none.test", Network: "udp"}, both, "UDP 192.0.2.9:5060"},
		{"nothing", Gateway{Host: "nobody.test"}, both, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			z := newZone(t, full...)
			got, err := z.hops(t, tc.g, tc.nets...)
			if (err != nil) != (tc.want == "") {
				t.Fatalf("error %v", err)
			}
			for rank := range strings.SplitSeq(tc.want, "; ") {
				want := strings.Split(rank, ", ")
				if tc.want == "" {
					break
				}
				if len(got) < len(want) {
					t.Fatalf("addresses %q, want %q next", got, want)
				}
				slices.Sort(got[:len(want)])
				if !slices.Equal(got[:len(want)], want) {
					t.Errorf("addresses %q, want %q next", got, want)
				}
				got = got[len(want):]
			}
			if len(got) > 0 {
				t.Errorf("addresses %q are left", got)
			}
		})
	}
}

// The weights of SRV share the calls; the priority comes first.
func TestSRVWeights(t *testing.T) {
	z := newZone(t,
		"_sip._udp.w.test. 60 IN SRV 10 30 5060 a.test.", "_sip._udp.w.test. 60 IN SRV 10 10 5060 b.test.",
		"_sip._udp.w.test. 60 IN SRV 20 90 5060 c.test.",
		"a.test. 60 IN A 192.0.2.1", "b.test. 60 IN A 192.0.2.2", "c.test. 60 IN A 192.0.2.3")
	first := map[string]int{}
	for range 4000 {
		got, err := z.hops(t, Gateway{Host: "w.test", Network: "udp"}, "UDP")
		if err != nil || got[2] != "UDP 192.0.2.3:5060" {
			t.Fatalf("%q, %v", got, err)
		}
		first[got[0]]++
	}
	if a := first["UDP 192.0.2.1:5060"]; a < 2800 || a > 3200 {
		t.Errorf("first ones %v, want a three times as often as b", first)
	}
}

// What is known counts for its TTL within bounds; then it is asked for in the
// background, and the old addresses count until, and as long as, no better ones
// come.
func TestAddressesAreRemembered(t *testing.T) {
	for ttl, life := range map[int]time.Duration{1: minTTL, 60: time.Minute, 999999: maxTTL} {
		t.Run(fmt.Sprint(ttl), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, fmt.Sprintf("a.test. %d IN A 192.0.2.1", ttl))
				r := &resolver{spawn: func(f func()) bool { go f(); return true }, query: z.query, entries: map[place]*entry{},
					leads: func(_ string, v4 bool) bool { return v4 }}
				find := func() (int, time.Duration) {
					t0 := time.Now()
					got, err := r.find(t.Context(), place{"a.test", 5060, "UDP"})
					if err != nil || len(got) != 1 {
						t.Fatalf("found %v, %v", got, err)
					}
					took := time.Since(t0)
					synctest.Wait()
					return z.count(), took
				}
				z.set(time.Second, nil)
				if asked, took := find(); asked != 1 || took != time.Second {
					t.Fatalf("asked %d times in %v", asked, took)
				}
				time.Sleep(life - time.Nanosecond)
				if asked, took := find(); asked != 1 || took != 0 {
					t.Fatalf("asked %d times within its life, in %v", asked, took)
				}
				z.set(3*time.Second, errors.New("the DNS is gone"))
				time.Sleep(time.Nanosecond)
				if asked, took := find(); asked != 1 || took != 0 {
					t.Fatalf("asked %d times after its life, waited %v: want a question in the background", asked, took)
				}
				time.Sleep(time.Hour)
				if _, took := find(); took != 0 {
					t.Fatalf("waited %v for a DNS that is gone", took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// A dead DNS costs the first call at most the time of its own gateways, and the
// caller who gives up doesn't wait for it.
func TestDeadDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t)
		z.set(4*time.Second, errors.New("no answer"))
		n, g := newMemNet(), &gateways{}
		g.open(t, n, gw1, answers)
		tr := out(gw1)
		tr.Outbound.Gateways[0].Priority = 1
		tr.Outbound.Gateways = append(tr.Outbound.Gateways, Gateway{Host: "gone.test", Port: 5060, Network: "udp"})
		s := dialer(t, n, tr)
		s.resolver.query = z.query
		d := s.DialTrunk("out", Outgoing{ToUser: "110"})
		time.Sleep(time.Second)
		d.Cancel()
		synctest.Wait()
		if !isClosed(d.Done()) || g.all() != "" {
			t.Error("the call goes on")
		}
		if o := dialOut(s); o.Leg == nil {
			t.Errorf("outcome %+v, want the other gateway", o)
		} else {
			o.Leg.Hangup()
		}
		t0 := time.Now()
		o := dialOut(s)
		if o.Leg == nil || time.Since(t0) != 0 {
			t.Errorf("outcome %+v after %v: the failure isn't remembered", o, time.Since(t0))
		}
		if o.Leg != nil {
			o.Leg.Hangup()
		}
		if st := s.Trunks()[0].Gateways; st[1].Up || !st[0].Up {
			t.Errorf("gateways %+v", st)
		}
	})
}

// The whole way with a name server and gateways on real sockets: NAPTR, SRV, the
// first gateway fails, the second one answers.
func TestCallByNameServer(t *testing.T) {
	open := func(do func(*Leg), o Options) (*Stack, uint16) {
		o.Listen = []Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
		o.Logger = slog.New(slog.DiscardHandler)
		o.Handlers.Invite = do
		o.Access.Trunks = append(o.Access.Trunks, Trunk{Name: "any", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, s.Addr(0).Port()
	}
	var tried sync.WaitGroup
	tried.Add(1)
	_, bad := open(func(l *Leg) { _ = l.Reject(503, "No"); tried.Done() }, Options{})
	_, good := open(answers, Options{})
	z := newZone(t, `carrier.test. 60 IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 10 1 %d a.carrier.test.", bad),
		fmt.Sprintf("_sip._udp.carrier.test. 60 IN SRV 20 1 %d a.carrier.test.", good),
		"a.carrier.test. 60 IN A 127.0.0.1")
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		res := new(dns.Msg)
		res.SetReply(m)
		res.Answer, _ = z.query(context.Background(), m.Question[0].Name, m.Question[0].Qtype)
		if len(res.Answer) == 0 {
			res.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(res)
	})}
	go func() { _ = server.ActivateAndServe() }()
	<-ready
	defer func() { _ = server.Shutdown() }()
	s, _ := open(nil, Options{DNS: []string{pc.LocalAddr().String()}, Access: Access{Trunks: []Trunk{{Name: "out",
		Outbound: Outbound{Gateways: []Gateway{{Host: "carrier.test"}}}}}}})
	d := s.DialTrunk("out", Outgoing{ToUser: "+8613800000000", FromUser: "95599", Offer: []byte("v=0\r\n")})
	select {
	case <-d.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("no outcome")
	}
	tried.Wait()
	o := d.Outcome()
	if o.Leg == nil {
		t.Fatalf("outcome %+v", o)
	}
	o.Leg.Hangup()
	s.Settle(t.Context())
}
