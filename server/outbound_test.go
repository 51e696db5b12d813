package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/sip"
)

// Who may dial what, when and how much.
func TestOutsideIsDecided(t *testing.T) {
	monday := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	right := &config.Right{Allow: []string{"+86", "10086"}, Deny: []string{"+8616"}, Hours: []config.Hours{"Mon-Fri 09:00-18:00"}, MaxCalls: 2, MinutesPerDay: 60}
	o := config.Outbound{Region: "CN"}
	var s spending
	ask := func(r *config.Right, who, number string, now time.Time) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.objection(r, who, number, o.Number(number), now)
	}
	begin := func(who string, now time.Time) *outcall {
		c, reason := s.begin(right, who, "10086", "10086", now)
		if c == nil {
			t.Fatalf("%s refused: %s", who, reason)
		}
		return c
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	is("no right", ask(nil, "agent:a", "10086", monday), noRight)
	is("allowed", ask(right, "agent:a", "13800000000", monday), "")
	is("another country", ask(right, "agent:a", "+4930123456", monday), noDestination)
	is("denied", ask(right, "agent:a", "16800000000", monday), noDestination)
	is("too early", ask(right, "agent:a", "10086", monday.Add(-61*time.Minute)), noHours)

	first, second := begin("agent:a", monday), begin("agent:a", monday)
	is("a third call", ask(right, "agent:a", "10086", monday), noCallsLeft)
	is("somebody else", ask(right, "agent:b", "10086", monday), "")
	second.end(monday.Add(50 * time.Minute)) // never answered: costs nothing
	first.answer(monday.Add(10 * time.Minute))
	is("a place is free", ask(right, "agent:a", "10086", monday.Add(69*time.Minute)), "")
	if left, bounded, _ := first.left(monday.Add(69 * time.Minute)); left != time.Minute || !bounded {
		t.Errorf("%v left, %v; want a minute", left, bounded)
	}
	is("its minutes are used up by a call in progress", ask(right, "agent:a", "10086", monday.Add(70*time.Minute)), noMinutesLeft)
	first.end(monday.Add(70 * time.Minute))
	is("and stay so", ask(right, "agent:a", "10086", monday.Add(7*time.Hour)), noMinutesLeft)
	is("until the next day", ask(right, "agent:a", "10086", monday.Add(24*time.Hour)), "")

	// A call over midnight costs each day its part.
	night := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	long := begin("agent:c", monday)
	long.answer(night.Add(-30 * time.Minute))
	if left, _, _ := long.left(night.Add(-time.Nanosecond)); left != 30*time.Minute+time.Nanosecond {
		t.Errorf("%v left before midnight", left)
	}
	if left, _, _ := long.left(night.Add(20 * time.Minute)); left != 40*time.Minute {
		t.Errorf("%v left after midnight", left)
	}
	long.end(night.Add(20 * time.Minute))
	if c := begin("agent:c", monday.Add(24*time.Hour)); c != nil {
		if left, _, _ := c.left(monday.Add(24 * time.Hour)); left != 40*time.Minute {
			t.Errorf("%v left on the next day", left)
		}
		c.end(monday.Add(24 * time.Hour))
	}
}

// outsideWorld takes calls by UDP, as a trunk's gateway.
type outsideWorld struct {
	*sip.Stack
	legs chan *sip.Leg
}

func openOutside(t *testing.T) *outsideWorld {
	t.Helper()
	w := &outsideWorld{legs: make(chan *sip.Leg, 4)}
	var err error
	w.Stack, err = sip.Open(sip.Options{Logger: slog.New(slog.DiscardHandler),
		Listen: []sip.Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Access: sip.Access{Trunks: []sip.Trunk{{Name: "us", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}},
		Handlers: sip.Handlers{Invite: func(l *sip.Leg) {
			_ = l.Answer([]byte("v=0\r\n"))
			w.legs <- l
		}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// An agent with the right reaches the outside by the route's trunk; without it, or
// another number, nothing is sent, and it is counted and logged without the number.
func TestDialOut(t *testing.T) {
	world := openOutside(t)
	h := start(t, func(c *config.Config) {
		c.Trunks = append(c.Trunks, config.Trunk{Name: "out", Region: "CN", UnreachableAfter: time.Second,
			Gateways: []config.Gateway{{Host: world.Addr(0).String(), Transport: "udp"}}, CallerID: "95599",
			NumbersOut: []config.NumberRule{{Prefix: "+86", Strip: 3, Prepend: "0"}}})
		c.Outbound = config.Outbound{Region: "CN", Routes: []config.Route{{Prefix: "+86", Trunks: []string{"out"}}},
			Rights: []config.Right{{Name: "national", Allow: []string{"+86", "+49"}, MaxCalls: 1, MinutesPerDay: 1, Flows: []string{"direct"}}}}
		c.Agents[0].Outbound = "national"
	})
	for _, tc := range []struct{ who, number, reason string }{
		{byAgent("bob"), "13800000000", noRight}, {byAgent("nobody"), "13800000000", noRight}, {byFlow("bye"), "13800000000", noRight},
		{"alice", "13800000000", noRight}, {byAgent("alice"), "110", noDestination}, {byAgent("alice"), "+4930123456", noRoute},
	} {
		d, err := h.dialOut(tc.who, tc.number, sip.Outgoing{})
		if d != nil || outsideReason(err) != tc.reason {
			t.Errorf("%s dials %s: %v, want %s", tc.who, tc.number, err, tc.reason)
		}
	}
	h.log.mu.Lock()
	logged := h.log.b.String()
	h.log.mu.Unlock()
	if strings.Contains(logged, "13800000000") || !strings.Contains(logged, "reason=no_right") {
		t.Errorf("logged\n%s", logged)
	}
	body := h.page("/metrics")
	for _, want := range []string{`hotline_outside_refused_total{reason="no_right"} 4`, `hotline_outside_refused_total{reason="route"} 1`,
		`hotline_sip_gateway_up{gateway="` + world.Addr(0).String() + `",trunk="out"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	dial := func(who string) (*sip.Leg, *sip.Leg) {
		d, err := h.dialOut(who, "13800000000", sip.Outgoing{FromUser: "alice", Offer: []byte("v=0\r\n")})
		if err != nil {
			t.Fatal(err)
		}
		h.await("an outcome", d.Done())
		if d.Outcome().Leg == nil {
			t.Fatalf("outcome %+v", d.Outcome())
		}
		return d.Outcome().Leg, <-world.legs
	}
	ours, theirs := dial(byAgent("alice"))
	if in := theirs.Incoming(); in.Dialled != "013800000000" || in.Caller.Name != "" {
		t.Errorf("the carrier got %+v", in)
	}
	if _, err := h.dialOut(byAgent("alice"), "13800000000", sip.Outgoing{}); outsideReason(err) != noCallsLeft {
		t.Errorf("a second call: %v", err)
	}
	if trunks := h.list("/api/trunks"); len(trunks) != 2 || trunks[1]["name"] != "out" || trunks[1]["calls_out"] != 1.0 {
		t.Errorf("trunks %v", trunks)
	}
	ours.Hangup()
	h.await("the end", theirs.Done())

	// The minutes of the day end a call.
	zone := h.settings.Load().Routing.Zone()
	h.spending.mu.Lock()
	sp := newSpent()
	sp.day, sp.used = midnight(time.Now().In(zone)), time.Minute-200*time.Millisecond
	h.spending.who[byFlow("direct")] = sp
	h.spending.mu.Unlock()
	_, theirs = dial(byFlow("direct"))
	h.await("the minutes to end", theirs.Done())
	if theirs.End().Cause != sip.EndRemoteBye {
		t.Errorf("ended with %q", theirs.End().Cause)
	}
}

// What a caller's INVITE says of tier and customer in our own fields means nothing.
func TestTierFromOutsideIsIgnored(t *testing.T) {
	h := start(t, nil)
	p := h.textPhone()
	p.send("INVITE", "sip:1@"+h.SIPAddr().String(), "<sip:13800000001@127.0.0.1>;tag=l", "<sip:1@127.0.0.1>", "liar", sdp(40000, "8", "sendrecv"),
		"X-Hotline-Tier: A1", "X-Hotline-Customer: C-1", "X-Hotline-Queue: vip")
	p.until("SIP/2.0 200", "INVITE")
	h.when("the caller waits", func(s *routing.State) bool {
		for _, v := range s.Calls() {
			if v.Phase == routing.PhaseWaiting {
				if v.Tier != routing.TierC || v.Queue != "sales" {
					t.Errorf("the caller waits as %s for %s", v.Tier, v.Queue)
				}
				return true
			}
		}
		return false
	})
}

// page is what the HTTP server answers.
func (h *hotline) page(path string) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.HTTPAddr().String()+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(body)
}

// A trunk's callers are spoken with in the trunk's codecs.
func TestCodecsOfATrunk(t *testing.T) {
	h := start(t, func(c *config.Config) { c.Trunks[0].Codecs = []string{"pcmu"} })
	p := h.textPhone()
	p.send("INVITE", "sip:1@"+h.SIPAddr().String(), "<sip:13800000001@127.0.0.1>;tag=c", "<sip:1@127.0.0.1>", "codecs", sdp(40000, "8 0", "sendrecv"))
	if answer := p.until("SIP/2.0 200", "INVITE"); !strings.Contains(answer, "RTP/AVP 0\r\n") {
		t.Errorf("answered %q", answer)
	}
}
