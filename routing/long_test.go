package routing

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// longJournal makes a journal of n random entries: two nodes, changing policies, events
// that fit and events that don't.
func longJournal(seed, n int) []Entry {
	return rapid.Custom(func(t *rapid.T) []Entry {
		s := New()
		var out []Entry
		for i := range n {
			e := drawEntry(t, s, true)
			switch ev := e.Event.(type) { // where nobody is there, or not for long, little happens
			case PolicyChanged:
				if len(ev.Policy.Seats) < 3 || len(ev.Policy.Queues) == 0 || len(s.policy.Seats) > 0 && i%10 > 0 {
					e.Event = SeatRegistered{Seat: SeatID(fmt.Sprintf("s%d", i%5))}
				}
			case NodeStarted:
				if i%50 > 0 {
					e.Event = CallQueued{Call: CallID(fmt.Sprintf("c%d", i%10)), Queue: "q0"}
				}
			}
			e.Seq = uint64(i + 1)
			s.Apply(e)
			out = append(out, e)
		}
		return out
	}).Example(seed)
}

// digest sums up decisions as they are told.
func digest(sum *uint64, ds []Decision) {
	h := fnv.New64a()
	fmt.Fprint(h, *sum)
	for _, d := range ds {
		data, _ := json.Marshal(d)
		fmt.Fprintf(h, "%s %s\n", d.Kind(), data)
	}
	*sum = h.Sum64()
}

// The invariants hold on journals of 10,000 entries; the same journal gives the same
// decisions and the same hash to a state that goes on from a snapshot, taken anywhere,
// and to another process.
func TestLongJournals(t *testing.T) {
	for seed := range 5 {
		entries := longJournal(seed, 10_000)
		s, all, rest := New(), uint64(0), uint64(0)
		var resumed *State
		cut := (seed*2713 + 1500) % 9000
		for i, e := range entries {
			digest(&all, s.Apply(e))
			if i%20 == 0 {
				if err := s.Check(); err != nil {
					t.Fatalf("journal %d, entry %d %+v: %v", seed, i+1, e, err)
				}
			}
			if i == cut {
				var err error
				if resumed, err = thawed(s); err != nil {
					t.Fatalf("journal %d, entry %d: %v", seed, i+1, err)
				}
				rest = all
			} else if resumed != nil {
				digest(&rest, resumed.Apply(e))
			}
		}
		if resumed.Hash() != s.Hash() || rest != all {
			t.Errorf("journal %d: from the snapshot of entry %d on hash %x and decisions %x, else %x and %x", seed, cut+1, resumed.Hash(), rest, s.Hash(), all)
		}
		if got, want := elsewhere(t, entries), fmt.Sprintf("%x %x", s.Hash(), all); got != want {
			t.Errorf("journal %d: another process has %s, this one %s", seed, got, want)
		}
		t.Logf("journal %d: %d offers", seed, s.offers)
		if s.offers < 100 {
			t.Errorf("journal %d: only %d offers were made", seed, s.offers)
		}
	}
}

const journalFile = "ROUTING_TEST_JOURNAL"

// elsewhere has another process read the journal, and returns what it says.
func elsewhere(t *testing.T, entries []Entry) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "journal")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "%s\n", line)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReadJournalElsewhere$", "-test.v")
	cmd.Env = append(os.Environ(), journalFile+"="+file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "gives "); ok {
			return said
		}
	}
	t.Fatalf("the other process said nothing:\n%s", out)
	return ""
}

// TestReadJournalElsewhere is the other process; by itself it does nothing.
func TestReadJournalElsewhere(t *testing.T) {
	file := os.Getenv(journalFile)
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, all := New(), uint64(0)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		digest(&all, s.Apply(e))
	}
	fmt.Printf("gives %x %x\n", s.Hash(), all)
}
