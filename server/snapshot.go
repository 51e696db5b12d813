package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"

	"hotline/routing"
	"hotline/routing/journal"
)

// Snapshots of routing make reading the journal back short and let its old
// segments go. The core's goroutine only copies the state; one goroutine at a
// time encodes and writes it.

const (
	// saveEvery is how many entries pass between two snapshots: reading back so
	// many takes about a second.
	saveEvery = 100_000
	// saveAgain is how many pass after one that failed.
	saveAgain = 1000
)

// saving is the core's part of writing snapshots; its goroutine owns it.
type saving struct {
	// settle makes durable what is only made up for by reading back the entries
	// that the snapshot replaces: call records. It is called before each.
	settle func() error
	// owed hands over what settle is to make durable and still waits; it is called on
	// the core's goroutine.
	owed  func()
	every int

	changed int  // entries that no snapshot has seen
	wait    int  // entries until the next one, at least
	failing bool // the last entry could not be written
	gap     bool // an entry could not be written, and no snapshot has seen it
	busy    bool
	done    chan error
}

func newSaving() saving {
	return saving{settle: func() error { return nil }, owed: func() {}, every: saveEvery, done: make(chan error, 1)}
}

// resume returns the state of the newest snapshot that can be used, and the
// entry to read the journal from.
func resume(j journal.Journal, log *slog.Logger) (*routing.State, uint64, error) {
	var refused []error
	for upTo := uint64(math.MaxUint64); ; {
		seq, data, err := j.Snapshot(upTo)
		if err != nil {
			return nil, 0, errors.Join(append([]error{err}, refused...)...)
		}
		if seq == 0 {
			return routing.New(), 0, nil
		}
		state, err := routing.Restore(data)
		if err == nil && state.Seq() != seq {
			err = fmt.Errorf("the state is that of entry %d", state.Seq())
		}
		if err == nil {
			return state, seq + 1, nil
		}
		err = fmt.Errorf("snapshot of entry %d: %w", seq, err)
		log.Error("snapshot can't be used; looking for an older one", "error", err)
		refused = append(refused, err)
		upTo = seq - 1
	}
}

// saveWhenDue begins a snapshot after enough entries, and after entries that
// could not be written: the snapshot holds what they did.
func (c *core) saveWhenDue(written bool) {
	s := &c.save
	s.changed++
	s.wait--
	s.failing = !written
	s.gap = s.gap || s.failing
	c.saveIfDue()
}

func (c *core) saveIfDue() {
	s := &c.save
	due := s.gap && !s.failing || s.changed >= s.every
	if !due || s.busy || s.wait > 0 || c.state.Seq() == 0 {
		return
	}
	s.busy, s.gap, s.changed = true, s.failing, 0
	s.owed()
	frozen, j, settle := c.state.Freeze(), c.journal, s.settle
	go func() { s.done <- keep(j, frozen, settle) }()
}

// keep writes a snapshot that can be read back.
func keep(j journal.Journal, frozen *routing.Frozen, settle func() error) error {
	if err := settle(); err != nil {
		return err
	}
	data, err := frozen.Encode()
	if err != nil {
		return err
	}
	// The journal drops entries that a snapshot stands for: one that could not be
	// read back must not be among them.
	if _, err := routing.Restore(data); err != nil {
		return err
	}
	return j.WriteSnapshot(frozen.Seq(), data)
}

func (c *core) saved(err error) {
	c.save.busy = false
	if err != nil {
		c.log.Error("snapshot of routing can't be kept; reading the journal back will take longer", "error", err)
		c.save.changed, c.save.wait = max(c.save.changed, c.save.every), saveAgain
	}
}

// saveLast ends with a snapshot, so that the next start reads nothing back.
func (c *core) saveLast() {
	if c.save.busy {
		c.saved(<-c.save.done)
	}
	if c.save.changed > 0 && c.state.Seq() > 0 {
		c.save.owed()
		c.saved(keep(c.journal, c.state.Freeze(), c.save.settle))
	}
}
