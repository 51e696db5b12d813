package routing

import "testing"

// A wrap-up that is extended by as much and as often as a policy can say still has
// a deadline that a snapshot may hold, and the snapshot knows how often it was.
func TestExtendedWrapUpIsRestored(t *testing.T) {
	s := busyState(t)
	extend := func(s *State) (fitted bool) {
		before, _ := s.Ignored()
		s.Apply(Entry{At: s.now, Event: WrapUpExtended{"s1"}})
		after, _ := s.Ignored()
		return after == before
	}
	p := s.policy.clone()
	p.Queues[0].Extension = Extension{maxDuration, 5}
	s.Apply(Entry{At: s.now, Event: PolicyChanged{p}})
	seen := map[uint64]bool{}
	for i := range 5 {
		if !extend(s) || s.seats["s1"].timer.at != s.now.Add(maxDuration) {
			t.Fatalf("extended %d times the wrap-up ends at %d", i, s.seats["s1"].timer.at)
		}
		if h := s.Hash(); seen[h] {
			t.Errorf("the hash doesn't see extension %d", i)
		} else {
			seen[h] = true
		}
	}
	back, err := thawed(s)
	if err != nil {
		t.Fatal(err)
	}
	if extend(s) || extend(back) {
		t.Error("a sixth time is allowed")
	}
}

// A queue goes while its last call is in wrap-up, and comes back: its rule counts
// again, before and after a snapshot.
func TestExtensionByTheQueueOfNow(t *testing.T) {
	s := New()
	do := func(s *State, ev Event) {
		s.Apply(Entry{Seq: s.Seq() + 1, At: s.now + 1, Node: "n1", Event: ev})
	}
	policy := func(ext Duration, queues ...QueueID) PolicyChanged {
		p := Policy{RingTime: Minute, Seats: []SeatPolicy{{ID: "s", Queues: queues}}}
		for _, id := range queues {
			p.Queues = append(p.Queues, QueuePolicy{ID: id, WrapUp: Minute, Extension: Extension{ext, 1}})
		}
		return PolicyChanged{p}
	}
	for _, ev := range []Event{policy(Second, "q"), SeatRegistered{"s"}, CallArrived{Call: "c"}, CallQueued{Call: "c", Queue: "q"},
		TalkStarted{Call: "c", Seat: "s", Offer: 1}, CallEnded{Call: "c", Cause: CauseCallerHungUp}, policy(Second)} {
		do(s, ev)
	}
	end := s.seats["s"].timer.at
	do(s, WrapUpExtended{"s"})
	if s.seats["s"].timer.at != end {
		t.Errorf("a queue that is gone adds %s", s.seats["s"].timer.at.Sub(end))
	}
	do(s, policy(Hour, "q"))
	back, err := thawed(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*State{s, back} {
		do(s, WrapUpExtended{"s"})
		if got := s.seats["s"].timer.at.Sub(end); got != Hour {
			t.Errorf("the queue that came back adds %s, want 1h", got)
		}
	}
}
