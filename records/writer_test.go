package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hotline/routing"
)

// losses is an Observer that counts.
type losses struct {
	mu              sync.Mutex
	dropped, failed int
}

func (l *losses) RecordDropped() { l.mu.Lock(); defer l.mu.Unlock(); l.dropped++ }
func (l *losses) RecordFailed()  { l.mu.Lock(); defer l.mu.Unlock(); l.failed++ }

func quietly() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t testing.TB, dir string) *Writer {
	t.Helper()
	w, err := Open(Options{Dir: dir, Logger: quietly()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func closeWriter(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// lines reads all lines of a directory's files; each must be a record.
func lines(t testing.TB, dir string) []string {
	t.Helper()
	names, err := fileNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, name := range slices.Backward(names) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			t.Errorf("%s ends in the middle of a line", name)
		}
		for line := range bytes.Lines(data) {
			var r Record
			if err := json.Unmarshal(line, &r); err != nil {
				t.Errorf("%s: %v in %q", filepath.Base(name), err, line)
			}
			calls = append(calls, r.Call)
		}
	}
	return calls
}

func record(id string, ended routing.Time) Record {
	return New(routing.CallView{ID: routing.CallID(id), Node: "n1", Arrived: noon, Ended: ended, Outcome: routing.OutcomeIVR}, Media{}, Media{})
}

func TestOneLineForEachCall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here[1]")
	w := open(t, dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				w.Write(record(fmt.Sprintf("%d-%d", i, j), noon))
			}
		})
	}
	wg.Wait()
	closeWriter(t, w)
	closeWriter(t, w) // a second time does nothing
	got := lines(t, dir)
	slices.Sort(got)
	if len(got) != 800 || len(slices.Compact(got)) != 800 {
		t.Errorf("%d lines for 800 calls", len(got))
	}
	info, err := os.Stat(filepath.Join(dir, "calls-2026-03-02.jsonl"))
	if err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v, %v: customers' numbers are nobody's business", info, err)
	}
}

func TestDayOfTheEndNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	midnight := noon.Add(12 * routing.Hour)
	w.Write(record("before", midnight-1))
	w.Write(record("after", midnight))
	w.Write(record("late news of the day before", midnight-2))
	closeWriter(t, w)
	for name, want := range map[string]int{"calls-2026-03-02.jsonl": 2, "calls-2026-03-03.jsonl": 1} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || bytes.Count(data, []byte("\n")) != want {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
	}
}

// stuck is a disk that writes nothing until it is released.
type stuck struct {
	reached chan struct{}
	release chan struct{}
	written int
}

func (s *stuck) write(string, []byte) error {
	if s.written == 0 {
		close(s.reached)
	}
	<-s.release
	s.written++
	return nil
}
func (s *stuck) close() error { return nil }

func TestSlowDiskDelaysNobody(t *testing.T) {
	disk, count := &stuck{reached: make(chan struct{}), release: make(chan struct{})}, &losses{}
	w := start(Options{Queue: 3, Observer: count, Logger: quietly()}, disk)
	w.Write(record("being written", noon))
	<-disk.reached
	for i := range 10 {
		w.Write(record(fmt.Sprint(i), noon))
	}
	if count.dropped != 7 {
		t.Errorf("%d dropped, want 7", count.dropped)
	}
	close(disk.release)
	closeWriter(t, w)
	if disk.written != 4 {
		t.Errorf("%d written, want 4", disk.written)
	}
	w.Write(record("too late", noon))
	if count.dropped != 8 || count.failed != 0 {
		t.Errorf("dropped %d, failed %d", count.dropped, count.failed)
	}
}

// full is a disk that has no room.
type full struct{}

func (full) write(string, []byte) error { return errors.New("no space left on device") }
func (full) close() error               { return nil }

func TestLossesAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		count := &losses{}
		w := start(Options{Observer: count, Logger: slog.New(slog.NewTextHandler(&out, nil))}, full{})
		lose := func(n int) {
			for i := range n {
				w.Write(record(fmt.Sprint(i), noon))
			}
			synctest.Wait()
		}
		lose(100)
		time.Sleep(59 * time.Second) // on synctest's clock, as all here
		lose(10)
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines in the first minute:\n%s", n, &out)
		}
		time.Sleep(time.Second)
		lose(1)
		if !strings.Contains(out.String(), "failed=110") {
			t.Errorf("after a minute:\n%s", &out)
		}
		lose(5)
		closeWriter(t, w)
		if !strings.Contains(out.String(), "failed=5") || strings.Count(out.String(), "\n") != 3 || count.failed != 116 {
			t.Errorf("at the end (%d failed):\n%s", count.failed, &out)
		}
		if strings.Contains(out.String(), "+86") {
			t.Error("a number in the log")
		}
	})
}

func TestDiskThatComesBack(t *testing.T) {
	dir := t.TempDir()
	count := &losses{}
	w, err := Open(Options{Dir: dir, Observer: count, Logger: quietly()})
	if err != nil {
		t.Fatal(err)
	}
	// A directory stands where the file of the third of March should be.
	block := filepath.Join(dir, "calls-2026-03-03.jsonl")
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Write(record("lost", noon.Add(24*routing.Hour)))
	w.Write(record("kept", noon))
	closeWriter(t, w)
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, dir); count.failed != 1 || !slices.Equal(got, []string{"kept"}) {
		t.Errorf("%d failed, kept %v", count.failed, got)
	}
	w = open(t, dir)
	missing, err := w.Missing([]string{"lost", "kept", "lost"})
	if err != nil || !slices.Equal(missing, []string{"lost"}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	closeWriter(t, w)
}

func TestOpenTellsWhatIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); err == nil || !strings.Contains(err.Error(), "directory of call records") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(fileName(dir, "2026-03-02"), bytes.Repeat([]byte("x"), maxLine+100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("got %v", err)
	}
}

// TestKilledAtAnyByte: wherever a process was stopped in the middle of writing,
// the next one finds exactly the calls whose lines are not whole, and after it
// has written them again every call has one line.
func TestKilledAtAnyByte(t *testing.T) {
	top := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(top, "")
		if err != nil {
			rt.Fatal(err)
		}
		w := open(t, dir)
		var calls []string
		for i := range rapid.IntRange(1, 6).Draw(rt, "calls") {
			id := fmt.Sprintf("%d-%s", i, rapid.StringMatching(`[a-z"\\é]{0,4}`).Draw(rt, "id"))
			calls = append(calls, id)
			w.Write(record(id, noon))
		}
		closeWriter(t, w)
		name := fileName(dir, "2026-03-02")
		data, err := os.ReadFile(name)
		if err != nil {
			rt.Fatal(err)
		}
		cut := rapid.IntRange(0, len(data)).Draw(rt, "cut")
		if err := os.WriteFile(name, data[:cut], 0o600); err != nil {
			rt.Fatal(err)
		}
		whole := 0
		for end := 0; whole < len(calls); whole++ {
			end += bytes.IndexByte(data[end:], '\n') + 1
			if end-1 > cut { // a record is whole without its end of line too
				break
			}
		}
		w = open(t, dir)
		missing, err := w.Missing(calls)
		if err != nil || !slices.Equal(missing, calls[whole:]) {
			rt.Fatalf("cut at %d of %d: missing %q, want %q, %v", cut, len(data), missing, calls[whole:], err)
		}
		for _, id := range missing {
			w.Write(record(id, noon))
		}
		closeWriter(t, w)
		if got := lines(t, dir); !slices.Equal(got, calls) {
			rt.Fatalf("after the repair %q", got)
		}
	})
}

func TestMissingReadsStrangeLines(t *testing.T) {
	dir := t.TempDir()
	text := "\n{}\nnoise\n{\"call\":5}\n{\"call\":\"a\\u0062\"}\n{\"call\":\"long\",\"x\":\"" + strings.Repeat(`{"call":"no"`, 20000) + "\"}\n{\"call\":\"c\"}\n"
	if err := os.WriteFile(fileName(dir, "2026-03-01"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, dir)
	defer closeWriter(t, w)
	missing, err := w.Missing([]string{"ab", "c", "long", "no", "5"})
	if err != nil || !slices.Equal(missing, []string{"no", "5"}) {
		t.Errorf("missing %v, %v", missing, err)
	}
}

// FuzzRepair opens files with any content: whole lines stay as they are, and the
// file ends with a whole line.
func FuzzRepair(f *testing.F) {
	f.Add([]byte("{\"call\":\"a\"}\n{\"call\":\"b"))
	f.Add([]byte("{\"call\":\"a\"}\n{\"call\":\"b\"}"))
	f.Add([]byte("\n\n"))
	f.Add([]byte("{\"call\":\"\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := fileName(t.TempDir(), "2026-03-02")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, cut, err := openRepaired(name)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 && got[len(got)-1] != '\n' {
			t.Errorf("%q ends in the middle of a line", got)
		}
		if whole := data[:len(data)-int(cut)]; !bytes.HasPrefix(got, whole) || len(got) > len(whole)+1 {
			t.Errorf("%q became %q", data, got)
		}
		if err := eachCall(name, func([]byte) {}); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	w := open(b, b.TempDir())
	r := answered()
	b.ReportAllocs()
	for b.Loop() {
		if err := func() error {
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			return w.sink.write(r.day(), append(line, '\n'))
		}(); err != nil {
			b.Fatal(err)
		}
	}
	closeWriter(b, w)
}

// Flush waits for what was written before, and only for that.
func TestFlush(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	for i := range 100 {
		w.Write(record(fmt.Sprintf("c%d", i), noon))
		if i%25 != 24 {
			continue
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if n := len(lines(t, dir)); n != i+1 {
			t.Errorf("%d records after %d were flushed", n, i+1)
		}
	}
	closeWriter(t, w)
	if err := w.Flush(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
