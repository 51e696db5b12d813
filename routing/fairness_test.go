package routing

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestNoSeatStarves keeps seats of one queue busy for all sorts of times: while a
// seat stays idle, no other seat is offered a second call before it.
func TestNoSeatStarves(t *testing.T) {
	for _, strategy := range []string{StrategyLongestIdle, StrategyRoundRobin} {
		t.Run(strategy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { noSeatStarves(t, strategy) })
		})
	}
}

func noSeatStarves(t *rapid.T, strategy string) {
	p := Policy{RingTime: Second, Strategy: strategy, Queues: []QueuePolicy{{ID: "q"}},
		RejectDelay: Duration(rapid.IntRange(0, 5).Draw(t, "reject delay"))}
	for i := range rapid.IntRange(1, 6).Draw(t, "seats") {
		p.Seats = append(p.Seats, SeatPolicy{ID: SeatID(fmt.Sprintf("s%d", i)), Queues: []QueueID{"q"}})
	}
	s := New()
	s.Apply(Entry{Event: PolicyChanged{Policy: p}})
	for _, x := range p.Seats {
		s.Apply(Entry{Event: SeatRegistered{Seat: x.ID}})
	}
	passed := map[SeatID]map[SeatID]int{} // of an idle seat: offers to others since
	s.audit = func(_ *call, x *seat) {
		delete(passed, x.id)
		for _, y := range s.idle {
			if y == x {
				continue
			}
			if passed[y.id] == nil {
				passed[y.id] = map[SeatID]int{}
			}
			if passed[y.id][x.id]++; passed[y.id][x.id] > 1 {
				t.Fatalf("seat %s has a second call while %s is idle", x.id, y.id)
			}
		}
	}
	var open []CallID
	for i := range rapid.IntRange(1, 80).Draw(t, "events") {
		at := s.now.Add(Duration(rapid.IntRange(1, 9).Draw(t, "later")))
		do := func(ev Event) {
			for _, d := range Clones(s.Apply(Entry{At: at, Event: ev})) {
				if o, ok := d.(*Offer); ok && rapid.IntRange(0, 3).Draw(t, "talks") > 0 {
					open = append(open, o.Call)
					s.Apply(Entry{At: at, Event: TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer}})
				}
			}
		}
		if n := len(open); n > 0 && rapid.Bool().Draw(t, "a talk ends") {
			k := rapid.IntRange(0, n-1).Draw(t, "which")
			id := open[k]
			open = append(open[:k], open[k+1:]...)
			do(CallEnded{Call: id, Cause: CauseAgentHungUp})
			continue
		}
		id := CallID(fmt.Sprintf("c%d", i))
		do(CallArrived{Call: id})
		do(CallQueued{Call: id, Queue: "q"})
		if c := s.calls[id]; c.facts.Phase == PhaseOnOffer && rapid.Bool().Draw(t, "refused") {
			x := c.rings[0]
			do(OfferFailed{Call: id, Seat: x.id, Offer: x.offer.id, Cause: OfferRefused})
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}
