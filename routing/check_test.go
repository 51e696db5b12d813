package routing

import (
	"strings"
	"testing"
)

// TestCheckSees breaks a sound state in every way that Check looks for.
func TestCheckSees(t *testing.T) {
	sound := func() *State {
		s := New()
		p := Policy{RingTime: Second, Queues: []QueuePolicy{{ID: "q", WrapUp: Minute}}, ManagerTime: Minute}
		for _, id := range []SeatID{"s1", "s2", "s3", "s4"} {
			p.Seats = append(p.Seats, SeatPolicy{ID: id, Queues: []QueueID{"q"}})
		}
		do := func(ev Event) {
			s.Apply(Entry{Node: "n1", Event: ev})
		}
		do(PolicyChanged{Policy: p})
		for i, id := range []CallID{"talks", "rings", "wraps", "waits", "waits too", "waits for s1"} {
			if i < 3 {
				do(SeatRegistered{Seat: p.Seats[i].ID})
			}
			do(CallArrived{Call: id})
			if id == "waits for s1" {
				do(CallIdentified{Call: id, Manager: "s1"})
			}
			do(CallQueued{Call: id, Queue: "q"})
			if id == "talks" || id == "wraps" {
				do(TalkStarted{Call: id, Seat: p.Seats[i].ID, Offer: uint64(i + 1)})
			}
		}
		do(CallEnded{Call: "wraps", Cause: CauseCallerHungUp})
		return s
	}
	if err := sound().Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		breaks func(*State)
		want   string
	}{
		"admissible pair":        {func(s *State) { s.seats["s4"].registered = true; s.update(s.seats["s4"]) }, "(a) call waits waits and seat s4 is idle"},
		"seat out of date":       {func(s *State) { s.seats["s4"].registered = true }, "(a) seat s4 is out of date"},
		"no deadline for a step": {func(s *State) { s.deadlines.stop(&s.calls["waits for s1"].timer) }, "waits in step manager of queue q without a deadline"},
		"not in line":            {func(s *State) { q := s.queues["q"]; q.lines[TierC].remove(0) }, "(a) call waits is not in the line"},
		"line out of order":      {func(s *State) { l := s.queues["q"].lines[TierC].list(); l[0], l[1] = l[1], l[0] }, "(e) a line of queue q is out of order"},
		"stranger in line":       {func(s *State) { s.queues["q"].lines[TierA1].insert(0, s.calls["talks"]) }, "1 calls stand in lines"},
		"two calls at a seat":    {func(s *State) { s.seats["s1"].wrap = s.calls["rings"] }, "(b) seat s1 has two calls"},
		"a dead call at a seat":  {func(s *State) { delete(s.calls, "talks") }, "(b) seat s1 has call talks, which is not there"},
		"an offer without lease": {func(s *State) { s.deadlines.stop(&s.calls["rings"].rings[0].timer) }, "(b) the offer of call rings to seat s2 has no lease"},
		"an endless wrap-up":     {func(s *State) { s.deadlines.stop(&s.seats["s3"].timer) }, "(b) the wrap-up of seat s3 has no deadline"},
		"a call without a seat":  {func(s *State) { s.seats["s2"].call = nil }, "(c) call rings rings at seat s2, which doesn't have it"},
		"a wrap-up without seat": {func(s *State) { s.seats["s3"].wrap = nil }, "(c) call wraps is in wrap-up but its seat"},
		"counted twice":          {func(s *State) { s.queues["q"].totals.Abandoned++ }, "(d) queue q: 6 entered, 2 left"},
		"counters":               {func(s *State) { s.queues["q"].waiting++ }, "(d) queue q counts waiting"},
		"idle seats":             {func(s *State) { s.queues["q"].idleVIP.insert(0, s.seats["s1"]) }, "(a) queue q counts 1 VIP"},
		"seats that are there":   {func(s *State) { s.queues["q"].present++ }, "(g) queue q counts"},
		"alone among seats":      {func(s *State) { s.calls["waits"].aloneSince = 1 }, "(g) call waits is alone since 1"},
		"list of idle seats":     {func(s *State) { s.idle = append(s.idle, s.seats["s2"]) }, "the list of idle seats is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound()
			c.breaks(s)
			if err := s.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
