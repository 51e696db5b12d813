// Package journaltest holds the suite that every home of a journal must pass.
package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotline/routing"
	"hotline/routing/journal"
)

// Home is one place where a journal can live. Open is called several times on
// the same place, each time after the journal before was closed.
type Home interface {
	Open(t *testing.T) journal.Journal
}

// Run runs the suite; newHome returns a new and empty home.
func Run(t *testing.T, newHome func(t *testing.T) Home) {
	for name, test := range map[string]func(*testing.T, Home){
		"entries come back as they were, in order":           roundTrip,
		"numbers go on after reopening":                      reopen,
		"reading starts anywhere and ends where it was told": readFrom,
		"reading stops at the reader's error":                readerError,
		"the reader may append":                              appendWhileReading,
		"appends from many goroutines have one order":        concurrent,
		"a closed journal says so":                           closed,
		"an entry that can't be written takes no number":     badEntry,
		"a snapshot comes back, the newest first":            snapshot,
		"a snapshot may be replaced, not overtaken":          snapshotOrder,
		"a snapshot may be written while entries come":       snapshotBeside,
		"a follower gets what is there and what comes":       follow,
		"a follower starts anywhere":                         followFrom,
		"a follower ends with its context":                   followCancelled,
		"a follower ends with its own error":                 followerError,
		"a follower ends when the journal is closed":         followClosed,
		"a follower may append":                              followAppends,
		"many followers get the same":                        manyFollowers,
	} {
		t.Run(name, func(t *testing.T) { test(t, newHome(t)) })
	}
}

// Entries returns n entries of all kinds, numbered from 1.
func Entries(n int) []routing.Entry {
	events := []routing.Event{
		routing.PolicyChanged{Policy: routing.Policy{
			Tiers: []routing.TierPolicy{{Tier: routing.TierA1, TargetMS: 5000}}, Order: routing.OrderStrict, RingTime: 15 * routing.Second,
			Queues: []routing.QueuePolicy{{ID: "投诉", WrapUp: routing.Minute}},
			Seats:  []routing.SeatPolicy{{ID: "s1", Agent: "mei", VIP: true, Team: "gov", Queues: []routing.QueueID{"投诉"}, Languages: []string{"zh", "en"}}},
		}},
		routing.NodeStarted{},
		routing.CallArrived{Call: "c1", Number: "+8613800000000", DID: "95000", Trunk: "t1"},
		routing.CallAnswered{Call: "c1"},
		routing.CallIdentified{Call: "c1", Customer: "k1", Tier: routing.TierB2, Manager: "mei", Team: "gov", Language: "zh", Source: "redis"},
		routing.CallQueued{Call: "c1", Queue: "投诉", Language: "en"},
		routing.SeatRegistered{Seat: "s1"},
		routing.AgentStatusChanged{Agent: "mei", Status: routing.StatusBreak, Reason: "line\nbreak \"quoted\" \u2028 <&>"},
		routing.OfferRinging{Call: "c1", Seat: "s1", Offer: 1},
		routing.OfferAnswered{Call: "c1", Seat: "s1", Offer: 1},
		routing.OfferFailed{Call: "c1", Seat: "s1", Offer: 1, Cause: routing.OfferRefused},
		routing.TalkStarted{Call: "c1", Seat: "s1", Offer: 2},
		routing.HoldChanged{Call: "c1", Held: true},
		routing.CallTaken{Call: "c1", Seat: "s1"},
		routing.CallForwarded{Call: "c1", To: "flow survey"},
		routing.OwnCallChanged{Seat: "s1", Busy: true},
		routing.CallEnded{Call: "c1", Cause: routing.CauseCallerHungUp},
		routing.WrapUpExtended{Seat: "s1"},
		routing.WrapUpEnded{Seat: "s1"},
		routing.SeatFreed{Seat: "s1"},
		routing.SeatUnregistered{Seat: "s1"},
		routing.Tick{},
	}
	out := make([]routing.Entry, n)
	for i := range out {
		out[i] = routing.Entry{Seq: uint64(i + 1), At: routing.Time(1_790_000_000_000_000 + i), Node: "n1", Event: events[i%len(events)]}
	}
	return out
}

func appendAll(t *testing.T, j journal.Journal, entries []routing.Entry) {
	t.Helper()
	for _, e := range entries {
		want := e.Seq
		e.Seq = 99999 // must not matter
		if seq, err := j.Append(e); err != nil || seq != want {
			t.Fatalf("append: number %d, error %v; want number %d", seq, err, want)
		}
	}
}

// ReadAll returns the entries from number from on.
func ReadAll(t *testing.T, j journal.Journal, from uint64) []routing.Entry {
	t.Helper()
	var out []routing.Entry
	if err := j.Read(from, func(e routing.Entry) error { out = append(out, e); return nil }); err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
	return out
}

func same(t *testing.T, want, got []routing.Entry) {
	t.Helper()
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("entries differ (-want +got):\n%s", d)
	}
}

func closeIt(t *testing.T, j journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func roundTrip(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	same(t, nil, ReadAll(t, j, 0))
	want := Entries(100)
	appendAll(t, j, want)
	same(t, want, ReadAll(t, j, 0))
	same(t, want, ReadAll(t, j, 1))
}

func reopen(t *testing.T, h Home) {
	want := Entries(60)
	for i := range 3 {
		j := h.Open(t)
		same(t, want[:i*20], ReadAll(t, j, 0))
		appendAll(t, j, want[i*20:i*20+20])
		closeIt(t, j)
	}
	j := h.Open(t)
	defer closeIt(t, j)
	same(t, want, ReadAll(t, j, 0))
}

func readFrom(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	want := Entries(40)
	appendAll(t, j, want)
	for from := range want {
		same(t, want[from:], ReadAll(t, j, uint64(from+1)))
	}
	same(t, nil, ReadAll(t, j, 41))
	same(t, nil, ReadAll(t, j, 1<<60))
}

func readerError(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	appendAll(t, j, Entries(10))
	enough, n := errors.New("enough"), 0
	err := j.Read(0, func(routing.Entry) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Fatalf("error %v after %d entries", err, n)
	}
}

func appendWhileReading(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	entries := Entries(20)
	appendAll(t, j, entries[:10])
	n := 0
	err := j.Read(0, func(routing.Entry) error {
		appendAll(t, j, entries[10+n:11+n])
		n++
		return nil
	})
	if err != nil || n != 10 {
		t.Fatalf("read %d entries, error %v; want the 10 that were there", n, err)
	}
	same(t, entries, ReadAll(t, j, 0))
}

func concurrent(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last uint64
			for i := range each {
				seq, err := j.Append(routing.Entry{At: routing.Time(i), Node: fmt.Sprintf("n%d", w), Event: routing.Tick{}})
				if err != nil || seq <= last {
					t.Errorf("writer %d: number %d after %d, error %v", w, seq, last, err)
					return
				}
				last = seq
			}
		})
	}
	wg.Wait()
	next := map[string]routing.Time{}
	for i, e := range ReadAll(t, j, 0) {
		if e.Seq != uint64(i+1) || e.At != next[e.Node] {
			t.Fatalf("entry %d has number %d and is entry %d of %s, want %d", i+1, e.Seq, e.At, e.Node, next[e.Node])
		}
		next[e.Node]++
	}
	if len(next) != writers {
		t.Fatalf("entries of %d writers", len(next))
	}
}

func closed(t *testing.T, h Home) {
	j := h.Open(t)
	closeIt(t, j)
	closeIt(t, j)
	if _, err := j.Append(Entries(1)[0]); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Read(0, func(routing.Entry) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := j.Follow(t.Context(), 0, func(routing.Entry) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("follow: %v", err)
	}
	if err := j.WriteSnapshot(1, nil); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("write a snapshot: %v", err)
	}
	if _, _, err := j.Snapshot(1); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("snapshot: %v", err)
	}
}

func badEntry(t *testing.T, h Home) {
	j := h.Open(t)
	defer closeIt(t, j)
	want := Entries(3)
	appendAll(t, j, want[:1])
	if seq, err := j.Append(routing.Entry{Node: "n1"}); err == nil || seq != 0 {
		t.Fatalf("an entry without event got number %d, error %v", seq, err)
	}
	appendAll(t, j, want[1:])
	same(t, want, ReadAll(t, j, 0))
}
