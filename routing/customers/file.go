package customers

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
)

// File is a directory in memory, filled from a CSV file; see ReadCSV.
type File struct {
	path string
	all  atomic.Pointer[map[string]Customer]
}

// OpenFile reads the file at path. LineErrors inside the error say which lines
// are bad.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	return f, f.Reload()
}

// Reload reads the file again. After an error the customers are those of before.
func (f *File) Reload() error {
	in, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read customers: %w", err)
	}
	defer in.Close()
	rows, _, err := ReadCSV(in, false)
	if err != nil {
		return fmt.Errorf("read customers from %s:\n%w", f.path, err)
	}
	all := make(map[string]Customer, len(rows))
	for _, r := range rows {
		all[r.Number] = r.Customer
	}
	f.all.Store(&all)
	return nil
}

// Len is the number of telephone numbers known.
func (f *File) Len() int {
	if all := f.all.Load(); all != nil {
		return len(*all)
	}
	return 0
}

// Lookup implements Directory. It never blocks.
func (f *File) Lookup(_ context.Context, number string) (Customer, error) {
	if all := f.all.Load(); all != nil {
		if c, ok := (*all)[number]; ok {
			return c, nil
		}
	}
	return Customer{}, ErrUnknown
}
