package journal

import (
	"errors"
	"fmt"
	"math"

	"hotline/routing"
)

// ReadDir calls fn with every entry of the journal in dir, in order, without
// opening it: a running server may go on writing there, and what it has not
// finished is not read. It stops at fn's first error and returns it. Of a
// journal that was trimmed it reads what is kept; see StateDir.
func ReadDir(dir string, fn func(routing.Entry) error) error { return ReadDirFrom(dir, 0, fn) }

// ReadDirFrom is ReadDir from an entry on; from 0 means from the oldest that is
// kept.
func ReadDirFrom(dir string, from uint64, fn func(routing.Entry) error) error {
	firsts, err := segmentsThere(dir)
	if err != nil {
		return err
	}
	if from > 0 && from < firsts[0] {
		return fmt.Errorf("read journal from entry %d: the oldest is %d: %w", from, firsts[0], ErrTrimmed)
	}
	for i, first := range firsts {
		last := i+1 == len(firsts)
		if !last && firsts[i+1] <= from {
			continue
		}
		x, err := scanFile(dir, first, math.MaxUint64, func(e routing.Entry) error {
			if e.Seq < from {
				return nil
			}
			return fn(e)
		})
		if err != nil {
			return err
		}
		if !last && x.next != firsts[i+1] {
			return &CorruptError{File: segmentName(first), Offset: x.size, Err: fmt.Errorf("it ends with entry %d, but the next segment begins with %d", x.next-1, firsts[i+1])}
		}
	}
	return nil
}

func segmentsThere(dir string) ([]uint64, error) {
	firsts, err := segments(dir)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if len(firsts) == 0 {
		return nil, fmt.Errorf("read journal: %s holds no journal; it is the directory named by journal.dir", dir)
	}
	return firsts, nil
}

// StateDir returns the state before entry from of the journal in dir, like
// ReadDir without opening it. from 0 means the oldest entry whose state before it
// is known: 1, or in a journal that was trimmed the first after its oldest
// whole snapshot. It returns that number too.
func StateDir(dir string, from uint64) (*routing.State, uint64, error) {
	firsts, err := segmentsThere(dir)
	if err != nil {
		return nil, 0, err
	}
	state, at, err := nearestState(dir, firsts[0], from)
	if err != nil || from == 0 {
		return state, at, err
	}
	reached := errors.New("reached")
	err = ReadDirFrom(dir, at, func(e routing.Entry) error {
		if e.Seq >= from {
			return reached
		}
		state.Apply(e)
		at = e.Seq + 1
		return nil
	})
	if err != nil && !errors.Is(err, reached) {
		return nil, 0, err
	}
	if at != from {
		return nil, 0, fmt.Errorf("the journal %s ends with entry %d; there is no entry %d", dir, at-1, from)
	}
	return state, from, nil
}

// nearestState returns the newest state before entry from that needs no reading,
// or for from 0 the oldest.
func nearestState(dir string, oldest, from uint64) (*routing.State, uint64, error) {
	if from == 0 && oldest == 1 {
		return routing.New(), 1, nil
	}
	seqs, err := snapshots(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("look for snapshots: %w", err)
	}
	var state *routing.State
	var at uint64
	broken := ErrNoSnapshot
	for _, seq := range seqs {
		if seq+1 < oldest || from > 0 && seq+1 > from {
			continue
		}
		data, err := readSnapshot(dir, seq)
		var s *routing.State
		if err == nil {
			s, err = routing.Restore(data)
		}
		if err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		state, at = s, seq+1
		if from == 0 {
			break
		}
	}
	switch {
	case state != nil:
		return state, at, nil
	case oldest == 1:
		return routing.New(), 1, nil
	default:
		return nil, 0, fmt.Errorf("journal %s begins with entry %d, and what was before it isn't known: %w", dir, oldest, broken)
	}
}
