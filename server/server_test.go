package server

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/softphone"
)

// Callers who can't be served get their status and a record.
func TestCallsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, did, codecs string
		change            func(*config.Config)
		code              string
		retry             bool
	}{
		{"a number nobody serves", "4711", "8", nil, "404", false},
		{"no common codec", "1", "18", nil, "488", false},
		{"no free RTP port", "1", "8", func(c *config.Config) { c.Media.Ports.Min, c.Media.Ports.Max = 34000, 34001 }, "503", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t, tc.change)
			want := 1
			if tc.retry { // one call takes the only pair of ports
				h.call()
				want = 2
			}
			p := h.textPhone()
			to := "<sip:" + tc.did + "@127.0.0.1>"
			p.send("INVITE", "sip:"+tc.did+"@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=c", to, "refused", sdp(4000, tc.codecs, "sendrecv"))
			res := p.until("SIP/2.0 "+tc.code, "INVITE")
			p.send("ACK", "sip:"+tc.did+"@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=c", field(res, "To"), "refused", "")
			if got := field(res, "Retry-After"); (got != "") != tc.retry {
				t.Errorf("Retry-After %q", got)
			}
			rs := h.finish()
			if len(rs) != want {
				t.Fatalf("%d records, want %d: %v", len(rs), want, rs)
			}
			found := false
			for _, r := range rs {
				found = found || r["outcome"] == "rejected" && r["cause"] == "rejected"
			}
			if !found {
				t.Errorf("no record says rejected: %v", rs)
			}
		})
	}
}

// A caller whose INVITE had no SDP: ours is in the 200, the IVR begins with the
// ACK that brings the caller's.
func TestCallerWithoutOffer(t *testing.T) {
	h := start(t, nil)
	p := h.textPhone()
	const uri, from = "sip:1@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=c"
	p.send("INVITE", uri, from, "<"+uri+">", "offerless", "")
	res := p.until("SIP/2.0 200", "INVITE")
	if !strings.Contains(res, "m=audio") {
		t.Fatalf("no SDP in %q", res)
	}
	h.when("answered", func(s *routing.State) bool {
		cs := s.Calls()
		return len(cs) == 1
	})
	if err := h.core.view(t.Context(), func(s *routing.State) {
		if cs := s.Calls(); len(cs) == 1 && cs[0].Phase == routing.PhaseWaiting {
			t.Error("the call went on before the ACK")
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.send("ACK", uri, from, field(res, "To"), "offerless", sdp(4004, "0", "sendrecv"))
	h.when("in the queue", func(s *routing.State) bool {
		return len(s.Calls()) == 1 && s.Calls()[0].Phase == routing.PhaseWaiting
	})
	p.send("BYE", uri, from, field(res, "To"), "offerless", "")
	p.until("SIP/2.0 200", "BYE")
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if rec := h.one(); rec["outcome"] != "abandoned" {
		t.Errorf("record %v", rec)
	}
}

// No port for the agent's leg, and seats that rest not at all: the offers come a
// second apart and not as fast as the processor can.
func TestOffersThatCannotBeginDoNotSpin(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Media.Ports.Min, c.Media.Ports.Max = 34010, 34011
		c.Routing.UnreachableDelay = 0
	})
	h.desk("alice")
	var at []time.Time
	twice := make(chan struct{})
	h.core.do(func() {
		next := h.core.decided
		h.core.decided = func(d routing.Decision, seq uint64) {
			next(d, seq)
			if _, ok := d.(*routing.Offer); ok {
				if at = append(at, time.Now()); len(at) == 2 {
					close(twice)
				}
			}
		}
	})
	caller := h.call()
	h.await("two offers", twice)
	if gap := at[1].Sub(at[0]); gap < failPause {
		t.Errorf("offered again after %v", gap)
	}
	caller.Hangup()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
}

// Wrap-up has a deadline; *4 ends it sooner.
func TestWrapUpEndsByDeadlineOrCode(t *testing.T) {
	for _, tc := range []struct {
		name   string
		wrapUp time.Duration
		code   bool
	}{{"deadline", 100 * time.Millisecond, false}, {"code", time.Hour, true}} {
		t.Run(tc.name, func(t *testing.T) {
			h := start(t, func(c *config.Config) { c.Queues[0].WrapUp = tc.wrapUp })
			desk, rings := h.desk("alice")
			caller := h.call()
			agent := h.pickUp(rings)
			h.seatIs("alice", routing.SeatTalking)
			caller.Hangup()
			h.await("end of the agent's leg", agent.Done())
			if tc.code {
				h.seatIs("alice", routing.SeatWrapUp)
				code, err := h.dial(desk, h.settings.Load().FeatureCodes.EndWrapUp)
				if err != nil {
					t.Fatal(err)
				}
				defer code.Hangup()
			}
			h.seatIs("alice", routing.SeatIdle)
			h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
			if rec := h.one(); rec["outcome"] != "answered" {
				t.Errorf("record %v", rec)
			}
		})
	}
}

func TestFeatureCodes(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.FeatureCodes.Breaks = []config.BreakCode{{Code: "*21", Reason: "lunch"}}
	})
	desk, _ := h.desk("alice")
	codes := h.settings.Load().FeatureCodes
	for _, tc := range []struct {
		code   string
		want   routing.Status
		reason string
	}{{codes.Break, routing.StatusBreak, "feature_code"}, {"*21", routing.StatusBreak, "lunch"}, {codes.LogOut, routing.StatusLoggedOut, ""}, {codes.Ready, routing.StatusReady, ""}} {
		c, err := h.dial(desk, tc.code)
		if err != nil {
			t.Fatalf("%s: %v", tc.code, err)
		}
		h.when(tc.code, func(s *routing.State) bool {
			v, _ := s.Seat("alice")
			return v.Status == tc.want && v.Reason == tc.reason
		})
		c.Hangup()
	}
	var refused *softphone.RefusedError
	if _, err := h.dial(desk, "*99"); !errors.As(err, &refused) || refused.Code != 404 {
		t.Errorf("unknown code: %v, want 404", err)
	}
	if rs := h.finish(); len(rs) != 0 {
		t.Errorf("feature codes made records: %v", rs)
	}
}

// A reload that fails changes nothing; one that drops an agent ends his
// registration while the call of another goes on.
func TestReload(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	bob, _ := h.desk("bob")
	caller := h.call()
	r := h.ring(rings)
	agent, err := r.Answer()
	if err != nil {
		t.Fatal(err)
	}
	before := h.settings.Load()
	if _, err := h.Reload(parse(t, h.dir, func(c *config.Config) { c.Directory.File = "/nowhere/customers.csv" })); err == nil {
		t.Fatal("a missing directory file was taken over")
	}
	if _, err := h.Reload(parse(t, h.dir, func(c *config.Config) { c.Prompts.Dir = "/nowhere" })); err == nil {
		t.Fatal("missing prompts were taken over")
	}
	if h.settings.Load() != before {
		t.Error("a refused config replaced the old one")
	}
	restart, err := h.Reload(parse(t, h.dir, func(c *config.Config) {
		c.Agents = c.Agents[:1]
		c.SIP.MaxCalls = 7
	}))
	if err != nil || strings.Join(restart, " ") != "sip.max_calls" {
		t.Errorf("restart %q, %v", restart, err)
	}
	// Told again as long as it is owed, not only the first time.
	restart, err = h.Reload(parse(t, h.dir, func(c *config.Config) {
		c.Agents = c.Agents[:1]
		c.SIP.MaxCalls = 7
	}))
	if err != nil || strings.Join(restart, " ") != "sip.max_calls" {
		t.Errorf("restart at the second reload %q, %v", restart, err)
	}
	h.when("bob gone", func(s *routing.State) bool { _, known := s.Seat("bob"); return !known })
	if len(h.sip.Contacts("bob")) != 0 {
		t.Error("bob is still registered")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bob.Register(ctx, time.Minute); err == nil {
		t.Error("bob may still register")
	}
	select {
	case <-caller.Done():
		t.Error("the reload ended a call")
	case <-agent.Done():
		t.Error("the reload ended a call")
	default:
	}
	caller.Hangup()
	h.await("end of the agent's leg", agent.Done())
}

func TestHTTPAsksForTheToken(t *testing.T) {
	h := start(t, func(c *config.Config) { c.HTTP.Token = "open-sesame" })
	for path, want := range map[string]int{"/metrics": 401, "/api/status": 401, "/api/seats": 401, "/healthz": 200, "/readyz": 200} {
		if code, _ := h.get("GET", path, ""); code != want {
			t.Errorf("%s without a token: %d, want %d", path, code, want)
		}
		if code, _ := h.get("GET", path, "wrong"); code != want {
			t.Errorf("%s with a wrong token: %d, want %d", path, code, want)
		}
		if code, _ := h.get("GET", path, "open-sesame"); code != 200 {
			t.Errorf("%s with the token: %d", path, code)
		}
	}
	if code, _ := h.get("POST", "/api/seats/alice/free", ""); code != 401 {
		t.Errorf("freeing a seat without a token: %d", code)
	}
	code, body := h.get("POST", "/api/seats/nobody/free", "open-sesame")
	if text, _ := body["error"].(string); code != 404 || !strings.Contains(text, "nobody") {
		t.Errorf("unknown seat: %d %v", code, body)
	}
	if code, _ := h.get("POST", "/api/seats/alice/free", "open-sesame"); code != 200 {
		t.Errorf("freeing a free seat: %d", code)
	}
}

// Draining: alive but not ready, no new calls, waiting callers keep waiting until
// the time is over; then everybody is hung up and has a record.
func TestDrain(t *testing.T) {
	h := start(t, nil)
	caller := h.call()
	h.when("in the queue", func(s *routing.State) bool {
		return len(s.Calls()) == 1 && s.Calls()[0].Phase == routing.PhaseWaiting
	})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Drain(over); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 calls") {
		t.Errorf("drain ended with %v", err)
	}
	if code, _ := h.get("GET", "/healthz", ""); code != 200 {
		t.Errorf("healthz %d", code)
	}
	if code, _ := h.get("GET", "/readyz", ""); code != 503 {
		t.Errorf("readyz %d", code)
	}
	var refused *softphone.RefusedError
	if _, err := h.dial(h.phone(), "1"); !errors.As(err, &refused) || refused.Code != 503 {
		t.Errorf("a call while draining: %v, want 503", err)
	}
	select {
	case <-caller.Done():
		t.Error("a waiting caller was hung up by the drain")
	default:
	}
	rec := h.one()
	h.await("end of the caller's leg", caller.Done())
	if rec["cause"] != "drained" || rec["outcome"] != "cut" {
		t.Errorf("record %v", rec)
	}
}

// A call that comes while the server closes is refused; nobody would record it.
func TestNoCallBeginsWhileClosing(t *testing.T) {
	h := start(t, nil)
	h.admit.Lock()
	h.closing = true
	h.admit.Unlock()
	var refused *softphone.RefusedError
	if _, err := h.dial(h.phone(), "1"); !errors.As(err, &refused) || refused.Code != 503 {
		t.Errorf("%v, want 503", err)
	}
}

// Freeing the seat of a talking agent ends the talk on both sides, and leaves
// nothing in memory.
func TestFreeingATalkingSeat(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	caller := h.call()
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	if code, body := h.get("POST", "/api/seats/alice/free", ""); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	h.await("end of the caller's leg", caller.Done())
	h.await("end of the agent's leg", agent.Done())
	h.seatIs("alice", routing.SeatIdle)
	rec := h.one()
	if rec["cause"] != "seat_freed" {
		t.Errorf("record %v", rec)
	}
	if len(h.figures) != 0 {
		t.Errorf("figures kept: %v", h.figures)
	}
}

// No full number of a caller in the log, at any level.
func TestLogHoldsNoFullNumber(t *testing.T) {
	h := start(t, nil)
	_, rings := h.desk("alice")
	caller := h.call()
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	caller.Hangup()
	h.await("end of the agent's leg", agent.Done())
	_ = h.finish()
	for _, secret := range []string{"13800000001", "a-long-secret"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// An open stack on the same port keeps the server from starting, and nothing is
// left open.
func TestStartFailsCleanly(t *testing.T) {
	h := start(t, nil)
	cfg := parse(t, t.TempDir(), func(c *config.Config) {
		c.SIP.Listen[0].Address = netip.AddrPortFrom(h.SIPAddr().Addr(), h.SIPAddr().Port())
	})
	if s, err := Start(Options{Config: cfg}); err == nil || s != nil {
		t.Error("two servers on one port")
	}
}
