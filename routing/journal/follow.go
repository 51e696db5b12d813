package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hotline/routing"
)

// follower walks along the segments as they grow.
type follower struct {
	f     *File
	next  uint64
	seg   *os.File // nil before the first entry
	first uint64   // of seg
	lines *lineReader
	at    uint64 // number of the entry that lines comes to next
}

// Follow implements Journal.
func (f *File) Follow(ctx context.Context, from uint64, fn func(routing.Entry) error) error {
	w := &follower{f: f, next: from}
	defer w.leave()
	for {
		f.mu.Lock()
		if w.next == 0 {
			w.next = f.next
			if len(f.firsts) > 0 {
				w.next = f.firsts[0]
			}
		}
		first, until := f.segmentOf(w.next)
		end, closed := f.next, f.closed
		var grown <-chan struct{}
		if w.next >= end && !closed {
			if f.grown == nil {
				f.grown = make(chan struct{})
			}
			grown = f.grown
		}
		f.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case w.next < end:
			if err := w.read(ctx, first, until, fn); err != nil {
				return err
			}
		case closed:
			return ErrClosed
		default:
			select {
			case <-grown:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// segmentOf returns the first entry of the segment that holds entry seq, 0 if
// it is no longer kept, and the entry after its last.
func (f *File) segmentOf(seq uint64) (first, until uint64) {
	for _, at := range f.firsts {
		if at > seq {
			return first, at
		}
		first = at
	}
	return first, f.next
}

// wake tells the followers that there is something new. The lock is held.
func (f *File) wake() {
	if f.grown != nil {
		close(f.grown)
		f.grown = nil
	}
}

// read gives fn the entries of the segment that begins with first, up to until.
func (w *follower) read(ctx context.Context, first, until uint64, fn func(routing.Entry) error) error {
	if first == 0 {
		return fmt.Errorf("follow journal from entry %d: %w", w.next, ErrTrimmed)
	}
	if w.seg == nil || w.first != first {
		if err := w.open(first); err != nil {
			return err
		}
	}
	name := filepath.Join(w.f.opt.Dir, segmentName(first))
	for w.next < until {
		if err := ctx.Err(); err != nil {
			return err
		}
		offset := w.lines.offset
		line, err := w.lines.next()
		if err != nil {
			return &CorruptError{File: name, Offset: offset, Err: fmt.Errorf("entry %d was written but can't be read: %w", w.at, err)}
		}
		e, err := parseLine(line)
		if err == nil && e.Seq != w.at {
			err = fmt.Errorf("entry %d stands where %d belongs", e.Seq, w.at)
		}
		if err != nil {
			return &CorruptError{File: name, Offset: offset, Err: err}
		}
		w.at++
		if e.Seq < w.next {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
		w.next++
	}
	return nil
}

// open begins the segment. It has an entry, so nobody will begin it anew.
func (w *follower) open(first uint64) error {
	w.leave()
	name := filepath.Join(w.f.opt.Dir, segmentName(first))
	seg, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("follow journal: entry %d was dropped meanwhile: %w", first, ErrTrimmed)
	}
	if err != nil {
		return fmt.Errorf("follow journal: %w", err)
	}
	w.seg, w.first, w.at = seg, first, first
	w.lines = &lineReader{r: bufio.NewReaderSize(seg, 64<<10)}
	line, err := w.lines.next()
	if err != nil {
		return &CorruptError{File: name, Err: err}
	}
	if h, err := parseHeader(line); err != nil || h.first != first {
		return &CorruptError{File: name, Err: fmt.Errorf("its first line isn't that of entry %d (error %w)", first, err)}
	}
	return nil
}

func (w *follower) leave() {
	if w.seg != nil {
		_ = w.seg.Close() // only read
		w.seg = nil
	}
}
