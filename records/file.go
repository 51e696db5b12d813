package records

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

func fileName(dir, day string) string { return filepath.Join(dir, "calls-"+day+".jsonl") }

// fileNames are the files of a directory, the latest day first.
func fileNames(dir string) ([]string, error) {
	names, err := filepath.Glob(fileName(escape(dir), "????-??-??"))
	if err != nil {
		return nil, fmt.Errorf("list call records: %w", err)
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// escape makes a directory's name mean itself in a pattern.
func escape(dir string) string {
	var b bytes.Buffer
	for i := range len(dir) {
		if bytes.IndexByte([]byte(`*?[\`), dir[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(dir[i])
	}
	return b.String()
}

// openRepaired opens a file to append to. A last line without its end is ended
// when it is a whole record, else cut off: a part of a record helps nobody, and
// Missing finds the call. It returns how much was cut.
func openRepaired(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, 0, fmt.Errorf("open call records: %w", err)
	}
	cut, err := repair(f)
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("repair call records %s: %w", name, err)
	}
	return f, cut, nil
}

func repair(f *os.File) (cut int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("is no file")
	}
	tail, err := lastLine(f, info.Size())
	if err != nil || len(tail) == 0 {
		return 0, err
	}
	if tail[0] == '{' && json.Valid(tail) {
		_, err := f.Write([]byte("\n"))
		return 0, err
	}
	return int64(len(tail)), f.Truncate(info.Size() - int64(len(tail)))
}

// maxLine bounds a line; a record has a few KiB.
const maxLine = 1 << 20

// lastLine is what follows the last end of line.
func lastLine(f *os.File, size int64) ([]byte, error) {
	const step = 64 << 10
	var tail []byte
	for end := size; end > 0; {
		begin := max(end-step, 0)
		part := make([]byte, end-begin)
		if _, err := f.ReadAt(part, begin); err != nil {
			return nil, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return append(part[i+1:], tail...), nil
		}
		tail = append(part, tail...)
		if end = begin; len(tail) > maxLine {
			return nil, errors.New("has a last line of more than 1 MiB; move the file away")
		}
	}
	return tail, nil
}

// Missing returns those of the calls that have no record, in the order given. It
// reads the files from the latest day back until all calls are found, and blocks
// meanwhile. Ask before the first Write.
func (w *Writer) Missing(calls []string) ([]string, error) {
	names, err := fileNames(w.opt.Dir)
	if err != nil {
		return nil, err
	}
	open := make(map[string]bool, len(calls))
	for _, call := range calls {
		open[call] = true
	}
	for _, name := range names {
		if len(open) == 0 {
			break
		}
		if err := eachCall(name, func(call []byte) { delete(open, string(call)) }); err != nil {
			return nil, fmt.Errorf("read call records: %w", err)
		}
	}
	var missing []string
	for _, call := range calls {
		if open[call] {
			missing = append(missing, call)
			delete(open, call)
		}
	}
	return missing, nil
}

// eachCall calls fn with the id of each call in a file. Lines that aren't ours
// are skipped.
func eachCall(name string, fn func(call []byte)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for begin := true; ; {
		line, err := in.ReadSlice('\n')
		if begin {
			if call, ok := callOf(line); ok {
				fn(call)
			}
		}
		// Only the beginning of a line counts, however long it is.
		begin = !errors.Is(err, bufio.ErrBufferFull)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && begin {
			return err
		}
	}
}

// callOf reads the id at the beginning of a line.
func callOf(line []byte) ([]byte, bool) {
	id, ok := bytes.CutPrefix(line, []byte(`{"call":`))
	if !ok || len(id) < 2 || id[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(id); i++ {
		switch id[i] {
		case '\\':
			i++
		case '"':
			var call string
			if bytes.IndexByte(id[:i], '\\') < 0 {
				return id[1:i], true
			}
			if json.Unmarshal(id[:i+1], &call) != nil {
				return nil, false
			}
			return []byte(call), true
		}
	}
	return nil, false
}
