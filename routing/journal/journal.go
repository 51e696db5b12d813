// Package journal keeps the entries that routing is fed with, in one order.
// Routing is a fold over them: reading a journal back gives the same state.
//
// There is one interface and may be several homes; package journaltest holds
// the suite that every home must pass. The home here is a directory of segment
// files on one machine; see File.
package journal

import (
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

	// Close makes everything durable and frees the journal's home. After it
	// Append and Read return ErrClosed. A second Close does nothing.
	Close() error
}

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("journal is closed")

// ErrTrimmed is returned by Read when the entries asked for are no longer kept.
var ErrTrimmed = errors.New("journal no longer keeps these entries")
