package server

import (
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
)

// When the last agent goes nothing is to be expected any more: callers aren't told what
// was true before.
func TestEstimateEndsWithItsReason(t *testing.T) {
	h := start(t, func(c *config.Config) { c.Routing.EstimateEvery = 100 * time.Millisecond })
	h.desk("alice")
	expected := func(want bool) func(*routing.State) bool {
		return func(s *routing.State) bool {
			_, ok := s.Expected("sales", routing.TierC)
			return ok == want
		}
	}
	h.when("an estimate", expected(true))
	h.core.post(routing.AgentStatusChanged{Agent: "alice", Status: routing.StatusBreak})
	h.when("no estimate", expected(false))
}
