package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hotline/routing"
)

// segmentName has 20 digits, so that names sort as numbers.
func segmentName(first uint64) string { return fmt.Sprintf("journal-%020d.log", first) }

// segments returns the numbers of the first entries of the segments in dir, sorted.
func segments(dir string) ([]uint64, error) {
	return numbered(dir, "journal-", ".log", segmentName)
}

// CorruptError says where a journal can't be trusted. Nothing after that place
// is read, because routing would come to another state without knowing it.
type CorruptError struct {
	File   string
	Offset int64 // in bytes, of the line that is bad
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %s is corrupt at byte %d: %v; restore it from a backup, or move the directory away to start anew", e.File, e.Offset, e.Err)
}

// Unwrap returns what is wrong with the line.
func (e *CorruptError) Unwrap() error { return e.Err }

// extent is what a scan of a segment found.
type extent struct {
	header
	next uint64 // number of the entry after the last whole one
	size int64  // bytes up to the end of the last whole line
	torn int64  // bytes of a torn tail behind it
	// headless says that not even the first line is whole: size is 0.
	headless bool
}

// scan reads the segment from r and calls fn (unless nil) with each entry
// numbered below end. An unfinished end of the segment is not an error but a
// torn tail: a process or a machine died while writing. Anything bad that has
// a whole entry behind it is a CorruptError.
func scan(r io.Reader, name string, first, end uint64, fn func(routing.Entry) error) (extent, error) {
	lines := &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	x := extent{next: first}
	line, err := lines.next()
	if err != nil {
		return x, endOfScan(&x, lines, name, err)
	}
	if x.header, err = parseHeader(line); err != nil {
		return x, &CorruptError{File: name, Err: err}
	}
	if x.first != first {
		return x, &CorruptError{File: name, Err: fmt.Errorf("it says that its first entry is %d, not %d", x.first, first)}
	}
	x.size = lines.offset
	for x.next < end {
		at := lines.offset
		line, err := lines.next()
		if err != nil {
			return x, endOfScan(&x, lines, name, err)
		}
		e, err := parseLine(line)
		if errors.Is(err, errNotWhole) {
			if wholeInside(line) {
				return x, &CorruptError{File: name, Offset: at, Err: err}
			}
			return x, tail(&x, lines, name, at)
		}
		if err == nil && e.Seq != x.next {
			err = fmt.Errorf("entry %d stands where %d belongs", e.Seq, x.next)
		}
		if err != nil {
			return x, &CorruptError{File: name, Offset: at, Err: err}
		}
		x.next++
		x.size = lines.offset
		if fn != nil {
			if err := fn(e); err != nil {
				return x, err
			}
		}
	}
	return x, nil
}

// endOfScan judges why there is no further line.
func endOfScan(x *extent, lines *lineReader, name string, err error) error {
	if errors.Is(err, errLong) {
		return &CorruptError{File: name, Offset: x.size, Err: err}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("read journal %s: %w", name, err)
	}
	x.torn = lines.offset - x.size
	x.headless = x.size == 0
	return nil
}

// tail is behind a line at offset at that isn't whole: it must not have a whole
// entry behind it.
func tail(x *extent, lines *lineReader, name string, at int64) error {
	for {
		line, err := lines.next()
		if err != nil {
			return endOfScan(x, lines, name, err)
		}
		if _, err := checkLine(line); err == nil {
			return &CorruptError{File: name, Offset: at, Err: errNotWhole}
		}
	}
}

// wholeInside says whether a line that isn't whole ends in an entry that is: the
// newline between two entries was damaged.
func wholeInside(line []byte) bool {
	for i := 0; i < len(line); i++ {
		n := bytes.Index(line[i:], []byte(" {"))
		if n < 0 {
			return false
		}
		i += n
		if i >= crcDigits {
			if _, err := checkLine(line[i-crcDigits:]); err == nil {
				return true
			}
		}
	}
	return false
}

var errLong = fmt.Errorf("line of more than %d bytes", maxLine)

// lineReader reads lines of bounded length and knows how far it is. At the end
// an unfinished line counts into offset but isn't returned.
type lineReader struct {
	r      *bufio.Reader
	buf    []byte
	offset int64
}

func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.offset += int64(len(part))
		if err == nil && len(l.buf) == 0 {
			return bytes.TrimSuffix(part, []byte("\n")), nil
		}
		l.buf = append(l.buf, part...)
		switch {
		case len(l.buf) > maxLine:
			return nil, errLong
		case err == nil:
			return bytes.TrimSuffix(l.buf, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// scanFile scans one segment of dir.
func scanFile(dir string, first, end uint64, fn func(routing.Entry) error) (extent, error) {
	name := filepath.Join(dir, segmentName(first))
	f, err := os.Open(name)
	if err != nil {
		return extent{}, err
	}
	defer f.Close()
	return scan(f, name, first, end, fn)
}
