package routing_test

import (
	"testing"

	"hotline/routing"
)

// A call may be answered while it waits or as an agent takes it: it keeps its place, and is answered once.
func TestAnsweredLate(t *testing.T) {
	talk := []routing.Event{routing.SeatRegistered{Seat: "s1"}, routing.TalkStarted{Call: "c", Seat: "s1", Offer: 1}}
	for name, before := range map[string][]routing.Event{"waiting": nil, "on offer": talk[:1], "talking": talk} {
		t.Run(name, func(t *testing.T) {
			s := routing.New()
			apply(s, 1, append([]routing.Event{routing.PolicyChanged{Policy: small()}, routing.CallArrived{Call: "c"},
				routing.CallIdentified{Call: "c", Tier: routing.TierA1}, routing.CallQueued{Call: "c", Queue: "sales"}}, before...)...)
			was, _ := s.Call("c")
			apply(s, 2, routing.CallAnswered{Call: "c"})
			got, _ := s.Call("c")
			if n, why := s.Ignored(); n != 0 || got.Answered != 2 || got.Phase != was.Phase || was.Answered != 0 {
				t.Errorf("%s: answered %v, %s before and %s after", why, got.Answered, was.Phase, got.Phase)
			}
			apply(s, 3, routing.CallAnswered{Call: "c"})
			if got, _ = s.Call("c"); got.Answered != 2 {
				t.Errorf("answered twice")
			}
			apply(s, 4, routing.CallEnded{Call: "c", Cause: routing.CauseCallerHungUp})
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}
