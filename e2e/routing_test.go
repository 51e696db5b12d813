package e2e

import (
	"testing"
	"time"

	"hotline/config"
)

// Three C callers wait, then an A1 caller: the VIP seat takes A1 at once, and of
// the others each gets the next free seat in order.
func TestVIPSeatTakesA1AndTheOthersComeInOrder(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Agents = []config.Agent{agent("vip", true, "sales"), agent("carol", false, "sales")}
		c.Directory.File = customersFile(t, "+8613800000001,K1,Big Bank,A1,,,zh")
	})
	callers := h.phone()
	c1 := h.dial(callers, "1", "13900000001")
	h.log.await(t, "call queued", "queue", "sales", "tier", "C")
	c2 := h.dial(callers, "1", "13900000002")
	h.log.await(t, "call queued", "queue", "sales", "tier", "C")
	c3 := h.dial(callers, "1", "13900000003")
	h.log.await(t, "call queued", "queue", "sales", "tier", "C")
	a1 := h.dial(callers, "1", "13800000001")
	h.log.await(t, "call queued", "queue", "sales", "tier", "A1")

	vip := h.seat("vip")
	talk, from := vip.pickUp(t)
	if from != "+8613800000001" {
		t.Fatalf("the VIP seat got %s, want the A1 caller who came last", from)
	}
	h.log.await(t, "talk started", "seat", "vip")

	carol := h.seat("carol")
	for i, want := range []string{"+8613900000001", "+8613900000002", "+8613900000003"} {
		call, from := carol.pickUp(t)
		if from != want {
			t.Fatalf("seat %d got %s, want %s", i, from, want)
		}
		h.log.await(t, "talk started", "seat", "carol")
		call.Hangup()
	}
	for _, c := range []interface{ Done() <-chan struct{} }{c1, c2, c3} {
		awaitDone(t, "hang-up at the caller", c.Done())
	}
	a1.Hangup()
	awaitDone(t, "hang-up at the VIP seat", talk.Done())
	recs := h.finish()
	if len(recs) != 4 {
		t.Fatalf("%d call records, want 4", len(recs))
	}
	for _, r := range recs {
		if r.str("outcome") != "answered" {
			t.Errorf("record %v, want answered", r)
		}
	}
}

// The account manager's customer rings at the manager first, and at the team
// after the set time; a manager who is not there is skipped at once.
func TestAccountManagerFirstThenTeam(t *testing.T) {
	setup := func(t *testing.T) *hotline {
		return startHotline(t, func(c *config.Config) {
			m, e := agent("manager", false, "sales"), agent("east", false, "sales")
			m.Team, e.Team = "east", "east"
			c.Agents = []config.Agent{m, e}
			c.Directory.File = customersFile(t, "+8613800000001,K1,Big Bank,A1,manager,east,zh")
			c.Routing.ManagerTime = time.Second
			c.Routing.RingTime = 30 * time.Second
		})
	}
	t.Run("manager answers", func(t *testing.T) {
		h := setup(t)
		h.seat("east")
		manager := h.seat("manager")
		caller := h.dial(h.phone(), "1", "13800000001")
		_, from := manager.pickUp(t)
		if from != "+8613800000001" {
			t.Fatalf("the manager got %s", from)
		}
		if rule := h.log.await(t, "offer")["rule"]; rule != "manager" {
			t.Errorf("rule %q, want manager", rule)
		}
		caller.Hangup()
	})
	t.Run("manager talks too long", func(t *testing.T) {
		h := setup(t)
		team, manager := h.seat("east"), h.seat("manager")
		first := h.dial(h.phone(), "1", "13800000001")
		manager.pickUp(t)
		h.log.await(t, "talk started", "seat", "manager")
		second := h.dial(h.phone(), "1", "13800000001")
		queued := time.Now()
		team.pickUp(t)
		if waited := time.Since(queued); waited < 900*time.Millisecond {
			t.Errorf("the team rang after %v, want the manager's second first", waited)
		}
		first.Hangup()
		second.Hangup()
	})
	t.Run("manager is not there", func(t *testing.T) {
		h := setup(t)
		team := h.seat("east")
		caller := h.dial(h.phone(), "1", "13800000001")
		team.pickUp(t)
		if rule := h.log.await(t, "offer")["rule"]; rule != "team" {
			t.Errorf("rule %q, want team", rule)
		}
		caller.Hangup()
	})
}
