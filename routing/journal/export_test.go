package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hotline/routing"
)

// readExport reads an export as anybody would who got one.
func readExport(data []byte) (header exportHeader, state *routing.State, entries []routing.Entry, err error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	state = routing.New()
	for n := 0; lines.Scan(); n++ {
		switch {
		case n == 0:
			err = json.Unmarshal(lines.Bytes(), &header)
		case n == 1 && header.From > 1:
			var s exportState
			if err = json.Unmarshal(lines.Bytes(), &s); err == nil {
				state, err = routing.Restore(s.State)
			}
		default:
			var e routing.Entry
			err = json.Unmarshal(lines.Bytes(), &e)
			entries = append(entries, e)
		}
		if err != nil {
			return header, nil, nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return header, state, entries, lines.Err()
}

// anonymous is what a decision says but for who called.
func anonymous(d routing.Decision) string {
	hide := func(v routing.CallView) routing.CallView {
		v.Number, v.Customer = "", ""
		v.Diversions = slices.Clone(v.Diversions)
		for i := range v.Diversions {
			v.Diversions[i].Number = ""
		}
		return v
	}
	switch x := d.(type) {
	case *routing.Connected:
		d = &routing.Connected{Call: hide(x.Call)}
	case *routing.Ended:
		d = &routing.Ended{Call: hide(x.Call)}
	case *routing.Closed:
		d = &routing.Closed{Call: hide(x.Call)}
	}
	return fmt.Sprintf("%s %+v", d.Kind(), d)
}

func decide(s *routing.State, entries []routing.Entry) []string {
	var out []string
	for _, e := range entries {
		for _, d := range s.Apply(e) {
			out = append(out, fmt.Sprintf("%d: %s", e.Seq, anonymous(d)))
		}
	}
	return out
}

const theNumber, theCustomer = "+8613812345", "customer-77"

// traffic appends random entries: callers of a few numbers, some who call again.
func traffic(t *rapid.T, j Journal, s *routing.State, n int) {
	at := s.Now()
	var offers []routing.Offer
	send := func(ev routing.Event) {
		at = at.Add(routing.Duration(rapid.IntRange(0, 20).Draw(t, "later")) * routing.Second)
		e := routing.Entry{At: at, Node: "n1", Event: ev}
		seq, err := j.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Seq = seq
		for _, d := range s.Apply(e) {
			if o, ok := d.(*routing.Offer); ok {
				offers = append(offers, *o)
			}
		}
	}
	if s.Seq() == 0 {
		p := routing.Policy{RingTime: 15 * routing.Second, OfferLease: routing.Second, ManagerTime: 20 * routing.Second, ResumeWithin: routing.Hour, Queues: []routing.QueuePolicy{{ID: "q", WrapUp: routing.Minute}}}
		for _, id := range []routing.SeatID{"s0", "s1", "s2"} {
			p.Seats = append(p.Seats, routing.SeatPolicy{ID: id, Queues: []routing.QueueID{"q"}})
		}
		send(routing.PolicyChanged{Policy: p})
	}
	for range n {
		id := routing.CallID(fmt.Sprintf("c%d", rapid.IntRange(0, 20).Draw(t, "call")))
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0, 1:
			send(routing.CallArrived{Call: id, Number: rapid.SampledFrom([]string{"", theNumber + "001", theNumber + "002"}).Draw(t, "number"),
				Diversions: rapid.SampledFrom([][]routing.Diversion{nil, {{Number: theNumber + "003", Reason: "no-answer"}}}).Draw(t, "diversions")})
		case 2:
			send(routing.CallIdentified{Call: id, Customer: rapid.SampledFrom([]routing.CustomerID{"", theCustomer}).Draw(t, "customer"),
				Tier: rapid.SampledFrom(routing.Tiers()).Draw(t, "tier"), Manager: rapid.SampledFrom([]routing.AgentID{"", "s1"}).Draw(t, "manager")})
		case 3, 4:
			send(routing.CallQueued{Call: id, Queue: "q"})
		case 5:
			send(routing.SeatRegistered{Seat: routing.SeatID(fmt.Sprintf("s%d", rapid.IntRange(0, 2).Draw(t, "seat")))})
		case 6:
			if len(offers) > 0 {
				o := offers[0]
				offers = offers[1:]
				send(routing.TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			}
		default:
			send(routing.CallEnded{Call: id, Cause: routing.CauseCallerHungUp})
		}
	}
}

// TestExportReplays: an export tells nobody's number and leads to the same
// decisions, from its beginning or from any entry.
func TestExportReplays(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(FileOptions{Dir: dir, SegmentBytes: 2000, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := routing.New()
		traffic(t, f, s, rapid.IntRange(1, 60).Draw(t, "before"))
		if rapid.Bool().Draw(t, "snapshot") {
			data, err := s.Snapshot()
			if err == nil {
				err = f.WriteSnapshot(s.Seq(), data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		traffic(t, f, s, rapid.IntRange(1, 60).Draw(t, "after"))
		from := rapid.Uint64Range(0, s.Seq()+1).Draw(t, "from")

		var out bytes.Buffer
		n, err := Export(&out, dir, from)
		if err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, theNumber) || strings.Contains(text, theCustomer) {
			t.Fatalf("somebody's number or id is in\n%s", text)
		}
		h, exported, entries, err := readExport(out.Bytes())
		if err != nil || h.Format != exportFormat || h.Version != 1 || h.From != max(from, 1) || len(entries) != n {
			t.Fatalf("%+v, %d of %d entries, error %v", h, len(entries), n, err)
		}
		original := routing.New()
		var rest []routing.Entry
		if err := f.Read(0, func(e routing.Entry) error {
			if e.Seq < from {
				original.Apply(e)
			} else {
				rest = append(rest, e)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(decide(original, rest), decide(exported, entries)); d != "" {
			t.Fatalf("the export decides something else:\n%s", d)
		}
	})
}

// A trimmed journal is exported from the first entry whose state is known.
func TestExportOfATrimmedJournal(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: five, KeepSegments: 1})
	s := routing.New()
	for i := range 30 {
		e := tick(i)
		e.Seq, _ = f.Append(e)
		s.Apply(e)
		if i == 12 || i == 22 {
			data, err := s.Snapshot()
			if err == nil {
				err = f.WriteSnapshot(s.Seq(), data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for from, want := range map[uint64]uint64{0: 14, 14: 14, 20: 20, 30: 30, 31: 31} {
		var out bytes.Buffer
		n, err := Export(&out, dir, from)
		h, state, _, err2 := readExport(out.Bytes())
		if err != nil || err2 != nil || h.From != want || n != int(31-want) || state.Seq() != want-1 {
			t.Errorf("from %d: %+v, %d entries, errors %v, %v", from, h, n, err, err2)
		}
	}
	for from, want := range map[uint64]string{5: "isn't known", 40: "there is no entry 40"} {
		if _, err := Export(&bytes.Buffer{}, dir, from); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("from %d: %v, want %q", from, err, want)
		}
	}
}

// The same caller stays the same within an export, and is another in the next.
func TestKeyOfAnExport(t *testing.T) {
	a, b := hideBy(newKey()), hideBy(newKey())
	first := a("number", "1")
	if a("number", "1") != first || a("number", "1") == a("number", "2") || a("number", "1") == a("customer", "1") || a("number", "1") == b("number", "1") {
		t.Error("hashes are wrong")
	}
	if !errors.Is(func() error { _, err := Export(&bytes.Buffer{}, filepath.Join(t.TempDir(), "no"), 0); return err }(), os.ErrNotExist) {
		t.Error("a directory that isn't there is exported")
	}
}
