package server

import (
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
)

// *5 gives one more hour, once; the agent hears whether it did.
func TestWrapUpIsExtendedByCode(t *testing.T) {
	h := start(t, func(c *config.Config) {
		q := &c.Queues[0]
		q.WrapUp, q.WrapUpExtension, q.MaxExtensions = time.Hour, time.Hour, 1
	})
	desk, rings := h.desk("alice")
	begun := now()
	for _, tc := range []struct {
		when, answer string
		hours        int
	}{{"idle", "wrap-up-not-extended", 0}, {"in wrap-up", "wrap-up-extended", 2}, {"again", "wrap-up-not-extended", 2}} {
		if tc.when == "in wrap-up" {
			caller := h.call()
			h.pickUp(rings)
			h.seatIs("alice", routing.SeatTalking)
			caller.Hangup()
			h.seatIs("alice", routing.SeatWrapUp)
		}
		heard := strings.Count(h.log.String(), "answer="+tc.answer)
		code, err := h.dial(desk, h.settings.Load().FeatureCodes.ExtendWrapUp)
		if err != nil {
			t.Fatalf("%s: %v", tc.when, err)
		}
		code.Hangup()
		if n := strings.Count(h.log.String(), "answer="+tc.answer); n != heard+1 {
			t.Errorf("%s: %s was said %d times more, want once\n%s", tc.when, tc.answer, n-heard, h.log)
		}
		if err := h.core.view(t.Context(), func(s *routing.State) {
			var left routing.Duration
			if at, ok := s.NextDeadline(); ok {
				left = at.Sub(begun)
			}
			if got := int((left + routing.Minute) / routing.Hour); got != tc.hours {
				t.Errorf("%s: the wrap-up ends in %s, want %d h", tc.when, left, tc.hours)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
