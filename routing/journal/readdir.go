package journal

import (
	"fmt"

	"hotline/routing"
)

// ReadDir calls fn with every entry of the journal in dir, in order, without
// opening it: a running server may go on writing there, and what it has not
// finished is not read. It stops at fn's first error and returns it.
func ReadDir(dir string, fn func(routing.Entry) error) error {
	firsts, err := segments(dir)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if len(firsts) == 0 {
		return fmt.Errorf("read journal: %s holds no journal; it is the directory named by journal.dir", dir)
	}
	for i, first := range firsts {
		x, err := scanFile(dir, first, ^uint64(0), fn)
		if err != nil {
			return err
		}
		if i+1 < len(firsts) && x.next != firsts[i+1] {
			return &CorruptError{File: segmentName(first), Offset: x.size, Err: fmt.Errorf("it ends with entry %d, but the next segment begins with %d", x.next-1, firsts[i+1])}
		}
	}
	return nil
}
