package routing

import (
	"cmp"
	"slices"
)

// maxLeavers bounds how many callers who left are remembered; the oldest are
// forgotten first.
const maxLeavers = 100_000

// leaver is the place of a caller who left without an answer. Queue is the first
// that the call asked for.
type leaver struct {
	leaverKey
	at       Time // left
	placeAt  Time
	placeSeq uint64
}

type leaverKey struct {
	number string
	queue  QueueID
}

// leavers are the callers who left lately, to have their places back.
type leavers struct {
	byKey map[leaverKey]leaver // only looked up
	order []leaver             // by the time of leaving
}

// add remembers x, later than all others.
func (l *leavers) add(x leaver) {
	l.byKey[x.leaverKey] = x
	l.order = append(l.order, x)
}

// take returns the place of key and forgets it.
func (l *leavers) take(key leaverKey) (x leaver, ok bool) {
	if x, ok = l.byKey[key]; !ok {
		return x, false
	}
	delete(l.byKey, key)
	i, _ := slices.BinarySearchFunc(l.order, x.at, func(o leaver, at Time) int { return cmp.Compare(o.at, at) })
	for l.order[i].leaverKey != key {
		i++
	}
	l.order = slices.Delete(l.order, i, i+1)
	return x, true
}

// forget drops those who left that long ago or longer, and the oldest beyond the
// bound.
func (l *leavers) forget(now Time, within Duration) {
	for len(l.order) > 0 && (now.Sub(l.order[0].at) >= within || len(l.order) > maxLeavers) {
		delete(l.byKey, l.order[0].leaverKey)
		l.order = l.order[1:]
	}
}

// remember keeps the place of the call c, which leaves its queue without an answer
// and not by a rule. Of two places of one number the better one counts.
func (s *State) remember(c *call) {
	switch c.facts.Outcome {
	case OutcomeAbandoned, OutcomeCut, OutcomeFailed:
	default:
		return
	}
	s.leavers.forget(s.now, s.policy.ResumeWithin)
	if s.policy.ResumeWithin == 0 || c.facts.Number == "" || c.facts.Connected != 0 {
		return
	}
	x := leaver{leaverKey{c.facts.Number, c.facts.Queue}, s.now, c.placeAt, c.placeSeq}
	if len(c.facts.Moves) > 0 {
		x.queue = c.facts.Moves[0].From
	}
	if old, ok := s.leavers.take(x.leaverKey); ok && cmp.Or(cmp.Compare(old.placeAt, x.placeAt), cmp.Compare(old.placeSeq, x.placeSeq)) < 0 {
		x.placeAt, x.placeSeq = old.placeAt, old.placeSeq
	}
	s.leavers.add(x)
	s.leavers.forget(s.now, s.policy.ResumeWithin)
}

// resume gives c the place that its caller left in q a short while ago.
func (s *State) resume(c *call, q *queue) {
	s.leavers.forget(s.now, s.policy.ResumeWithin)
	if x, ok := s.leavers.take(leaverKey{c.facts.Number, q.id}); ok {
		c.placeAt, c.placeSeq, c.facts.Place = x.placeAt, x.placeSeq, x.placeAt
	}
}
