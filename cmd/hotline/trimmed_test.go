package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline/routing"
	"hotline/routing/journal"
	"hotline/routing/simulate"
)

// twin is one day in two journals: one keeps everything, the other few segments
// and its snapshots.
type twin struct {
	t              *testing.T
	state          *routing.State
	whole, trimmed *journal.File
	dirs           [2]string
	policy         routing.Policy
	over           map[string]uint64 // the entry with which a call's wait was over
}

func newTwin(t *testing.T) *twin {
	t.Helper()
	w := &twin{t: t, state: routing.New(), dirs: [2]string{t.TempDir(), t.TempDir()}, over: map[string]uint64{}}
	open := func(dir string, keep int) *journal.File {
		f, err := journal.OpenFile(journal.FileOptions{Dir: dir, SegmentBytes: 8 << 10, KeepSegments: keep, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	w.whole, w.trimmed = open(w.dirs[0], 0), open(w.dirs[1], 2)
	w.policy = routing.Policy{Order: routing.OrderStrict, RingTime: 20 * routing.Second, OfferLease: routing.Second,
		Queues: []routing.QueuePolicy{{ID: "sales", WrapUp: 5 * routing.Second}}}
	for _, seat := range []routing.SeatID{"anna", "bert", "carol"} {
		w.policy.Seats = append(w.policy.Seats, routing.SeatPolicy{ID: seat, Queues: []routing.QueueID{"sales"}})
	}
	for _, tier := range routing.Tiers() {
		w.policy.Tiers = append(w.policy.Tiers, routing.TierPolicy{Tier: tier, TargetMS: 20000})
	}
	return w
}

// at brings both journals to a time, ticks at deadlines included, and appends the
// event. Agents pick up at once.
func (w *twin) at(sec int, ev routing.Event) {
	at := routing.Time(sec+1) * routing.Time(routing.Second)
	for due, ok := w.state.NextDeadline(); ok && due <= at; due, ok = w.state.NextDeadline() {
		w.append(due, routing.Tick{})
	}
	w.append(at, ev)
}

func (w *twin) append(at routing.Time, ev routing.Event) {
	w.t.Helper()
	e := routing.Entry{At: at, Node: "n", Event: ev}
	for _, f := range []*journal.File{w.whole, w.trimmed} {
		seq, err := f.Append(e)
		if err != nil {
			w.t.Fatal(err)
		}
		e.Seq = seq
	}
	var talks []routing.Event
	for _, d := range w.state.Apply(e) {
		switch d := d.(type) {
		case *routing.Offer:
			talks = append(talks, routing.TalkStarted{Call: d.Call, Seat: d.Seat, Offer: d.Offer})
		case *routing.Connected:
			w.over[string(d.Call.ID)] = e.Seq
		case *routing.Ended:
			if d.Call.Connected == 0 {
				w.over[string(d.Call.ID)] = e.Seq
			}
		}
	}
	for _, ev := range talks {
		w.append(at, ev)
	}
}

// snapshot is what the server does from time to time.
func (w *twin) snapshot() {
	w.t.Helper()
	data, err := w.state.Snapshot()
	if err == nil {
		err = w.trimmed.WriteSnapshot(w.state.Seq(), data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// run plays a day: a caller every 20 s who talks for a minute, more than the three
// seats can take with their wrap-up; every seventh gives up after 45 s. A snapshot
// comes in the midst of it every 25 calls.
func (w *twin) run() {
	w.at(0, routing.PolicyChanged{Policy: w.policy})
	for _, x := range w.policy.Seats {
		w.at(0, routing.SeatRegistered{Seat: x.ID})
	}
	const calls, every, patience, talk = 120, 20, 45, 60
	talks := map[routing.CallID]int{} // since when
	for sec := range calls*every + 3600 {
		for _, c := range w.state.Calls() {
			switch since, talking := talks[c.ID]; {
			case c.Phase == routing.PhaseTalking && !talking:
				talks[c.ID] = sec
			case c.Phase == routing.PhaseTalking && sec-since >= talk,
				c.Phase == routing.PhaseWaiting && strings.HasSuffix(string(c.ID), "-leaves") && c.QueueWait >= patience*routing.Second:
				w.at(sec, routing.CallEnded{Call: c.ID, Cause: routing.CauseCallerHungUp})
			}
		}
		if n := sec / every; sec%every == 0 && n < calls {
			w.arrive(sec, n)
		}
		if sec%(25*every) == 25*every-7 && sec < calls*every {
			w.snapshot()
		}
	}
}

func (w *twin) arrive(sec, n int) {
	id, tier := routing.CallID(fmt.Sprintf("c%03d", n)), routing.TierC
	if n%7 == 3 {
		id += "-leaves"
	}
	if n%5 == 0 {
		tier = routing.TierA1
	}
	w.at(sec, routing.CallArrived{Call: id, Trunk: "carrier", DID: "1"})
	w.at(sec, routing.CallIdentified{Call: id, Tier: tier, Customer: "acme", Source: "file"})
	w.at(sec, routing.CallQueued{Call: id, Queue: "sales"})
}

// later are the calls whose wait was over in entry from or after it.
func (w *twin) later(calls []simulate.RecordedCall, from uint64) map[string]simulate.RecordedCall {
	out := map[string]simulate.RecordedCall{}
	for _, c := range calls {
		if w.over[c.ID] >= from {
			out[c.ID] = c
		}
	}
	return out
}

// A journal that has lost its beginning is replayed from its snapshot on: the same
// calls with the same waits as in a copy that is whole.
func TestReplayOfATrimmedJournal(t *testing.T) {
	w := newTwin(t)
	w.run()
	whole, first, err := recorded(w.dirs[0])
	if err != nil || first != 1 {
		t.Fatalf("the whole journal begins at %d: %v", first, err)
	}
	rec, from, err := recorded(w.dirs[1])
	if err != nil || from < 2 {
		t.Fatalf("the trimmed journal begins at %d: %v", from, err)
	}
	if err := journal.ReadDirFrom(w.dirs[1], 1, func(routing.Entry) error { return nil }); err == nil {
		t.Fatal("nothing was trimmed")
	}
	want := w.later(whole.Calls, from)
	if len(rec.Calls) != len(want) || len(want) < 40 || len(want) > 100 || rec.Waiting() == 0 {
		t.Fatalf("%d calls, %d of them waiting at the beginning; want %d of %d", len(rec.Calls), rec.Waiting(), len(want), len(whole.Calls))
	}
	tiers := map[routing.Tier]int{}
	for _, c := range rec.Calls {
		if o := want[c.ID]; c.Waited() != o.Wait || c.Answered != o.Answered || c.Service != o.Service {
			t.Errorf("%+v, in the whole journal %+v", c, o)
		}
		tiers[c.Tier]++
	}
	r := replaying{replications: 2, seed: 1, tolerance: 1, worst: 5}
	same, err := r.run(context.Background(), w.dirs[1], w.policy)
	if err != nil {
		t.Fatal(err)
	}
	if same.Begins != from || same.Calls != len(want) || len(same.Tiers) != 2 || !same.Passed || len(same.Worse) > 0 {
		t.Errorf("%+v", same)
	}
	for _, row := range same.Tiers {
		tier, _ := routing.ParseTier(row.Tier)
		if row.Calls != tiers[tier] || row.Old != row.New || row.Old.Abandons != row.Recorded.Abandons {
			t.Errorf("%d calls of the tier; %+v", tiers[tier], row)
		}
	}
	var out bytes.Buffer
	same.print(&out)
	if line := fmt.Sprintf("The journal begins at entry %d with a snapshot; what was before it isn't known any more (journal.keep_segments). %d of the calls were waiting there", from, rec.Waiting()); !strings.Contains(out.String(), line) {
		t.Errorf("no %q in\n%s", line, &out)
	}
}

// why knows of a call what the snapshot knows, and says where the journal begins.
func TestWhyOfATrimmedJournal(t *testing.T) {
	w := newTwin(t)
	w.run()
	rec, from, err := recorded(w.dirs[1])
	if err != nil {
		t.Fatal(err)
	}
	var older, newer string
	for _, c := range rec.Calls {
		switch {
		case c.Before > 0 && c.Answered && older == "":
			older = c.ID
		case c.Before == 0 && c.Answered:
			newer = c.ID
		}
	}
	begins := fmt.Sprintf("begins at entry %d with a snapshot", from)
	for call, want := range map[string][]string{
		older: {fmt.Sprintf("the journal begins here, at entry %d, with a snapshot: tier C, customer acme", from), "waiting, queue sales,", "talks to",
			begins, "counted from the beginning of the journal, where it had waited", "without a change   answered"},
		newer: {"arrived by trunk carrier", "talks to", begins, "without a change   answered"},
	} {
		var out bytes.Buffer
		if err := why(context.Background(), &out, w.dirs[1], routing.CallID(call)); err != nil {
			t.Fatal(err)
		}
		for _, s := range want {
			if !strings.Contains(out.String(), s) {
				t.Errorf("%s: no %q in\n%s", call, s, &out)
			}
		}
	}
	if err := why(context.Background(), &bytes.Buffer{}, w.dirs[1], "c000"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("begins at entry %d", from)) {
		t.Errorf("a call that was dropped: %v", err)
	}
}

// Without a snapshot nobody knows what was before: nothing is made up.
func TestReplayOfATrimmedJournalWithoutSnapshots(t *testing.T) {
	w := newTwin(t)
	w.run()
	names, err := filepath.Glob(filepath.Join(w.dirs[1], "snapshot-*.json"))
	if err != nil || len(names) != 2 {
		t.Fatalf("snapshots %v: %v", names, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	r := replaying{replications: 1, seed: 1}
	if _, err := r.run(context.Background(), w.dirs[1], w.policy); err == nil || !strings.Contains(err.Error(), "what was before it isn't known") {
		t.Errorf("a journal without its beginning: %v", err)
	}
}
