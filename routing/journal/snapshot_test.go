package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline/routing"
)

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != "lock" {
			out = append(out, strings.NewReplacer("00000000000000000", "~", "journal-", "", "snapshot-", "s").Replace(e.Name()))
		}
	}
	return strings.Join(out, " ")
}

func save(t *testing.T, f *File, seq uint64) {
	t.Helper()
	if err := f.WriteSnapshot(seq, fmt.Appendf(nil, "state %d", seq)); err != nil {
		t.Fatal(err)
	}
}

// five has five entries in each segment.
const five = 310

// Only what two snapshots have seen is dropped, and no more than was said.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: five, KeepSegments: 3})
	step := func(what, want string) {
		t.Helper()
		if got := names(t, dir); got != want {
			t.Fatalf("%s: %s\nwant: %s", what, got, want)
		}
		seq, data, err := f.Snapshot(math.MaxUint64)
		next := seq + 1
		if err != nil || seq > 0 && string(data) != fmt.Sprintf("state %d", seq) {
			t.Fatalf("%s: snapshot of %d, %q, error %v", what, seq, data, err)
		}
		if err := f.Read(next, func(e routing.Entry) error {
			if e.Seq != next {
				t.Fatalf("%s: entry %d, want %d", what, e.Seq, next)
			}
			next++
			return nil
		}); err != nil || next != f.Stats().Last+1 {
			t.Fatalf("%s: read up to %d of %+v, error %v", what, next-1, f.Stats(), err)
		}
	}
	fill(t, f, 24)
	step("no snapshot, nothing dropped", "~001.log ~006.log ~011.log ~016.log ~021.log")
	save(t, f, 7)
	step("one snapshot", "~006.log ~011.log ~016.log ~021.log s~007.json")
	save(t, f, 16)
	step("two snapshots", "~006.log ~011.log ~016.log ~021.log s~007.json s~016.json")
	save(t, f, 22)
	step("the older one leads", "~011.log ~016.log ~021.log s~016.json s~022.json")
	fill(t, f, 6)
	step("a segment more", "~016.log ~021.log ~026.log s~016.json s~022.json")
	fill(t, f, 15)
	step("segments that no old snapshot has seen", "~016.log ~021.log ~026.log ~031.log ~036.log ~041.log s~016.json s~022.json")
	if err := f.Read(1, func(routing.Entry) error { return nil }); !errors.Is(err, ErrTrimmed) {
		t.Errorf("read: %v", err)
	}
	if err := f.Follow(t.Context(), 1, func(routing.Entry) error { return nil }); !errors.Is(err, ErrTrimmed) {
		t.Errorf("follow: %v", err)
	}
}

// A damaged snapshot: the older one is as good, because its entries are kept.
// Both damaged: nothing is made up.
func TestDamagedSnapshots(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"cut off": func(b []byte) []byte { return b[:len(b)-1] }, "longer": func(b []byte) []byte { return append(b, 'x') },
		"one bit": func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, "empty": func([]byte) []byte { return nil },
		"zeros": func(b []byte) []byte { return make([]byte, len(b)) }, "another version": func(b []byte) []byte { return bytes.Replace(b, []byte("snapshot 1"), []byte("snapshot 9"), 1) },
		"another entry": func(b []byte) []byte { return append(snapshotHead(3, []byte("x")), 'x') },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			spoil := func(seq uint64) {
				name := filepath.Join(dir, snapshotName(seq))
				data, err := os.ReadFile(name)
				if err == nil {
					err = os.WriteFile(name, damage(data), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			f := openDir(t, FileOptions{Dir: dir, SegmentBytes: five, KeepSegments: 1})
			fill(t, f, 24)
			save(t, f, 12)
			save(t, f, 22)
			spoil(22)
			if seq, data, err := f.Snapshot(math.MaxUint64); err != nil || seq != 12 || string(data) != "state 12" {
				t.Fatalf("%d %q %v", seq, data, err)
			}
			spoil(12)
			if _, _, err := f.Snapshot(math.MaxUint64); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), snapshotName(12)) {
				t.Fatalf("both damaged: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			f = openDir(t, FileOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if _, _, err := f.Snapshot(math.MaxUint64); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(log.String(), "can't be used") {
				t.Fatalf("both damaged, opened again: %v, log %s", err, &log)
			}
			save(t, f, 24) // a good one heals it
			if seq, _, err := f.Snapshot(math.MaxUint64); err != nil || seq != 24 {
				t.Fatalf("%d %v", seq, err)
			}
		})
	}
}

// All segments are kept: reading from the beginning replaces a damaged snapshot.
func TestDamagedSnapshotOfAWholeJournal(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir})
	fill(t, f, 10)
	save(t, f, 10)
	if err := os.Truncate(filepath.Join(dir, snapshotName(10)), 5); err != nil {
		t.Fatal(err)
	}
	if seq, data, err := f.Snapshot(math.MaxUint64); seq != 0 || data != nil || err != nil {
		t.Errorf("%d %q %v", seq, data, err)
	}
}

// A journal that an older version trimmed has no snapshot: what is kept is read.
func TestTrimmedByAnOlderVersion(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: five})
	fill(t, f, 24)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	f = openDir(t, FileOptions{Dir: dir, SegmentBytes: five})
	if seq, _, err := f.Snapshot(math.MaxUint64); seq != 0 || err != nil || count(t, f) != 19 {
		t.Errorf("%d %v", seq, err)
	}
}

// The process died while a snapshot was written, or the disk is full.
func TestSnapshotThatIsNotFinished(t *testing.T) {
	dir := t.TempDir()
	temp := filepath.Join(dir, snapshotTemp)
	var told []error
	f := openDir(t, FileOptions{Dir: dir, OnError: func(err error) { told = append(told, err) }})
	fill(t, f, 10)
	save(t, f, 5)
	if err := os.Mkdir(temp, 0o700); err != nil { // can't be written
		t.Fatal(err)
	}
	if err := f.WriteSnapshot(10, []byte("x")); err == nil || len(told) != 1 {
		t.Fatalf("error %v, told %v", err, told)
	}
	if seq, _, err := f.Snapshot(math.MaxUint64); seq != 5 || err != nil {
		t.Fatalf("%d %v", seq, err)
	}
	if err := errors.Join(f.Close(), os.RemoveAll(temp), os.WriteFile(temp, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f = openDir(t, FileOptions{Dir: dir})
	if seq, _, err := f.Snapshot(math.MaxUint64); seq != 5 || err != nil || strings.Contains(names(t, dir), "tmp") {
		t.Errorf("%d %v %s", seq, err, names(t, dir))
	}
}

// A power cut took entries that the snapshot has seen: numbers go on behind it,
// because an entry of a number that the state knows would be ignored.
func TestSnapshotBeyondTheEntries(t *testing.T) {
	for what, lose := range map[string]func(dir string) error{
		"the last entries": func(dir string) error {
			name := filepath.Join(dir, segmentName(1))
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			lines := bytes.SplitAfter(data, []byte("\n"))
			return os.WriteFile(name, bytes.Join(lines[:5], nil), 0o600)
		},
		"all": func(dir string) error { return os.Remove(filepath.Join(dir, segmentName(1))) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			f := openDir(t, FileOptions{Dir: dir})
			fill(t, f, 10)
			save(t, f, 8)
			if err := errors.Join(f.Close(), lose(dir)); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				f = openDir(t, FileOptions{Dir: dir})
				if seq, _, err := f.Snapshot(math.MaxUint64); seq != 8 || err != nil {
					t.Fatalf("%d %v", seq, err)
				}
				if seq, err := f.Append(tick(i)); seq != uint64(9+i) || err != nil {
					t.Fatalf("%d %v", seq, err)
				}
				n := 0
				if err := f.Read(9, func(routing.Entry) error { n++; return nil }); err != nil || n != i+1 {
					t.Fatalf("%d entries, %v", n, err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A follower whose segment is dropped is told; one that waits while writing
// fails goes on with what comes.
func TestFollowerMeetsTrouble(t *testing.T) {
	f := openDir(t, FileOptions{Dir: t.TempDir(), SegmentBytes: five, KeepSegments: 1})
	fill(t, f, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, done := make(chan uint64), make(chan error, 1)
	go func() {
		done <- f.Follow(ctx, 0, func(e routing.Entry) error { got <- e.Seq; return nil })
	}()
	for want := uint64(1); want <= 2; want++ {
		if seq := <-got; seq != want {
			t.Fatalf("entry %d, want %d", seq, want)
		}
	}
	f.mu.Lock()
	if _, err := f.seg.WriteString("5d1b8c3e {\"se"); err != nil {
		t.Error(err)
	}
	f.seg.Close()
	f.mu.Unlock()
	if _, err := f.Append(tick(0)); err == nil {
		t.Fatal("no error")
	}
	fill(t, f, 1)
	if seq := <-got; seq != 3 {
		t.Fatalf("entry %d, want 3", seq)
	}
	fill(t, f, 20)
	save(t, f, 20)
	save(t, f, 23)
	for {
		select {
		case <-got:
		case err := <-done:
			if !errors.Is(err, ErrTrimmed) {
				t.Fatal(err)
			}
			return
		}
	}
}

// FuzzSnapshot reads snapshot files that anybody wrote.
func FuzzSnapshot(f *testing.F) {
	f.Add(append(snapshotHead(3, []byte("{}")), "{}"...))
	f.Add([]byte("hotline-snapshot 1 seq=18446744073709551616 bytes=0 crc=00000000\n"))
	f.Add([]byte("hotline-snapshot 1 seq=\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		seq, data, err := parseSnapshot(bytes.Clone(file))
		if err == nil && !bytes.Equal(file, append(snapshotHead(seq, data), data...)) {
			t.Fatalf("%q is read as %d %q", file, seq, data)
		}
	})
}
