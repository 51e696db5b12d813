package journal

import (
	"os"
	"path/filepath"
	"testing"

	"hotline/routing"
)

// A journal is read while its owner has it open, over its segments and with a
// line at the end that is still being written.
func TestReadDirBesideItsOwner(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: 400})
	fill(t, f, 50)
	names, _ := filepath.Glob(filepath.Join(dir, "journal-*.log"))
	if len(names) < 3 {
		t.Fatalf("%d segments, want several", len(names))
	}
	last, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.WriteString("0badf00d {\"seq\":51,"); err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	if err := ReadDir(dir, func(e routing.Entry) error {
		if e.Seq != next {
			t.Fatalf("entry %d, want %d", e.Seq, next)
		}
		next++
		return nil
	}); err != nil || next != 51 {
		t.Errorf("read up to %d: %v", next-1, err)
	}
	if err := ReadDir(t.TempDir(), func(routing.Entry) error { return nil }); err == nil {
		t.Error("an empty directory is no journal")
	}
}
