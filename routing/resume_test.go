package routing

import (
	"fmt"
	"strings"
	"testing"
)

// TestLeaversAreBounded has more callers leave than are remembered: the oldest are
// forgotten, and with time all.
func TestLeaversAreBounded(t *testing.T) {
	l := leavers{byKey: map[leaverKey]leaver{}}
	for i := range maxLeavers + 5 {
		l.add(leaver{leaverKey: leaverKey{number: fmt.Sprint(i), queue: "q"}, at: Time(i)})
		l.forget(Time(i), Hour)
	}
	if len(l.order) != maxLeavers || len(l.byKey) != maxLeavers || l.order[0].number != "5" {
		t.Fatalf("%d and %d are remembered, from %q on", len(l.order), len(l.byKey), l.order[0].number)
	}
	if _, ok := l.take(leaverKey{"4", "q"}); ok {
		t.Error("caller 4 is remembered")
	}
	if x, ok := l.take(leaverKey{"70000", "q"}); !ok || x.at != 70000 || len(l.order) != maxLeavers-1 {
		t.Errorf("caller 70000: %v %t", x, ok)
	}
	if l.forget(Time(maxLeavers+4).Add(Hour), Hour); len(l.order) != 0 || len(l.byKey) != 0 {
		t.Errorf("%d and %d are remembered for ever", len(l.order), len(l.byKey))
	}
}

func TestRedactHidesWhoLeft(t *testing.T) {
	s := New()
	for _, ev := range []Event{
		PolicyChanged{Policy: Policy{RingTime: Second, ResumeWithin: Minute, Queues: []QueuePolicy{{ID: "q"}}}},
		CallArrived{Call: "c1", Number: "+8613800000001"}, CallQueued{Call: "c1", Queue: "q"}, CallEnded{Call: "c1", Cause: CauseCallerHungUp},
	} {
		s.Apply(Entry{At: 1, Event: ev})
	}
	f := s.Freeze()
	if data, err := f.Encode(); err != nil || !strings.Contains(string(data), "+8613800000001") {
		t.Fatalf("error %v: the place isn't kept in %s", err, data)
	}
	f.Redact(func(kind, _ string) string { return kind + "?" })
	if data, err := f.Encode(); err != nil || strings.Contains(string(data), "138") {
		t.Errorf("error %v: %s", err, data)
	}
}
