package e2e

import (
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
)

// idle fails unless the hotline holds nothing any more: no call, no leg, no port,
// and the seats as they should be.
func (h *hotline) idle(seats map[string]routing.SeatState) {
	h.t.Helper()
	if n := h.Calls(); n != 0 {
		h.t.Errorf("%d calls in progress, want none", n)
	}
	if m := h.Media(); m.Legs != 0 {
		h.t.Errorf("%d media legs open, want none", m.Legs)
	}
	st, err := h.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range st.Seats {
		if want, ok := seats[string(s.ID)]; ok && s.State != want {
			h.t.Errorf("seat %s is %s, want %s", s.ID, s.State, want)
		}
	}
	for _, q := range st.Queues {
		if q.Totals.Entered != q.Totals.Answered+q.Totals.Abandoned+q.Totals.Cut+q.Totals.Failed {
			h.t.Errorf("queue %s: entries and exits differ: %+v", q.ID, q.Totals)
		}
	}
}

// over waits until the record of a call is on its way.
func (h *hotline) over() { h.t.Helper(); h.log.await(h.t, "call closed") }

func oneAgent(c *config.Config) {
	c.Agents = []config.Agent{agent("carol", false, "sales")}
}

// Every way a call can end leaves both legs closed, the seat right, one record,
// and metrics that add up.
func TestHowCallsEnd(t *testing.T) {
	for _, tc := range []struct {
		name           string
		run            func(t *testing.T, h *hotline)
		outcome, cause string
		seat           routing.SeatState
	}{
		{"the caller hangs up in the IVR", func(t *testing.T, h *hotline) {
			h.seat("carol")
			c := h.dial(h.phone(), "2", "13900000001")
			c.Hangup()
		}, "ivr", "caller_hung_up", routing.SeatIdle},
		{"the flow hangs up", func(t *testing.T, h *hotline) {
			h.seat("carol")
			c := h.dial(h.phone(), "3", "13900000001")
			awaitDone(t, "hang-up by the flow", c.Done())
		}, "ivr", "flow_ended", routing.SeatIdle},
		{"the caller hangs up in the queue", func(t *testing.T, h *hotline) {
			c := h.dial(h.phone(), "1", "13900000001")
			h.log.await(t, "call queued")
			c.Hangup()
		}, "abandoned", "caller_hung_up", routing.SeatOffline},
		{"the caller hangs up while the agent rings", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			r := carol.ring(t)
			c.Hangup()
			awaitDone(t, "the agent's phone stops ringing", r.Gone())
		}, "abandoned", "caller_hung_up", routing.SeatIdle},
		{"the caller hangs up while talking", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			b, _ := carol.pickUp(t)
			h.log.await(t, "talk started")
			c.Hangup()
			awaitDone(t, "hang-up at the agent", b.Done())
		}, "answered", "caller_hung_up", routing.SeatIdle},
		{"the agent hangs up", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			b, _ := carol.pickUp(t)
			h.log.await(t, "talk started")
			b.Hangup()
			awaitDone(t, "hang-up at the caller", c.Done())
		}, "answered", "agent_hung_up", routing.SeatIdle},
		{"the agent refuses, then the caller gives up", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			carol.ring(t).Refuse(603)
			h.log.await(t, "offer failed", "cause", "refused")
			carol.ring(t) // the call kept its place
			c.Hangup()
		}, "abandoned", "caller_hung_up", routing.SeatIdle},
		{"the agent doesn't answer, then the caller gives up", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			awaitDone(t, "ring time over", carol.ring(t).Gone())
			h.log.await(t, "offer failed", "cause", "no_answer")
			c.Hangup()
		}, "abandoned", "caller_hung_up", routing.SeatIdle},
		{"the agent's phone has vanished, then the caller gives up", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			_ = carol.Close() // no BYE, no REGISTER
			c := h.dial(h.phone(), "1", "13900000001")
			start := time.Now()
			h.log.await(t, "offer failed", "cause", "unreachable")
			if w := time.Since(start); w > 3*time.Second {
				t.Errorf("found out after %v, want unreachable_after (1 s)", w)
			}
			c.Hangup()
		}, "abandoned", "caller_hung_up", routing.SeatIdle},
		{"the agent vanishes while talking", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			carol.pickUp(t)
			h.log.await(t, "talk started")
			_ = carol.Close()
			awaitDone(t, "hang-up at the caller", c.Done())
		}, "answered", "rtp_timeout", routing.SeatIdle},
		{"the seat is freed by hand while talking", func(t *testing.T, h *hotline) {
			carol := h.seat("carol")
			c := h.dial(h.phone(), "1", "13900000001")
			b, _ := carol.pickUp(t)
			h.log.await(t, "talk started")
			h.post("/api/seats/carol/free")
			awaitDone(t, "hang-up at the caller", c.Done())
			awaitDone(t, "hang-up at the agent", b.Done())
		}, "answered", "seat_freed", routing.SeatIdle},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := startHotline(t, func(c *config.Config) {
				oneAgent(c)
				c.Media.RTPTimeout = 2 * time.Second
			})
			tc.run(t, h)
			h.over()
			h.log.await(t, "call gone")
			h.idle(map[string]routing.SeatState{"carol": tc.seat})
			checkMetrics(t, h, tc.outcome)
			recs := h.finish()
			if len(recs) != 1 {
				t.Fatalf("%d records, want 1", len(recs))
			}
			if o, c := recs[0].str("outcome"), recs[0].str("cause"); o != tc.outcome || c != tc.cause {
				t.Errorf("record says %s by %s, want %s by %s", o, c, tc.outcome, tc.cause)
			}
		})
	}
}

// checkMetrics wants exactly one call, with this outcome.
func checkMetrics(t *testing.T, h *hotline, outcome string) {
	t.Helper()
	queue := "sales"
	offered := 1.0
	if outcome == "ivr" {
		queue, offered = "", 0
	}
	m := h.metrics()
	for series, want := range map[string]float64{
		`hotline_calls_total{outcome="` + outcome + `",queue="` + queue + `",tier="C"}`: 1,
		`hotline_calls_offered_total{queue="sales",tier="C"}`:                           offered,
		`hotline_calls_in_progress`:                                                     0,
		`hotline_invariant_violations`:                                                  0,
	} {
		if got := m[series]; got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	total := 0.0
	for series, v := range m {
		if len(series) > 19 && series[:19] == "hotline_calls_total" {
			total += v
		}
	}
	if total != 1 {
		t.Errorf("hotline_calls_total sums to %v, want 1", total)
	}
}
