package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"hotline/routing"
	"hotline/routing/journal"
)

// ticks lets n entries pass.
func (c *core) ticks(n int) {
	for range n {
		c.post(routing.Tick{})
	}
}

// savingCore runs a core that writes a snapshot every ten entries and tells of
// each.
func savingCore(t *testing.T, j *memJournal, log *slog.Logger) *core {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c, _, err := newCore("n1", j, log)
	if err != nil {
		t.Fatal(err)
	}
	c.save.every = 10
	go c.run()
	t.Cleanup(c.close)
	return c
}

// A core that ends leaves a snapshot; the next one reads nothing back and is in
// the same state.
func TestNextStartReadsTheSnapshot(t *testing.T) {
	j := &memJournal{}
	first := runCore(t, j, nil)
	offerOne(t, first)
	first.close()
	last := uint64(len(j.entries))
	if len(j.snaps) != 1 || j.snaps[last] == nil {
		t.Fatalf("%d snapshots after %d entries", len(j.snaps), last)
	}
	j.entries = nil // nobody may need them
	second, closed, err := newCore("n1", j, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if second.state.Hash() != first.state.Hash() || len(closed) != 0 || second.save.changed != 0 {
		t.Errorf("another state, %d closed, %d entries", len(closed), second.save.changed)
	}
	// Nothing happened: no second snapshot of the same entry.
	clear(j.snaps)
	go second.run()
	second.close()
	if len(j.snaps) != 0 {
		t.Errorf("%d snapshots of nothing new", len(j.snaps))
	}
}

// A snapshot is written every so many entries, records first, one at a time,
// and holds up nobody.
func TestSnapshotsBesideRouting(t *testing.T) {
	j := &memJournal{kept: make(chan uint64, 1)}
	c := savingCore(t, j, nil)
	settling, settled := make(chan struct{}), make(chan struct{})
	c.do(func() {
		c.save.settle = func() error { settling <- struct{}{}; <-settled; return nil }
	})
	c.ticks(9)
	c.settle(t)
	select {
	case <-settling:
		t.Fatal("a snapshot after nine entries")
	default:
	}
	c.ticks(1)
	<-settling
	c.ticks(100)                                                 // goes on, and begins no second one
	c.do(func() { c.save.settle = func() error { return nil } }) // from the next one on
	c.settle(t)
	settled <- struct{}{}
	for _, want := range []uint64{10, 110} { // and then of all that came meanwhile
		if seq := <-j.kept; seq != want {
			t.Errorf("snapshot of entry %d, want %d", seq, want)
		}
	}
	c.ticks(10)
	if seq := <-j.kept; seq != 120 {
		t.Errorf("snapshot of entry %d, want 120", seq)
	}
	j.mu.Lock()
	j.kept = nil
	j.mu.Unlock()
}

// The disk fails and comes back: the snapshot holds what the entries that were
// lost did.
func TestSnapshotClosesTheGap(t *testing.T) {
	j := &memJournal{kept: make(chan uint64, 1)}
	c := savingCore(t, j, nil)
	c.post(routing.PolicyChanged{Policy: onePolicy})
	c.settle(t)
	j.mu.Lock()
	j.broken = errors.New("no space left on device")
	j.mu.Unlock()
	c.post(routing.SeatRegistered{Seat: "alice"})
	c.settle(t)
	j.mu.Lock()
	j.broken = nil
	j.mu.Unlock()
	c.ticks(1)
	if seq := <-j.kept; seq != 2 {
		t.Fatalf("snapshot of entry %d, want 2", seq)
	}
	j.mu.Lock()
	j.kept = nil
	j.mu.Unlock()
	state, from, err := resume(j, slog.New(slog.DiscardHandler))
	if err != nil || from != 3 {
		t.Fatalf("from %d: %v", from, err)
	}
	if v, _ := state.Seat("alice"); v.State != routing.SeatIdle {
		t.Errorf("alice is %s, want idle", v.State)
	}
}

// A snapshot can't be kept: that is logged, tried again not at every entry, and
// routing goes on.
func TestSnapshotsThatFail(t *testing.T) {
	log := &textLog{}
	j := &memJournal{kept: make(chan uint64, 1)}
	c := savingCore(t, j, slog.New(slog.NewTextHandler(log, nil)))
	full := func() error { return errors.New("no space left on device") }
	tried := 0
	c.do(func() { c.save.settle = func() error { tried++; return full() } })
	c.ticks(10)
	for range 2 { // the first entry may come before the news
		c.settle(t)
		c.ticks(saveAgain / 2)
	}
	c.do(func() {
		if c.save.busy {
			c.saved(<-c.save.done)
		}
		c.save.settle = func() error { return nil }
	})
	c.settle(t)
	if tried < 1 || tried > 2 || !strings.Contains(log.String(), "snapshot of routing can't be kept") {
		t.Errorf("tried %d times, log %s", tried, log)
	}
	c.ticks(saveAgain + 1)
	<-j.kept
	j.mu.Lock()
	j.kept = nil
	j.mu.Unlock()
}

// A snapshot that this version can't read: the one before it is as good.
func TestSnapshotOfAnotherVersion(t *testing.T) {
	j := &memJournal{}
	first := runCore(t, j, nil)
	offerOne(t, first)
	first.close()
	good := uint64(len(j.entries))
	if _, err := j.Append(routing.Entry{At: now(), Node: "n1", Event: routing.Tick{}}); err != nil {
		t.Fatal(err)
	}
	j.snaps[good+1] = []byte(`{"version":99}`)
	log := &textLog{}
	state, from, err := resume(j, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil || from != good+1 || state.Seq() != good || !strings.Contains(log.String(), "version 99") {
		t.Errorf("from %d, error %v, log %s", from, err, log)
	}
	delete(j.snaps, good)
	if _, from, err := resume(j, slog.New(slog.DiscardHandler)); err != nil || from != 0 {
		t.Errorf("without a good one: from %d, error %v", from, err)
	}
}

// The process is killed at any moment, with a file whose old segments go: what
// is on the disk then leads to the same state.
func TestKilledWithATrimmedJournal(t *testing.T) {
	dir := t.TempDir()
	open := func(dir string) *journal.File {
		f, err := journal.OpenFile(journal.FileOptions{Dir: dir, SegmentBytes: 1000, KeepSegments: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	f := open(dir)
	c, _, err := newCore("n1", f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c.save.every = 10
	go c.run()
	defer c.close()
	c.post(routing.PolicyChanged{Policy: onePolicy})
	c.post(routing.SeatRegistered{Seat: "alice"})
	for i := range 60 {
		id := routing.CallID(fmt.Sprintf("c%d", i))
		c.post(routing.CallArrived{Call: id, Number: "+8613800000000"})
		c.post(routing.CallQueued{Call: id, Queue: "sales"})
		if i%3 == 0 {
			c.post(routing.CallEnded{Call: id, Cause: routing.CauseCallerHungUp})
		}
		if i%10 != 9 {
			continue
		}
		var hash uint64
		killed := t.TempDir()
		if err := c.view(t.Context(), func(s *routing.State) {
			hash = s.Hash()
			if c.save.busy { // a copy isn't taken at one moment
				c.saved(<-c.save.done)
			}
			if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		back, _, err := newCore("n1", open(killed), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if back.state.Hash() != hash {
			t.Fatalf("another state after call %d", i)
		}
	}
	if st := f.Stats(); st.First == 1 || st.Snapshots < 2 {
		t.Errorf("nothing was dropped: %+v", st)
	}
}
