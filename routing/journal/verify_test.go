package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline/routing"
)

// snapshotted is a closed journal of 24 entries and a snapshot of entry 12.
func snapshotted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: five})
	s := routing.New()
	for i := range 24 {
		e := tick(i + 1)
		e.Seq, _ = f.Append(e)
		s.Apply(e)
		if i == 11 {
			data, err := s.Snapshot()
			if err == nil {
				err = f.WriteSnapshot(12, data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVerify(t *testing.T) {
	change := func(file string, f func([]byte) []byte) func(string) error {
		return func(dir string) error {
			name := filepath.Join(dir, file)
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			return os.WriteFile(name, f(data), 0o600)
		}
	}
	for what, c := range map[string]struct {
		damage func(string) error
		check  func(*Report) bool
		want   string // in Corrupt; empty when all is well
	}{
		"nothing": {func(string) error { return nil }, func(r *Report) bool {
			return r.Segments == 5 && r.Entries == 24 && r.First == 1 && r.Last == 24 && r.From == 1 && r.To == 24 &&
				len(r.Gaps) == 0 && r.TornBytes == 0 && len(r.Snapshots) == 1 && r.Snapshots[0].Err == nil && r.Bytes > 1000
		}, ""},
		"a torn tail": {change(segmentName(21), func(b []byte) []byte { return b[:len(b)-5] }), func(r *Report) bool {
			return r.Entries == 23 && r.TornBytes > 10 && r.Last == 23
		}, ""},
		"a bit in the middle": {change(segmentName(16), func(b []byte) []byte { b[80] ^= 1; return b }), func(r *Report) bool {
			return r.Entries < 24 && r.Last == 24
		}, "corrupt at byte"},
		"lost entries": {change(segmentName(21), func(b []byte) []byte { return bytes.Replace(b, []byte("lost=0"), []byte("lost=7"), 1) }), func(r *Report) bool {
			return len(r.Gaps) == 1 && r.Gaps[0] == Gap{Before: 21, Lost: 7}
		}, ""},
		"a missing segment": {func(dir string) error { return os.Remove(filepath.Join(dir, segmentName(16))) }, func(r *Report) bool {
			return len(r.Gaps) == 1 && r.Gaps[0] == Gap{Before: 21, Missing: 5}
		}, "entries 16 to 20 are missing"},
		"a missing segment that a snapshot stands for": {func(dir string) error { return os.Remove(filepath.Join(dir, segmentName(6))) }, func(r *Report) bool {
			return len(r.Gaps) == 1 && r.Gaps[0] == Gap{Before: 11, Missing: 5}
		}, ""},
		"trimmed": {func(dir string) error { return os.Remove(filepath.Join(dir, segmentName(1))) }, func(r *Report) bool {
			return r.First == 6 && r.Entries == 19
		}, ""},
		"trimmed without a snapshot": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, segmentName(1))), os.Remove(filepath.Join(dir, snapshotName(12))))
		}, func(r *Report) bool { return r.First == 6 }, "begins with entry 6"},
		"a damaged snapshot": {change(snapshotName(12), func(b []byte) []byte { return b[:50] }), func(r *Report) bool {
			return r.Snapshots[0].Err != nil
		}, ""},
		"a snapshot of something else": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, snapshotName(12)), append(snapshotHead(12, []byte("{}")), "{}"...), 0o600)
		}, func(r *Report) bool { return r.Snapshots[0].Err != nil }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			dir := snapshotted(t)
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			r, err := Verify(dir)
			if err != nil || !c.check(r) {
				t.Errorf("%+v, error %v", r, err)
			}
			if got := errors.Join(r.Corrupt...); (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.Error(), c.want) {
				t.Errorf("corrupt: %v, want %q", got, c.want)
			}
		})
	}
	if _, err := Verify(t.TempDir()); err == nil {
		t.Error("an empty directory is no journal")
	}
}

func TestGaps(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir})
	fill(t, f, 3)
	f.mu.Lock()
	f.seg.Close() // the next write fails
	f.mu.Unlock()
	if _, err := f.Append(tick(0)); err == nil {
		t.Fatal("no error")
	}
	fill(t, f, 3)
	gaps, err := Gaps(dir)
	if err != nil || len(gaps) != 1 || gaps[0] != (Gap{Before: 4, Lost: 1}) {
		t.Errorf("%+v, error %v", gaps, err)
	}
}
