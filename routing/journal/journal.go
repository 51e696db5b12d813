// Package journal keeps the entries that routing is fed with, in one order.
// Routing is a fold over them: reading a journal back gives the same state. A
// snapshot of that state, kept beside the entries, makes reading back short and
// lets old entries go.
//
// There is one interface and may be several homes; package journaltest holds
// the suite that every home must pass. The home here is a directory of segment
// files on one machine; see File.
package journal

import (
	"context"
	"errors"

	"hotline/routing"
)

// Journal is an ordered, durable list of entries. Its methods may be called
// from several goroutines; the order of Append is the order of the journal.
type Journal interface {
	// Append writes e as the next entry and returns its number; e.Seq is not
	// looked at. When it returns without error the entry survives the end of
	// this process (kill -9 included), so what routing decides on it may be
	// carried out. Surviving a power cut may take a little longer; the home says
	// how long. After an error the entry is not in the journal and has no
	// number: the caller may go on in memory, and a later Append may succeed.
	// Append may block for the time of one write.
	Append(e routing.Entry) (seq uint64, err error)

	// Read calls fn with every entry from number from on, in order, up to the
	// last one that was appended when Read was called; from 0 means from the
	// oldest that is kept. It stops at fn's first error and returns it. When
	// entry from is no longer kept the error is ErrTrimmed. fn may call Append.
	Read(from uint64, fn func(routing.Entry) error) error

	// Follow calls fn with every entry from number from on, as Read does, and
	// then with each further one as soon as it is appended. It returns ctx's
	// error when ctx ends, fn's first error, ErrClosed once the journal was
	// closed and fn has had every entry, and ErrTrimmed when the next entry is no
	// longer kept because fn is too slow. Append never waits for it. fn may call
	// Append.
	Follow(ctx context.Context, from uint64, fn func(routing.Entry) error) error

	// WriteSnapshot keeps data, the state after entry seq and before the next.
	// The journal doesn't look into it. It is kept whole or not at all: while it
	// is written, and when that fails, the snapshots before it stay. The home
	// keeps at least the newest two. seq must be the number of an entry, and not
	// below that of an earlier snapshot; an equal one replaces it. It may block
	// for as long as the disk does, but Append doesn't wait for it.
	WriteSnapshot(seq uint64, data []byte) error

	// Snapshot returns the newest snapshot that is whole and not of an entry after
	// upTo; reading back is that snapshot and then Read from seq+1. seq 0 without
	// an error means that there is none and none is needed: read from 0. When there
	// is none although entries before the oldest kept one were dropped, the error
	// is ErrNoSnapshot.
	Snapshot(upTo uint64) (seq uint64, data []byte, err error)

	// Close makes everything durable and frees the journal's home. After it
	// the other methods return ErrClosed. A second Close does nothing.
	Close() error
}

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("journal is closed")

// ErrTrimmed is returned by Read and Follow when the entries asked for are no
// longer kept.
var ErrTrimmed = errors.New("journal no longer keeps these entries")

// ErrNoSnapshot is returned by Snapshot when the entries that are kept can't be
// understood without one.
var ErrNoSnapshot = errors.New("journal has no whole snapshot, and the entries before the oldest kept one were dropped; restore a snapshot file from a backup, or move the directory away to start anew")
