package media

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// Legs that were put where an idle shard looks are spread when there are so many that it doesn't idle any more: no slot has
// much more than its share, and none loses a leg.
func TestShardSpreadsItsLegs(t *testing.T) {
	e := openEngine(t, nil)
	now := time.Hour
	clock := func() time.Duration { return now }
	s := idleShard(t, clock)
	legs := map[*Leg]bool{}
	for _, want := range []int{idleLegs, idleLegs + 20, 600, 1000} {
		for len(legs) < want {
			l := newLeg(e, "leg", &pair{port: 4000})
			legs[l] = true
			if err := s.add(l); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 { // seconds
			s.beats()
			now += time.Second
			s.rest()
		}
		most, all := 0, 0
		for i := range s.slots {
			members := s.slots[i].members()
			most, all = max(most, len(members)), all+len(members)
			for _, l := range members {
				if !legs[l] || l.slot != &s.slots[i] {
					t.Fatal("a leg is where it doesn't belong")
				}
			}
		}
		if mean := want / phases; all != want || want > idleLegs && most > mean*5/4 {
			t.Errorf("%d legs of %d, %d of them in one slot, %d in the mean", all, want, most, mean)
		}
	}
	for l := range legs {
		if err := s.remove(l); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.load(); n != 0 {
		t.Errorf("%d legs are left", n)
	}
}

// A leg needs no goroutine.
func TestLegsShareGoroutines(t *testing.T) {
	e := openEngine(t, nil)
	openLeg(t, e)
	one := runtime.NumGoroutine()
	var errs []error
	for range 499 {
		_, err := e.NewLeg("leg")
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := runtime.NumGoroutine(); n > one { // an earlier test's may have ended meanwhile
		t.Errorf("%d goroutines with 500 legs, %d with one", n, one)
	}
}
