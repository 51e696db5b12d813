package routing

// maxEstimateAge is how long an estimate is believed.
const maxEstimateAge = 5 * Minute

// estimated takes over what a simulation of the near future found; it replaces
// the queue's estimate as a whole.
func (s *State) estimated(ev Estimated) {
	q := s.queues[ev.Queue]
	if q == nil {
		s.ignore("estimated: queue %q does not exist", ev.Queue)
		return
	}
	for _, t := range ev.Tiers {
		if !t.valid() {
			s.ignore("estimated: queue %q has %s with %s and %s", ev.Queue, t.Tier, t.P50, t.P80)
			return
		}
	}
	q.setEstimates(ev.Tiers, s.now)
	if q.weighs {
		s.turn(q)
	}
}

func (t *TierEstimate) valid() bool {
	return t.Tier < tierCount && t.P50 >= 0 && t.P80 >= t.P50 && t.P80 <= maxDuration && t.Spread >= 0 && t.Spread <= maxDuration
}

// setEstimates keeps copies, which calls point to: they are never changed.
func (q *queue) setEstimates(tiers []TierEstimate, at Time) {
	q.estimates, q.estimatedAt = [tierCount]*TierEstimate{}, at
	for _, t := range tiers {
		q.estimates[t.Tier] = &t
	}
}

// estimate is the queue's for a tier, nil when there is none to be believed.
func (q *queue) estimate(t Tier, now Time) *TierEstimate {
	if now.Sub(q.estimatedAt) > maxEstimateAge {
		return nil
	}
	return q.estimates[t]
}

// expects says whether callers of tier t have to wait for d or longer, as far as
// anything is known.
func (q *queue) expects(t Tier, d Duration, now Time) bool {
	e := q.estimate(t, now)
	return e != nil && e.P50 >= d
}
