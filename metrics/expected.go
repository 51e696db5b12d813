package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"hotline/routing"
)

// quantiles of what callers were told to expect.
var quantiles = [2]string{"0.5", "0.8"}

// expected scores estimates of waits against what came of them. Calls that no wait was
// expected for don't count: they have no quantiles to be within.
type expected struct {
	judged, within *prometheus.CounterVec // tier, queue, quantile
	// Of calls that were answered: what half of them should have waited less than, what
	// they waited, and the squares of the difference and of the spread, in s and s².
	told, waited, squared, spread *prometheus.CounterVec // tier, queue
}

func newExpected() expected {
	return expected{
		judged:  counter("hotline_expected_wait_judged_total", "Calls that were expected to wait and whose wait tells whether it was within the quantile of the estimate; who gave up before that tells nothing.", "tier", "queue", "quantile"),
		within:  counter("hotline_expected_wait_within_total", "Those of them that were answered within it: 0.5 and 0.8 of them are when the estimates are right.", "tier", "queue", "quantile"),
		told:    counter("hotline_expected_wait_told_seconds_total", "Sum of the expected waits (quantile 0.5) of answered calls that were expected to wait.", "tier", "queue"),
		waited:  counter("hotline_expected_wait_waited_seconds_total", "Sum of the real waits of the same calls; the difference is the bias.", "tier", "queue"),
		squared: counter("hotline_expected_wait_error_squared_seconds_total", "Sum of the squared differences, in square seconds.", "tier", "queue"),
		spread:  counter("hotline_expected_wait_spread_squared_seconds_total", "Sum of the squared errors, in square seconds, that a perfect forecast would have made.", "tier", "queue"),
	}
}

func (e *expected) all() group {
	return group{e.judged, e.within, e.told, e.waited, e.squared, e.spread}
}

// prepare makes the series of a queue before its first call.
func (e *expected) prepare(tier, queue string) {
	for _, q := range quantiles {
		e.judged.WithLabelValues(tier, queue, q)
		e.within.WithLabelValues(tier, queue, q)
	}
	for _, c := range []*prometheus.CounterVec{e.told, e.waited, e.squared, e.spread} {
		c.WithLabelValues(tier, queue)
	}
}

// score takes a call that has ended. It counts for the queue that it first came into,
// whose estimate it was.
func (e *expected) score(c *routing.CallView) {
	told := c.Expected
	if told == nil || told.P50 == 0 {
		return
	}
	queue := c.Queue
	if len(c.Moves) > 0 {
		queue = c.Moves[0].From
	}
	tier, id := told.Tier.String(), string(queue)
	for i, bound := range []routing.Duration{told.P50, told.P80} {
		within := c.Connected != 0 && c.QueueWait <= bound
		if within {
			e.within.WithLabelValues(tier, id, quantiles[i]).Inc()
		}
		if within || c.QueueWait > bound {
			e.judged.WithLabelValues(tier, id, quantiles[i]).Inc()
		}
	}
	if c.Connected == 0 {
		return
	}
	off, spread := seconds(c.QueueWait-told.P50), seconds(told.Spread)
	e.told.WithLabelValues(tier, id).Add(seconds(told.P50))
	e.waited.WithLabelValues(tier, id).Add(seconds(c.QueueWait))
	e.squared.WithLabelValues(tier, id).Add(off * off)
	e.spread.WithLabelValues(tier, id).Add(spread * spread)
}
