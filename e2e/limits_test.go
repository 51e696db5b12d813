package e2e

import (
	"testing"
	"time"

	"hotline/config"
)

// One may wait: the second caller hears a prompt to its end and is hung up; the
// first one waits on.
func TestFullQueueTurnsTheNextCallerAway(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Queues[0].MaxWaiting, c.Queues[0].WhenFull = 1, config.Exit{HangUp: "goodbye"}
		c.Agents = []config.Agent{agent("carol", false, "sales")}
	})
	first := h.dial(h.phone(), "1", "13900000001")
	h.log.await(t, "call queued")
	second := h.dial(h.phone(), "1", "13900000002")
	told := stamp(t, h.log.await(t, "call turned away", "cause", "queue_full", "prompt", "goodbye"))
	awaitDone(t, "hang-up at the second caller", second.Done())
	ended := stamp(t, h.log.await(t, "call ended", "cause", "queue_full"))
	if said := ended.Sub(told); said < 500*time.Millisecond {
		t.Errorf("hung up after %v: the prompt can't have been heard", said)
	}
	carol := h.seat("carol")
	if _, from := carol.pickUp(t); from != "+8613900000001" {
		t.Errorf("carol got %s", from)
	}
	m := h.metrics()
	for series, want := range map[string]float64{
		`hotline_queue_entered_total{queue="sales"}`:                      2,
		`hotline_queue_left_total{exit="shed",queue="sales"}`:             1,
		`hotline_calls_total{outcome="shed",queue="sales",tier="C"}`:      1,
		`hotline_queue_left_total{exit="abandoned",queue="sales"}`:        0,
		`hotline_calls_total{outcome="abandoned",queue="sales",tier="C"}`: 0,
		`hotline_queue_left_total{exit="moved_on",queue="sales"}`:         0,
		`hotline_abandoned_wait_seconds_count{queue="sales",tier="C"}`:    0,
		`hotline_invariant_violations`:                                    0,
	} {
		if m[series] != want {
			t.Errorf("%s is %v, want %v", series, m[series], want)
		}
	}
	first.Hangup()
	h.log.await(t, "call ended", "cause", "caller_hung_up")
	recs := h.finish()
	if len(recs) != 2 || recs[0].str("outcome") != "shed" || recs[0].str("cause") != "queue_full" || recs[1].str("outcome") != "answered" {
		t.Errorf("records %v, want one shed, then one answered", recs)
	}
}

// A caller whom nobody answers within max_wait is answered in the next queue; the
// record tells the way.
func TestWaitedTooLongMovesOn(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Queues[0].MaxWait, c.Queues[0].WhenTooLong = time.Second, config.Exit{Queue: "operator"}
		c.Queues = append(c.Queues, config.Queue{Name: "operator", JoinEmpty: true, Music: "ring-back"})
		c.Agents = []config.Agent{agent("carol", false, "sales"), agent("olga", false, "operator")}
	})
	olga := h.seat("olga")
	dialled := time.Now()
	caller := h.dial(h.phone(), "1", "13900000001")
	talk, _ := olga.pickUp(t)
	if waited := time.Since(dialled); waited < 900*time.Millisecond {
		t.Errorf("olga rang after %v, want a second of waiting first", waited)
	}
	h.log.await(t, "call moved on", "from", "sales", "to", "operator", "cause", "waited_too_long")
	h.log.await(t, "talk started", "seat", "olga")
	caller.Hangup()
	awaitDone(t, "hang-up at olga", talk.Done())
	recs := h.finish()
	if len(recs) != 1 || recs[0].str("queue") != "operator" || recs[0].str("outcome") != "answered" {
		t.Fatalf("records %v, want one answered in the queue operator", recs)
	}
	moves, _ := recs[0]["moves"].([]any)
	if len(moves) != 1 || moves[0].(map[string]any)["from"] != "sales" {
		t.Errorf("moves %v, want one from sales", moves)
	}
}

// Nobody is at the desk: callers aren't let in. With an agent there they are.
func TestNobodyThereIsToldSo(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Queues[0].JoinEmpty = false
		c.Agents = []config.Agent{agent("carol", false, "sales")}
	})
	turned := h.dial(h.phone(), "1", "13900000001")
	h.log.await(t, "call turned away", "cause", "nobody_there")
	awaitDone(t, "hang-up at the caller", turned.Done())
	carol := h.seat("carol")
	caller := h.dial(h.phone(), "1", "13900000001")
	carol.pickUp(t)
	h.log.await(t, "talk started", "seat", "carol")
	caller.Hangup()
}
