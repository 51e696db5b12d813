package e2e

import (
	"testing"
	"time"

	"hotline/config"
)

// Who hangs up in the queue and calls again from the same number stands before
// those who came in between.
func TestCallingAgainKeepsThePlace(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Routing.ResumeWithin = time.Minute
		c.Agents = []config.Agent{agent("carol", false, "sales")}
	})
	callers := h.phone()
	first := h.dial(callers, "1", "13900000001")
	h.log.await(t, "call queued")
	other := h.dial(callers, "1", "13900000002")
	h.log.await(t, "call queued")
	first.Hangup()
	h.log.await(t, "call ended")
	again := h.dial(callers, "1", "13900000001")
	h.log.await(t, "call queued")
	carol := h.seat("carol")
	for i, want := range []string{"+8613900000001", "+8613900000002"} {
		talk, from := carol.pickUp(t)
		if from != want {
			t.Errorf("call %d at carol's is from %s, want %s", i+1, from, want)
		}
		h.log.await(t, "talk started")
		talk.Hangup()
		h.log.await(t, "call ended")
	}
	awaitDone(t, "end of the second call", again.Done())
	awaitDone(t, "end of the other call", other.Done())
	recs := h.finish()
	if len(recs) != 3 || recs[0].str("outcome") != "abandoned" || recs[0].str("place") != "" ||
		recs[1].str("outcome") != "answered" || recs[1].str("place") != recs[0].str("queued") {
		t.Errorf("records %v, want the second one at the place of the first", recs)
	}
}
