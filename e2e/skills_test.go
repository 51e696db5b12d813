package e2e

import (
	"testing"
	"time"

	"hotline/config"
)

// skilledAgent is an agent of the queue sales with one skill.
func skilledAgent(user, skill string, level int) config.Agent {
	a := agent(user, false, "sales")
	a.Skills = []config.Skill{{Name: skill, Level: level}}
	return a
}

// The queue asks for level 5: the agent who has it is rung although another has
// been idle for longer. While that agent talks the next caller waits for the
// level, then gets the other one.
func TestSkillThenRelaxed(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Queues[0].Skill, c.Queues[0].MinLevel, c.Queues[0].RelaxAfter = "loans", 5, time.Second
		c.Agents = []config.Agent{skilledAgent("junior", "loans", 3), skilledAgent("senior", "loans", 8)}
	})
	junior, senior := h.seat("junior"), h.seat("senior")
	first := h.dial(h.phone(), "1", "13900000001")
	_, from := senior.pickUp(t)
	if from != "+8613900000001" {
		t.Fatalf("the senior got %s", from)
	}
	h.log.await(t, "offer", "rule", "queue", "seat", "senior")
	h.log.await(t, "talk started", "seat", "senior")

	dialled := time.Now()
	second := h.dial(h.phone(), "1", "13900000002")
	junior.pickUp(t)
	if waited := time.Since(dialled); waited < 900*time.Millisecond {
		t.Errorf("the junior rang after %v, want the second for the level first", waited)
	}
	h.log.await(t, "offer", "rule", "skill_relaxed", "seat", "junior")
	h.log.await(t, "talk started", "seat", "junior")
	first.Hangup()
	h.log.await(t, "call ended")
	second.Hangup()
	h.log.await(t, "call ended")
	recs := h.finish()
	if len(recs) != 2 || recs[0].str("step") != "queue" || recs[1].str("step") != "relaxed" {
		t.Errorf("records %v, want one answered in the step queue and one in the step relaxed", recs)
	}
}

// In turns: the second call goes to the agent who hasn't had one, though the other
// has been idle for longer.
func TestRoundRobinOnLiveCalls(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Routing.Strategy = "round_robin"
		c.Agents = []config.Agent{agent("amy", false, "sales"), agent("ben", false, "sales")}
	})
	callers := h.phone()
	for _, user := range []string{"amy", "ben"} {
		seat := h.seat(user) // ben comes after amy's call
		c := h.dial(callers, "1", "13900000001")
		talk, _ := seat.pickUp(t)
		h.log.await(t, "talk started", "seat", user)
		c.Hangup()
		awaitDone(t, "hang-up at the agent", talk.Done())
		h.log.await(t, "call ended")
	}
}
