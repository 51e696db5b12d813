package customers

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// LineError is what is wrong with one line of a file.
type LineError struct {
	Line int // from 1
	What string
}

// LineErrors is everything that is wrong with a file.
type LineErrors []LineError

// Error has one line for each: "line 3: what".
func (e LineErrors) Error() string {
	var b strings.Builder
	for i, l := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "line %d: %s", l.Line, l.What)
	}
	return b.String()
}

// ReadCSV reads customers with a header that names the columns, in any order:
// number and tier, and as wanted id, name, manager, team and language. When a
// line is bad it returns LineErrors with all that are, and no rows. With skipBad
// bad lines are left out and returned as skipped; a bad header is an error still.
func ReadCSV(r io.Reader, skipBad bool) (rows []Row, skipped LineErrors, err error) {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		in.Discard(3) // spreadsheets put a byte order mark there
	}
	c := &csvReader{in: csv.NewReader(in), lines: map[string]int{}}
	c.in.FieldsPerRecord = -1
	if err := c.header(); err != nil {
		return nil, nil, err
	}
	if err := c.body(); err != nil {
		return nil, nil, err
	}
	if len(c.bad) > 0 && !skipBad {
		return nil, nil, c.bad
	}
	return c.rows, c.bad, nil
}

type csvReader struct {
	in    *csv.Reader
	at    map[string]int // column by name
	width int
	rows  []Row
	lines map[string]int // where a number was first
	bad   LineErrors
}

func (c *csvReader) header() error {
	names, err := c.in.Read()
	switch {
	case errors.Is(err, io.EOF):
		return LineErrors{{1, "the file is empty; the first line names the columns: " + strings.Join(columns, ",")}}
	case err != nil:
		return LineErrors{c.syntax(err)}
	}
	c.at, c.width = map[string]int{}, len(names)
	var bad LineErrors
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		_, twice := c.at[name]
		switch {
		case !slices.Contains(columns, name):
			bad = append(bad, LineError{1, fmt.Sprintf("%q is no column; use %s", shorten(name), strings.Join(columns, ", "))})
		case twice:
			bad = append(bad, LineError{1, fmt.Sprintf("column %s is there twice", name)})
		}
		c.at[name] = i
	}
	for _, name := range []string{"number", "tier"} {
		if _, ok := c.at[name]; !ok {
			bad = append(bad, LineError{1, "there is no column " + name})
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

func (c *csvReader) body() error {
	for {
		record, err := c.in.Read()
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &syntax):
			c.bad = append(c.bad, c.syntax(err))
		case err != nil:
			return fmt.Errorf("read customers: %w", err)
		default:
			line, _ := c.in.FieldPos(0)
			if what := c.row(record, line); what != "" {
				c.bad = append(c.bad, LineError{line, what})
			}
		}
	}
}

func (c *csvReader) syntax(err error) LineError {
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return LineError{syntax.Line, fmt.Sprintf("column %d: %v", syntax.Column, syntax.Err)}
	}
	return LineError{1, err.Error()}
}

func (c *csvReader) row(record []string, line int) (what string) {
	if len(record) != c.width {
		return fmt.Sprintf("%d fields where the header has %d", len(record), c.width)
	}
	field := func(name string) string {
		if i, ok := c.at[name]; ok {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	number := field("number")
	if !numberForm.MatchString(number) {
		// The number isn't shown: a server logs these errors when it reloads.
		return "the number is not in E.164; write it such as +8613800000001"
	}
	if first, twice := c.lines[number]; twice {
		return fmt.Sprintf("the number is at line %d already", first)
	}
	customer, err := customerOf(field)
	if err != nil {
		return err.Error()
	}
	c.lines[number] = line
	c.rows = append(c.rows, Row{Number: number, Customer: customer})
	return ""
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}

// Merge returns old with the rows of add in place of those of the same number, and
// the others of add after them.
func Merge(old, add []Row) []Row {
	latest := make(map[string]Row, len(add))
	for _, r := range add {
		latest[r.Number] = r
	}
	merged := make([]Row, 0, len(old)+len(add))
	for _, r := range old {
		if next, ok := latest[r.Number]; ok {
			r = next
			delete(latest, r.Number)
		}
		merged = append(merged, r)
	}
	for _, r := range add {
		if next, ok := latest[r.Number]; ok {
			merged = append(merged, next)
			delete(latest, r.Number)
		}
	}
	return merged
}

// WriteFile writes rows as a CSV file. Whoever reads the path meanwhile sees the
// old file or the new one, never a part; after an error the old one is there.
func WriteFile(path string, rows []Row) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write customers: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write customers: %w", err)
		}
	}()
	mode := os.FileMode(0o640) // customers are confidential
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	out := csv.NewWriter(f)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, r := range rows {
		if err := out.Write(r.fields()); err != nil {
			return err
		}
	}
	out.Flush()
	if err := errors.Join(out.Error(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
