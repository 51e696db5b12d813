package routing

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A row is a list, whatever is put in and taken out, and wherever.
func TestRowIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r row[int]
		var want []int
		for v := range rapid.IntRange(0, 200).Draw(t, "changes") {
			if n := len(want); n > 0 && rapid.IntRange(0, 2).Draw(t, "remove") > 0 {
				i := rapid.IntRange(0, n-1).Draw(t, "from")
				r.remove(i)
				want = slices.Delete(want, i, i+1)
			} else {
				i := rapid.IntRange(0, n).Draw(t, "at")
				r.insert(i, v)
				want = slices.Insert(want, i, v)
			}
			if !slices.Equal(r.list(), want) || r.len() != len(want) {
				t.Fatalf("got %v, want %v", r.list(), want)
			}
		}
	})
}

// A row that grows at its end as it shrinks at its front needs no new room, and
// keeps nothing alive that was taken out.
func TestRowUsesItsRoomAgain(t *testing.T) {
	var r row[*int]
	for range 10 {
		r.insert(r.len(), new(int))
	}
	v := new(int)
	room := cap(r.all)
	if n := testing.AllocsPerRun(1000, func() { r.remove(0); r.insert(r.len(), v) }); n > 0 || cap(r.all) != room {
		t.Errorf("%v allocations, room for %d instead of %d", n, cap(r.all), room)
	}
	for i, p := range r.all[:cap(r.all)] {
		if held := i >= r.from && i < len(r.all); (p != nil) != held {
			t.Errorf("place %d holds %v", i, p)
		}
	}
}
