package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"hotline/routing"
)

// TierSummary counts the calls of one tier, as the call records have them.
type TierSummary struct {
	Offered   int `json:"offered"`   // reached a queue
	Answered  int `json:"answered"`  // talked to an agent
	Abandoned int `json:"abandoned"` // hung up before
}

// Summary is what the demo came to; all tiers are present.
type Summary struct {
	Tiers map[string]TierSummary `json:"tiers"`
	// Placed and Other aren't part of the JSON: calls made, and calls that ended
	// before a queue.
	Placed int `json:"-"`
	Other  int `json:"-"`
}

// Print writes the summary as a table.
func (s Summary) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%-6s %8s %9s %10s\n", "tier", "offered", "answered", "abandoned")
	for _, t := range routing.Tiers() {
		row := s.Tiers[t.String()]
		fmt.Fprintf(w, "%-6s %8d %9d %10d\n", t, row.Offered, row.Answered, row.Abandoned)
	}
	fmt.Fprintf(w, "%d calls made, %d ended before a queue, every one has its record\n", s.Placed, s.Other)
}

// tally counts what the callers saw.
type tally struct {
	mu    sync.Mutex
	tiers map[routing.Tier]*seen
}

type seen struct{ placed, heard int }

func newTally() *tally {
	t := &tally{tiers: make(map[routing.Tier]*seen)}
	for _, tier := range routing.Tiers() {
		t.tiers[tier] = &seen{}
	}
	return t
}

func (t *tally) placed(tier routing.Tier) { t.mu.Lock(); t.tiers[tier].placed++; t.mu.Unlock() }
func (t *tally) heard(tier routing.Tier)  { t.mu.Lock(); t.tiers[tier].heard++; t.mu.Unlock() }

func (t *tally) of(tier routing.Tier) seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.tiers[tier]
}

// account holds the callers' own count against the call records.
func account(t *tally, dir string) (Summary, error) {
	sum := Summary{Tiers: make(map[string]TierSummary)}
	for _, tier := range routing.Tiers() {
		sum.Tiers[tier.String()] = TierSummary{}
	}
	records := map[string]int{}
	err := readRecords(dir, func(tier, outcome string) {
		row := sum.Tiers[tier]
		records[tier]++
		switch outcome {
		case string(routing.OutcomeAnswered):
			row.Offered++
			row.Answered++
		case string(routing.OutcomeAbandoned):
			row.Offered++
			row.Abandoned++
		default:
			sum.Other++
		}
		sum.Tiers[tier] = row
	})
	if err != nil {
		return sum, err
	}
	for _, tier := range routing.Tiers() {
		s, row := t.of(tier), sum.Tiers[tier.String()]
		sum.Placed += s.placed
		if s.placed != records[tier.String()] {
			err = errors.Join(err, fmt.Errorf("tier %s: %d calls made, but %d call records", tier, s.placed, records[tier.String()]))
		}
		if s.heard > row.Answered {
			err = errors.Join(err, fmt.Errorf("tier %s: %d callers heard an agent, but %d calls are recorded as answered", tier, s.heard, row.Answered))
		}
	}
	return sum, err
}

func readRecords(dir string, fn func(tier, outcome string)) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return fmt.Errorf("find the call records: %w", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("read the call records: %w", err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r struct{ Tier, Outcome string }
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				_ = f.Close()
				return fmt.Errorf("call record in %s: %w", filepath.Base(name), err)
			}
			fn(r.Tier, r.Outcome)
		}
		err = errors.Join(lines.Err(), f.Close())
		if err != nil {
			return fmt.Errorf("read the call records: %w", err)
		}
	}
	return nil
}
