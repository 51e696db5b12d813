package server

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/sip"
	"hotline/softphone"
)

// outside is a network with one telephone in it, and the trunk to it.
func outside(t *testing.T) (<-chan *softphone.Ringing, func(*config.Config)) {
	t.Helper()
	rings := make(chan *softphone.Ringing, 4)
	p, err := softphone.Open(softphone.Options{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Ring: func(r *softphone.Ringing) { rings <- r }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return rings, func(c *config.Config) {
		threeDesks(c)
		c.Trunks = append(c.Trunks, config.Trunk{Name: "network", Region: "CN", Gateways: []config.Gateway{{Host: p.Addr().String(), Transport: "udp", Weight: 1}}})
		c.Outbound.Region = "CN"
		c.Outbound.Routes = []config.Route{{Prefix: "+86", Trunks: []string{"network"}}}
		c.Outbound.Rights = []config.Right{{Name: "national", Allow: []string{"+86"}, Deny: []string{"+8616"}}}
		for i := range c.Agents {
			if c.Agents[i].User == "alice" {
				c.Agents[i].Outbound = "national"
			}
		}
	}
}

// The agent sends the caller outside: the caller hears the network's ring-back, then
// the person called, who sees the caller's number. The agent wraps up. The record says
// by which trunk, and the talk counts as answered however it ends.
func TestTransferOutside(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, cfg)
	_, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	code := h.transfer(a, "+8613900000000")
	ring := h.ring(rings)
	if ring.Number != "+8613800000001" {
		t.Errorf("shown %q", ring.Number)
	}
	tone, err := ring.Sound()
	if err != nil {
		t.Fatal(err)
	}
	h.soundOf("ring-back", tone, caller)
	far, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	h.status("transfer", code, 200)
	h.await("the end of alice's leg", a.Done())
	h.seatIs("alice", routing.SeatWrapUp)
	h.hears("caller to the outside", caller, far, '2')
	h.hears("outside to the caller", far, caller, '3')
	far.Hangup()
	h.await("the end of the call", caller.Done())
	if rec := h.one(); rec["outcome"] != "answered" || rec["forwarded_to"] != "trunk network" || rec["agent"] != "alice" {
		t.Errorf("record %v", rec)
	}
}

// Who has no right, or dials what the right doesn't hold, calls and transfers nowhere;
// the caller stays with the agent.
func TestNoCallOutsideWithoutARight(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, cfg)
	phone, alice := h.desk("alice")
	other, _ := h.desk("bob")
	refused := func(p *softphone.Phone, user, to string, want int) {
		t.Helper()
		_, err := p.Dial(h.context(), to, user, "")
		var no *softphone.RefusedError
		if !errors.As(err, &no) || no.Code != want {
			t.Errorf("%s to %s: %v, want %d", user, to, err, want)
		}
	}
	refused(other, "bob", "+8613900000000", 403)
	refused(phone, "alice", "+861690000000", 403)
	refused(phone, "alice", "+4930123456", 403)
	h.get("POST", "/api/seats/bob/free", "")
	caller, a := h.talking("alice", alice)
	if _, err := a.Transfer(h.context(), "+861690000000"); err == nil {
		t.Error("transferred without a right")
	}
	h.hears("caller to alice", caller, a, '1')
	select {
	case <-rings:
		t.Error("it rang outside")
	default:
	}
}

// An agent's own call outside: the ring-back is heard before the answer, and the
// caller can be brought to the person called.
func TestAgentCallsOutsideAndConnects(t *testing.T) {
	rings, cfg := outside(t)
	h := start(t, cfg)
	phone, alice := h.desk("alice")
	caller, a := h.talking("alice", alice)
	asked := make(chan *softphone.Call, 1)
	go func() {
		c, err := phone.Dial(h.context(), "+8613900000000", "alice", "")
		if err != nil {
			t.Error(err)
		}
		asked <- c
	}()
	ring := h.ring(rings)
	if _, err := ring.Sound(); err != nil {
		t.Fatal(err)
	}
	far, err := ring.Answer()
	if err != nil {
		t.Fatal(err)
	}
	consult := <-asked
	h.hears("alice to the outside", consult, far, '1')
	if code, err := a.TransferTo(h.context(), consult); code != 200 || err != nil {
		t.Fatalf("transfer: %d, %v\n%s", code, err, h.log)
	}
	h.await("the end of alice's call", a.Done())
	h.seatIs("alice", routing.SeatWrapUp)
	h.hears("caller to the outside", caller, far, '2')
	caller.Hangup()
	h.await("the end outside", far.Done())
	if rec := h.one(); rec["forwarded_to"] != "trunk network" {
		t.Errorf("record %v", rec)
	}
}

// soundOf proves that the caller hears what is sent on m.
func (h *hotline) soundOf(what string, m interface {
	SendDigit(byte, time.Duration) error
}, to *softphone.Call) {
	h.t.Helper()
	if err := m.SendDigit('9', 100*time.Millisecond); err != nil {
		h.t.Fatal(err)
	}
	select {
	case d := <-to.Media.Digits():
		if d.Key != '9' {
			h.t.Errorf("%s: heard %q", what, d.Key)
		}
	case <-time.After(patience):
		h.t.Fatalf("%s: nothing heard\n%s", what, h.log)
	}
}

// A trunk that takes REFER gets its caller back: it connects the caller itself, and the
// call costs us no more. One that refuses is no reason not to dial; where its call fails,
// or it tells nothing of it, the agent has the caller again.
func TestCallerIsHandedBackToTheTrunk(t *testing.T) {
	for _, tc := range []struct {
		name string
		take func(to string) int
	}{
		{"taken", func(string) int { return 200 }},
		{"taken, and hung up at once", func(string) int { return 200 }},
		{"busy there", func(string) int { return 486 }},
		{"not told", func(string) int { return 486 }},
		{"not known", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rings, cfg := outside(t)
			h := start(t, func(c *config.Config) { cfg(c); c.Trunks[0].Refer = true })
			if tc.name == "not told" {
				h.handBackWithin = 200 * time.Millisecond
			}
			_, alice := h.desk("alice")
			caller := h.call()
			asked := make(chan string, 1)
			if tc.take != nil {
				caller.TakeTransfers(func(to string) int { asked <- to; return tc.take(to) })
				switch tc.name {
				case "not told":
					over := make(chan struct{})
					defer close(over)
					caller.TakeTransfers(func(to string) int { asked <- to; <-over; return tc.take(to) })
				case "taken, and hung up at once":
					caller.TakeTransfers(func(to string) int { asked <- to; time.AfterFunc(20*time.Millisecond, caller.Hangup); return 200 })
				}
			}
			a := h.pickUp(alice)
			h.seatIs("alice", routing.SeatTalking)
			code := h.transfer(a, "013900000000")
			if tc.take != nil {
				if to := <-asked; to != "+8613900000000" {
					t.Errorf("the trunk is asked for %q", to)
				}
			}
			switch tc.name {
			case "taken", "taken, and hung up at once":
				h.status("transfer", code, 200)
				h.await("the end of the caller's leg", caller.Done())
				h.seatIs("alice", routing.SeatWrapUp)
				if rec := h.one(); rec["outcome"] != "answered" || rec["forwarded_to"] != "trunk carrier" {
					t.Errorf("record %v", rec)
				}
			case "busy there":
				h.status("transfer", code, 486)
				h.hears("caller to alice", caller, a, '1')
			case "not told": // it may yet come of it, so nobody else dials
				h.status("transfer", code, 504)
				h.hears("caller to alice", caller, a, '1')
				select {
				case <-rings:
					t.Error("the number was dialled")
				default:
				}
			default:
				far, err := h.ring(rings).Answer()
				if err != nil {
					t.Fatal(err)
				}
				h.status("transfer", code, 200)
				h.hears("caller to the outside", caller, far, '2')
			}
		})
	}
}

// While the trunk is asked to take a caller back, that is one of the agent's calls to the
// outside. Where an agent's minutes are counted we dial, as nobody could count them there.
func TestHandingBackIsCounted(t *testing.T) {
	for _, minutes := range []int{0, 60} {
		rings, cfg := outside(t)
		h := start(t, func(c *config.Config) {
			cfg(c)
			c.Trunks[0].Refer = true
			c.Outbound.Rights[0].MaxCalls, c.Outbound.Rights[0].MinutesPerDay = 1, minutes
		})
		_, alice := h.desk("alice")
		caller := h.call()
		asked, take := make(chan struct{}), make(chan struct{})
		caller.TakeTransfers(func(string) int { close(asked); <-take; return 200 })
		a := h.pickUp(alice)
		h.seatIs("alice", routing.SeatTalking)
		code := h.transfer(a, "+8613900000000")
		if minutes == 0 {
			h.await("the REFER", asked)
			if _, err := h.dialOut(byAgent("alice"), "+8613900000000", sip.Outgoing{}); outsideReason(err) != noCallsLeft {
				t.Errorf("another call meanwhile: %v", err)
			}
			close(take)
			h.status("transfer", code, 200)
			h.await("the end of the caller's leg", caller.Done())
			continue
		}
		far, err := h.ring(rings).Answer()
		if err != nil {
			t.Fatal(err)
		}
		h.status("transfer", code, 200)
		h.hears("caller to the outside", caller, far, '2')
		select {
		case <-asked:
			t.Error("the trunk was asked")
		default:
		}
		h.spending.mu.Lock()
		if n := len(h.spending.who[byAgent("alice")].talks); n != 1 {
			t.Errorf("%d calls counted", n)
		}
		h.spending.mu.Unlock()
	}
}
