package routing

import "testing"

// A queue that the policy has dropped is served until its calls are over, in the old
// order; the seat's ranks in others are those of the new policy. When the queue is
// there again the ranks are what the policy then says.
func TestRankInAQueueThatGoes(t *testing.T) {
	s := New()
	do := func(ev Event) {
		s.Apply(Entry{Seq: s.Seq() + 1, At: s.now + 1, Node: "n1", Event: ev})
		back, err := thawed(s)
		if err == nil {
			err = compareStates(s, back)
		}
		if err != nil {
			t.Fatalf("after %#v: %v", ev, err)
		}
	}
	seat := func(rank int, queues ...QueueID) PolicyChanged {
		p := Policy{RingTime: Minute, Seats: []SeatPolicy{{ID: "s", Queues: queues}}}
		for _, id := range queues {
			p.Queues = append(p.Queues, QueuePolicy{ID: id})
			p.Seats[0].Ranks = append(p.Seats[0].Ranks, QueueRank{id, rank})
		}
		return PolicyChanged{p}
	}
	wants := func(what string, gone, stays int) {
		t.Helper()
		x := s.seats["s"]
		if a, b := x.rank(&queue{id: "gone"}), x.rank(&queue{id: "stays"}); a != gone || b != stays || len(x.ranks) > 2 {
			t.Errorf("%s: ranks %d and %d, want %d and %d, of %v", what, a, b, gone, stays, x.ranks)
		}
	}
	do(seat(2, "gone", "stays"))
	do(SeatRegistered{"s"})
	do(CallArrived{Call: "c"})
	do(CallQueued{Call: "c", Queue: "gone"})
	wants("at first", 2, 2)
	do(seat(3, "stays"))
	wants("while its call is there", 2, 3)
	do(seat(4, "gone", "stays"))
	wants("back again", 4, 4)
	do(seat(5, "stays"))
	do(CallEnded{Call: "c", Cause: CauseCallerHungUp})
	do(seat(6, "stays"))
	wants("after its last call", 1, 6)
}

func TestHashSeesRanks(t *testing.T) {
	seen := map[uint64]bool{}
	for _, ranks := range [][]QueueRank{nil, {{"q", 2}}, {{"q", 3}}, {{"r", 2}}} {
		s := New()
		s.Apply(Entry{Event: PolicyChanged{Policy{RingTime: Second, Queues: []QueuePolicy{{ID: "q"}, {ID: "r"}},
			Seats: []SeatPolicy{{ID: "s", Queues: []QueueID{"q", "r"}, Ranks: ranks}}}}})
		seen[s.Hash()] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d hashes of four policies", len(seen))
	}
}
