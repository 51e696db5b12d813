package routing

import (
	"cmp"
	"slices"
)

// Choice is one decision to offer a call to a seat, with everybody who was
// considered. It is rebuilt by replaying a journal; see State.Watch.
type Choice struct {
	At    Time
	Call  CallView // as it was, waiting
	Seat  SeatID
	Rule  string
	Order string
	// Seats are all seats, those that could be rung first, in their order.
	Seats []Candidate
	// Rivals are the other calls that could have had the seat, in the order of
	// serving; those before the call are there only for reservation's sake.
	Rivals []Rival
}

// Candidate is a seat that was considered for a call.
type Candidate struct {
	Seat SeatID
	// Excluded names the first rule that kept the seat from the call; empty when
	// it could be rung.
	Excluded string
	Idle     Duration // how long it had been idle, when it could be rung
	Rank     int      // its rank in the queue then, 0 for the usual one, 1
}

// The rules that exclude a seat, in the order in which they are asked.
const (
	ExcludedOffline  = "offline"   // not registered
	ExcludedNotReady = "not_ready" // agent on break or logged out
	ExcludedBusy     = "busy"      // on offer, talking or in wrap-up
	ExcludedResting  = "resting"   // after a failed offer
	ExcludedQueue    = "queue"     // neither serves the queue nor is manager or team
	ExcludedLanguage = "language"  // doesn't speak the caller's language
	ExcludedSkill    = "skill"     // below the level that the queue asks for
	ExcludedStep     = "step"      // the call hasn't reached the seat's step
	ExcludedReserved = "reserved"  // VIP seat kept for A and B
)

// Rival is a call that waited for the same seat.
type Rival struct {
	Call   CallID
	Tier   Tier
	Waited Duration
	Target Duration
}

// Watch makes Apply call fn with each choice before it becomes an Offer. It is for
// explaining a journal that is replayed: it costs a walk over all seats and calls.
// Nil ends it.
func (s *State) Watch(fn func(Choice)) { s.watch = fn }

// choice gathers what is known at the moment of an offer.
func (s *State) choice(c *call, x *seat, r Reasons) Choice {
	ch := Choice{At: s.now, Call: c.view(s.now), Seat: x.id, Rule: r.Rule, Order: r.Order, Seats: s.candidates(c)}
	for _, id := range s.sortedCalls() {
		if w := s.calls[id]; w != c && w.facts.Phase == PhaseWaiting && s.admissible(w, x) {
			ch.Rivals = append(ch.Rivals, Rival{Call: id, Tier: w.facts.Tier, Waited: s.now.Sub(w.facts.Queued), Target: s.targets[w.facts.Tier]})
		}
	}
	slices.SortStableFunc(ch.Rivals, func(a, b Rival) int { return s.compareCalls(s.calls[a.Call], s.calls[b.Call]) })
	return ch
}

// Candidates are all seats as they stand to a waiting call, those that could be
// rung first, in their order. It is nil when the call doesn't wait.
func (s *State) Candidates(id CallID) []Candidate {
	c := s.calls[id]
	if c == nil || c.facts.Phase != PhaseWaiting {
		return nil
	}
	return s.candidates(c)
}

// candidates are those of a call that waits or, in a ring group, rings elsewhere already.
func (s *State) candidates(c *call) []Candidate {
	seats := slices.Clone(s.seatList)
	why := make(map[SeatID]string, len(seats))
	for _, x := range seats {
		why[x.id] = s.whyNot(c, x)
	}
	slices.SortStableFunc(seats, func(a, b *seat) int {
		out := func(x *seat) int { return min(1, len(why[x.id])) }
		if d := cmp.Compare(out(a), out(b)); d != 0 || out(a) == 1 {
			return d
		}
		return compareSeatsFor(c, a, b)
	})
	list := make([]Candidate, len(seats))
	for i, x := range seats {
		list[i] = Candidate{Seat: x.id, Excluded: why[x.id]}
		if why[x.id] == "" {
			list[i].Idle, list[i].Rank = s.now.Sub(x.idleSince), unusualRank(c, x)
		}
	}
	return list
}

// whyNot is the first rule that keeps x from c, or "".
func (s *State) whyNot(c *call, x *seat) string {
	switch x.categorise() {
	case offlineSeat:
		return ExcludedOffline
	case notReadySeat:
		return ExcludedNotReady
	case busySeat:
		return ExcludedBusy
	case restingSeat:
		return ExcludedResting
	}
	step := c.circle(x)
	later := false
	for i := range c.q.plan {
		later = later || c.reaches(i, x)
	}
	short := slices.Contains(x.queues, c.q) && !c.q.fits(x)
	switch {
	case step == never && !later && !short:
		return ExcludedQueue
	case !c.speaks(x):
		return ExcludedLanguage
	case step == never && short:
		return ExcludedSkill
	case step == never:
		return ExcludedStep
	case s.reserved(c, x, step):
		return ExcludedReserved
	}
	return ""
}
