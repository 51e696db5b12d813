package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"hotline/routing"
)

// Report is what Verify found.
type Report struct {
	Segments    int
	Entries     uint64
	First, Last uint64       // numbers of entries; zero when there are none
	From, To    routing.Time // of the first and the last entry
	Bytes       int64        // of all segments
	// Gaps are places where entries are missing.
	Gaps []Gap
	// TornBytes stand behind the last whole entry: a process or a machine died
	// while writing, or a server is writing now. Opening the journal cuts them off.
	TornBytes int64
	Snapshots []SnapshotReport // in order
	// Corrupt holds what can't be trusted.
	Corrupt []error
}

// Gap is a place before an entry where others are missing.
type Gap struct {
	Before uint64
	// Lost entries could not be written and got no numbers.
	Lost uint64
	// Missing entries have numbers but aren't there.
	Missing uint64
}

// SnapshotReport is what Verify found of a snapshot.
type SnapshotReport struct {
	Seq   uint64
	Bytes int64
	Err   error // why it can't be used
}

// Verify looks at everything in the journal in dir without changing it; a
// running server isn't disturbed. The error is about the directory; what is
// wrong with the journal is in the report.
func Verify(dir string) (*Report, error) {
	firsts, err := segmentsThere(dir)
	if err != nil {
		return nil, err
	}
	r := &Report{Segments: len(firsts)}
	next := firsts[0]
	for _, first := range firsts {
		x, err := scanFile(dir, first, math.MaxUint64, func(e routing.Entry) error { r.add(e); return nil })
		var corrupt *CorruptError
		switch {
		case errors.As(err, &corrupt):
			r.Corrupt = append(r.Corrupt, err)
		case err != nil:
			return nil, err
		}
		if info, err := os.Stat(filepath.Join(dir, segmentName(first))); err == nil {
			r.Bytes += info.Size()
		}
		if next > first {
			r.Corrupt = append(r.Corrupt, fmt.Errorf("the segment before entry %d goes on to entry %d", first, next-1))
			next = first
		}
		if g := (Gap{Before: first, Lost: x.lost, Missing: first - next}); g.Lost > 0 || g.Missing > 0 {
			r.Gaps = append(r.Gaps, g)
		}
		next, r.TornBytes = x.next, x.torn
	}
	seqs, err := snapshots(dir)
	if err != nil {
		return nil, fmt.Errorf("look for snapshots: %w", err)
	}
	for _, seq := range seqs {
		r.Snapshots = append(r.Snapshots, verifySnapshot(dir, seq))
	}
	for _, g := range r.Gaps {
		if g.Missing > 0 && !r.bridged(g) {
			r.Corrupt = append(r.Corrupt, fmt.Errorf("entries %d to %d are missing, and no snapshot stands for them", g.Before-g.Missing, g.Before-1))
		}
	}
	if firsts[0] > 1 && !r.bridged(Gap{Before: firsts[0]}) {
		r.Corrupt = append(r.Corrupt, fmt.Errorf("it begins with entry %d, and no snapshot stands for those before", firsts[0]))
	}
	return r, nil
}

func (r *Report) add(e routing.Entry) {
	if r.Entries == 0 {
		r.First, r.From = e.Seq, e.At
	}
	r.Entries++
	r.Last, r.To = e.Seq, e.At
}

// bridged says whether reading back can begin behind the gap.
func (r *Report) bridged(g Gap) bool {
	for _, s := range r.Snapshots {
		if s.Err == nil && s.Seq+1 >= g.Before {
			return true
		}
	}
	return false
}

func verifySnapshot(dir string, seq uint64) SnapshotReport {
	data, err := readSnapshot(dir, seq)
	if err == nil {
		var s *routing.State
		if s, err = routing.Restore(data); err == nil && s.Seq() != seq {
			err = fmt.Errorf("its state is that of entry %d", s.Seq())
		}
	}
	return SnapshotReport{Seq: seq, Bytes: int64(len(data)), Err: err}
}

// Gaps returns where in the journal in dir entries could not be written: what
// they did is missing when the journal is replayed, up to the next snapshot. It
// reads the first lines of the segments only.
func Gaps(dir string) ([]Gap, error) {
	firsts, err := segmentsThere(dir)
	if err != nil {
		return nil, err
	}
	var gaps []Gap
	for _, first := range firsts {
		x, err := scanFile(dir, first, first, nil)
		if err != nil {
			return nil, err
		}
		if x.lost > 0 {
			gaps = append(gaps, Gap{Before: first, Lost: x.lost})
		}
	}
	return gaps, nil
}
