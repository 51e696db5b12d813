package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hotline/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openDir(t *testing.T, opt FileOptions) *File {
	t.Helper()
	if opt.Logger == nil {
		opt.Logger = quiet()
	}
	f, err := OpenFile(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func tick(i int) routing.Entry {
	return routing.Entry{At: routing.Time(i), Node: "n1", Event: routing.Tick{}}
}

func fill(t *testing.T, f *File, n int) {
	t.Helper()
	for i := range n {
		if _, err := f.Append(tick(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, f *File) int {
	t.Helper()
	n := 0
	if err := f.Read(0, func(routing.Entry) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// written returns the bytes of a journal of n entries in one segment.
func written(t *testing.T, n int) []byte {
	t.Helper()
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir})
	fill(t, f, n)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func dirWith(t *testing.T, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A process that dies while writing leaves any number of bytes.
func TestTornTailAtEveryByte(t *testing.T) {
	data := written(t, 3)
	for cut := range data {
		dir := dirWith(t, data[:cut])
		f := openDir(t, FileOptions{Dir: dir})
		whole := max(0, bytes.Count(data[:cut], []byte("\n"))-1)
		if n := count(t, f); n != whole {
			t.Fatalf("cut at %d: %d entries, want %d", cut, n, whole)
		}
		fill(t, f, 2)
		if n := count(t, f); n != whole+2 {
			t.Fatalf("cut at %d: %d entries after two more, want %d", cut, n, whole+2)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A power cut can leave blocks of zeros or of old data behind the last entry.
func TestTailOfRubbish(t *testing.T) {
	data := written(t, 3)
	for name, rubbish := range map[string]string{
		"zeros": strings.Repeat("\x00", 5000), "lines": "rubbish\nmore\n\n\nrubbish", "half a line and lines": "5d1b8c3e {\"seq\":4\nx\n",
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := openDir(t, FileOptions{Dir: dirWith(t, append(bytes.Clone(data), rubbish...)), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if n, s := count(t, f), f.Stats(); n != 3 || s.TornBytes != int64(len(rubbish)) || s.Last != 3 {
				t.Errorf("%d entries, %+v", n, s)
			}
			if !strings.Contains(log.String(), "torn tail") || !strings.Contains(log.String(), fmt.Sprintf("offset=%d", len(data))) {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

// One bit anywhere before the last line must be found, and named.
func TestCorruptionInTheMiddle(t *testing.T) {
	data := written(t, 3)
	head := bytes.IndexByte(data, '\n') + 1
	lastLine := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	for at := range lastLine {
		bad := bytes.Clone(data)
		bad[at] ^= 0x10
		dir := dirWith(t, bad)
		_, err := OpenFile(FileOptions{Dir: dir, Logger: quiet()})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Fatalf("bit flipped at %d: error %v", at, err)
		}
		line := int64(bytes.LastIndexByte(data[:at], '\n') + 1)
		if at < head {
			line = 0
		}
		if corrupt.Offset != line || filepath.Base(corrupt.File) != segmentName(1) {
			t.Fatalf("bit flipped at %d: %v, want offset %d", at, err, line)
		}
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	line := func(seq int) string {
		e := tick(1)
		e.Seq = uint64(seq)
		b, err := appendLine(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	head := string(header{first: 1}.line())
	unknown := `{"seq":1,"at":1,"node":"n1","kind":"call_beamed","event":{}}`
	for name, c := range map[string]struct{ data, want string }{
		"another version":  {"hotline-journal 2 first=1 lost=0\n" + line(1), "another version"},
		"no journal":       {"hello\nworld\n", "another version"},
		"a broken header":  {"hotline-journal 1 first=1 lost=0 x=1\n", "can't be read"},
		"a wrong name":     {string(header{first: 5}.line()) + line(5), "first entry is 5, not 1"},
		"a missing entry":  {head + line(1) + line(3), "entry 3 stands where 2 belongs"},
		"a double entry":   {head + line(1) + line(1), "entry 1 stands where 2 belongs"},
		"an unknown event": {head + fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(unknown), castagnoli), unknown), `unknown event kind "call_beamed"`},
		"an endless line":  {head + strings.Repeat("x", maxLine+10), "line of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFile(FileOptions{Dir: dirWith(t, []byte(c.data)), Logger: quiet()})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestSegments(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: 300})
	fill(t, f, 50)
	s := f.Stats()
	if n := count(t, f); n != 50 || s.Segments < 10 || s.First != 1 || s.Last != 50 || s.Appended != 50 {
		t.Errorf("%d entries, %+v", n, s)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	firsts, err := segments(dir)
	if err != nil || len(firsts) != s.Segments {
		t.Fatalf("%d segments, error %v", len(firsts), err)
	}
	// A segment in the middle goes missing, or loses its end.
	middle := filepath.Join(dir, segmentName(firsts[3]))
	data, err := os.ReadFile(middle)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"shortened": func() error { return os.Truncate(middle, int64(len(data)-5)) },
		"missing":   func() error { return os.Remove(middle) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			f := openDir(t, FileOptions{Dir: dir, SegmentBytes: 300})
			err := f.Read(0, func(routing.Entry) error { return nil })
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("error %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(middle, data, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	f := openDir(t, FileOptions{Dir: dir})
	_, err := OpenFile(FileOptions{Dir: dir, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), "in use by another process (pid ") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openDir(t, FileOptions{Dir: dir})
}

// The disk fails: Append says so and the caller goes on; when the disk is back
// a new segment says how much is missing.
func TestWritingFailsAndComesBack(t *testing.T) {
	parent := t.TempDir()
	dir, away := filepath.Join(parent, "journal"), filepath.Join(parent, "away")
	var told []error
	var log bytes.Buffer
	f := openDir(t, FileOptions{Dir: dir, OnError: func(err error) { told = append(told, err) }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	fill(t, f, 3)
	f.mu.Lock()
	f.seg.Close() // the next write fails
	f.mu.Unlock()
	if seq, err := f.Append(tick(0)); err == nil || seq != 0 {
		t.Fatalf("number %d, error %v", seq, err)
	}
	if err := os.Rename(dir, away); err != nil { // nor can a new segment be begun
		t.Fatal(err)
	}
	for range 2 {
		if seq, err := f.Append(tick(0)); err == nil || seq != 0 {
			t.Fatalf("number %d, error %v", seq, err)
		}
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	fill(t, f, 2)
	if s := f.Stats(); s.Lost != 3 || s.Errors != 3 || len(told) != 3 || s.Segments != 2 || s.Last != 5 {
		t.Errorf("%+v, told %v", s, told)
	}
	if n := count(t, f); n != 5 {
		t.Errorf("%d entries", n)
	}
	if !strings.Contains(log.String(), "journal has a gap") || !strings.Contains(log.String(), "before=4 lost=3") {
		t.Errorf("log: %s", log.String())
	}
}

// An entry was half written and can't be cut off: the next segment goes on
// behind the torn tail.
func TestTornTailInTheMiddleOfTheJournal(t *testing.T) {
	f := openDir(t, FileOptions{Dir: t.TempDir()})
	fill(t, f, 2)
	f.mu.Lock()
	if _, err := f.seg.WriteString("5d1b8c3e {\"se"); err != nil {
		t.Error(err)
	}
	f.seg.Close()
	f.mu.Unlock()
	if _, err := f.Append(tick(0)); err == nil {
		t.Fatal("no error")
	}
	fill(t, f, 2)
	if n := count(t, f); n != 4 {
		t.Errorf("%d entries", n)
	}
}

// Entries are synced in groups, no later than told.
func TestSyncInGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openDir(t, FileOptions{Dir: t.TempDir(), SyncWithin: 50 * time.Millisecond})
		synced := func(want uint64, dirty bool) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.stats.Syncs != want || f.dirty != dirty {
				t.Errorf("%d syncs, dirty %t; want %d, %t", f.stats.Syncs, f.dirty, want, dirty)
			}
		}
		fill(t, f, 10)
		<-time.After(49 * time.Millisecond)
		synced(0, true)
		fill(t, f, 10)
		<-time.After(time.Millisecond)
		synced(1, false)
		<-time.After(time.Hour)
		if f.Stats().Syncs > 2 { // at most one more for the second ten
			t.Errorf("%d syncs while nothing was written", f.Stats().Syncs)
		}
		before := f.Stats().Syncs
		fill(t, f, 1)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		synced(before+1, false)
	})
}

// TestReplay is what the journal is for: the state read back is the state.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	live := routing.New()
	f := openDir(t, FileOptions{Dir: dir, SegmentBytes: 500})
	at := routing.Time(0)
	send := func(ev routing.Event) {
		t.Helper()
		at += 1e6
		e := routing.Entry{At: at, Node: "n1", Event: ev}
		seq, err := f.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Seq = seq
		live.Apply(e)
	}
	send(routing.PolicyChanged{Policy: routing.Policy{RingTime: 15 * routing.Second, Queues: []routing.QueuePolicy{{ID: "q"}}, Seats: []routing.SeatPolicy{{ID: "s1", Queues: []routing.QueueID{"q"}}}}})
	send(routing.SeatRegistered{Seat: "s1"})
	for i := range 20 {
		id := routing.CallID(fmt.Sprintf("c%d", i))
		send(routing.CallArrived{Call: id})
		send(routing.CallQueued{Call: id, Queue: "q"})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	back := routing.New()
	f = openDir(t, FileOptions{Dir: dir})
	if err := f.Read(0, func(e routing.Entry) error { back.Apply(e); return nil }); err != nil {
		t.Fatal(err)
	}
	if back.Hash() != live.Hash() {
		t.Error("the state read back is another one")
	}
}

// FuzzScan reads segments that anybody wrote.
func FuzzScan(f *testing.F) {
	e := tick(1)
	e.Seq = 1
	line, err := appendLine(header{first: 1}.line(), e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(line[:len(line)-3])
	f.Add(append(bytes.Clone(line), "rubbish\n"...))
	f.Add([]byte("hotline-journal 1 first=1 lost=18446744073709551615\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := 0
		x, err := scan(bytes.NewReader(data), "fuzz", 1, ^uint64(0), func(routing.Entry) error { entries++; return nil })
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if x.size+x.torn != int64(len(data)) || uint64(entries) != x.next-1 {
			t.Fatalf("%d entries, %+v of %d bytes", entries, x, len(data))
		}
		if x.headless {
			return
		}
		again, err := scan(bytes.NewReader(data[:x.size]), "fuzz", 1, ^uint64(0), nil)
		if err != nil || again.torn != 0 || again.next != x.next {
			t.Fatalf("without the torn tail: %+v, error %v", again, err)
		}
	})
}

// BenchmarkAppend writes an event of middle length, each handed to write(2) on
// its own, synced in groups within 50 ms; from one goroutine, as routing does,
// and from several.
func BenchmarkAppend(b *testing.B) {
	e := routing.Entry{At: 1_790_000_000_000_000, Node: "n1", Event: routing.CallIdentified{Call: "c1", Customer: "k1", Tier: routing.TierB2, Manager: "mei", Team: "gov", Language: "zh", Source: "redis"}}
	run := func(name string, loop func(b *testing.B, f *File)) {
		b.Run(name, func(b *testing.B) {
			f, err := OpenFile(FileOptions{Dir: b.TempDir(), Logger: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			loop(b, f)
			b.ReportMetric(float64(f.Stats().Appended)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(f.Stats().Syncs)/b.Elapsed().Seconds(), "syncs/s")
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
	run("one writer", func(b *testing.B, f *File) {
		for b.Loop() {
			if _, err := f.Append(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	run("many writers", func(b *testing.B, f *File) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := f.Append(e); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkRead reads back ten thousand entries.
func BenchmarkRead(b *testing.B) {
	f, err := OpenFile(FileOptions{Dir: b.TempDir(), Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	for range 10000 {
		if _, err := f.Append(tick(1)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Read(0, func(routing.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
