package routing

// maxEstimateAge is how long an estimate is believed.
const maxEstimateAge = 5 * Minute

// estimate is what one tier has to expect in a queue.
type estimate struct{ p50, p80 Duration }

// estimated takes over what a simulation of the near future found; it replaces
// the queue's estimate as a whole.
func (s *State) estimated(ev Estimated) {
	q := s.queues[ev.Queue]
	if q == nil {
		s.ignore("estimated: queue %q does not exist", ev.Queue)
		return
	}
	var all [tierCount]estimate
	for _, t := range ev.Tiers {
		if t.Tier >= tierCount || t.P50 < 0 || t.P80 < t.P50 || t.P80 > maxDuration {
			s.ignore("estimated: queue %q has %s with %d and %d µs", ev.Queue, t.Tier, t.P50, t.P80)
			return
		}
		all[t.Tier] = estimate{t.P50, t.P80}
	}
	q.estimates, q.estimatedAt = all, s.now
	if q.weighs {
		s.turn(q)
	}
}

// estimate is the queue's for a tier, zero when there is none to be believed.
func (q *queue) estimate(t Tier, now Time) estimate {
	if q.estimatedAt == 0 || now.Sub(q.estimatedAt) > maxEstimateAge {
		return estimate{}
	}
	return q.estimates[t]
}
