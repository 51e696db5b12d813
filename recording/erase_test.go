package recording

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hotline/media"
)

// keptFor puts a whole recording of that age and queue into dir.
func keptFor(t *testing.T, dir, id, queue, number string, age time.Duration) Info {
	t.Helper()
	start := time.Now().Add(-age)
	in := Info{ID: id, Day: start.Format(time.DateOnly), Call: id, Leg: "caller", Number: number, Queue: queue,
		Start: start, File: id + wavExt, Format: "pcma", Ended: EndedCall}
	f, err := createFile(in.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSink(f, ALaw, nil)
	if err == nil {
		err = s.write(make([]byte, 1600))
	}
	if err == nil {
		err = s.end()
	}
	in.Bytes, in.SHA256, in.Seconds = s.good, s.hash(), 0.1
	if err = errors.Join(err, in.write(dir)); err != nil {
		t.Fatal(err)
	}
	return in
}

func ids(t *testing.T, dir string) (out []string) {
	t.Helper()
	if err := Each(dir, func(in Info) error { out = append(out, in.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

const day = 24 * time.Hour

func TestErasesWhatWasKeptLongEnough(t *testing.T) {
	dir := t.TempDir()
	old := keptFor(t, dir, "a-1", "sales", "+1", 31*day)
	keptFor(t, dir, "b-1", "sales", "+1", 29*day)
	keptFor(t, dir, "c-1", "complaint", "+1", 300*day)
	r, c := newRecorder(t, func(o *Options) {
		o.Dir = dir
		o.Keep = func(queue string) time.Duration {
			if queue == "complaint" {
				return 0
			}
			return 30 * day
		}
	}, nil)
	erased := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.erased
	}
	eventually(t, "the old one is gone, and counted", func() bool { return erased() == 1 })
	r.sweep(time.Now()) // nothing more
	if got := ids(t, dir); len(got) != 2 || got[0] != "c-1" || got[1] != "b-1" || erased() != 1 {
		t.Errorf("%v are left, %d counted", got, erased())
	}
	if _, err := os.Stat(old.Path(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its sound: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, old.Day)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its day: %v", err)
	}
}

func TestErasesACaller(t *testing.T) {
	dir := t.TempDir()
	keptFor(t, dir, "a-1", "sales", "+8613900000001", day)
	keptFor(t, dir, "b-1", "sales", "+8613900000002", day)
	keptFor(t, dir, "c-1", "sales", "+8613900000001", 9*day)
	r, _ := newRecorder(t, func(o *Options) { o.Dir = dir }, nil)
	g := begin(t, r, "d")
	g.Voice((&stream{codec: media.PCMA}).packet(0))
	g.w.poke()
	eventually(t, "it is being made", func() bool { return len(ids(t, dir)) == 4 })
	erased, busy, err := Erase(t.Context(), dir, "+8613900000001", nil)
	if err != nil || len(erased) != 2 || len(busy) != 1 || busy[0].ID != "d-1" {
		t.Errorf("%v, %v, %v", erased, busy, err)
	}
	g.Stop(EndedCall)
	whole(t, g)
	if got := ids(t, dir); len(got) != 2 {
		t.Errorf("%v are left", got)
	}
	if _, _, err := Erase(t.Context(), dir, "", nil); err == nil {
		t.Error("no number at all erases the anonymous")
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	in := keptFor(t, dir, "a-1", "sales", "+1", day)
	if err := Verify(dir, in); err != nil {
		t.Error(err)
	}
	good, err := os.ReadFile(in.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"a bit is another one": append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1),
		"it is shorter":        good[:len(good)-2],
		"it is longer":         append(good[:len(good):len(good)], 1, 1),
		"it has no header":     good[20:],
		"it is empty":          nil,
	} {
		if err := os.WriteFile(in.Path(dir), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Verify(dir, in); !errors.Is(err, ErrBadFile) && !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sidecar can't lead out of its directory, and one that is wrong costs no other.
func TestSidecarsAreNotTrusted(t *testing.T) {
	dir := t.TempDir()
	in := keptFor(t, dir, "a-1", "sales", "+1", day)
	for i, text := range []string{
		`{"id":"../../x","day":"2026-01-01"}`, `{"id":"x-1","day":"../.."}`, `{"id":"x-1","day":"2026-01-01","file":"../x.wav"}`,
		`{"id":"other","day":"` + in.Day + `"}`, `[`, ``,
	} {
		if err := os.WriteFile(filepath.Join(dir, in.Day, string(rune('p'+i))+infoExt), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := Each(dir, func(Info) error { n++; return nil })
	if !errors.Is(err, ErrBadFile) || n != 1 {
		t.Errorf("%d recordings, %v", n, err)
	}
}

// store is a Remote that fails some times.
type store struct {
	mu    sync.Mutex
	fail  int
	holds map[string]bool
}

func (s *store) Bucket() string { return "calls" }
func (s *store) Close() error   { return nil }

func (s *store) Put(_ context.Context, key, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return errors.New("503 slow down")
	}
	s.holds[key] = true
	return nil
}

func (s *store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holds, key)
	return nil
}

func (s *store) keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.holds)
}

func TestUploads(t *testing.T) {
	dir, to := t.TempDir(), &store{fail: 2, holds: map[string]bool{}}
	before := keptFor(t, dir, "a-1", "sales", "+1", day)
	r, c := newRecorder(t, func(o *Options) { o.Dir, o.Remote, o.DropLocal = dir, to, true }, nil)
	g := begin(t, r, "b")
	g.Voice((&stream{codec: media.PCMA}).packet(0))
	g.Stop(EndedCall)
	<-g.Done()
	c.wait(t, "uploaded")
	c.wait(t, "uploaded")
	eventually(t, "both are there", func() bool { return to.keys() == 2 && r.Stats().Waiting == 0 })
	in, err := Find(dir, before.ID)
	if err != nil || in.Stored == nil || in.Stored.Bucket != "calls" || in.File != "" {
		t.Errorf("%+v, %v", in, err)
	}
	if _, err := os.Stat(before.Path(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is here, too: %v", err)
	}
	if c.uploads[false] != 2 || c.uploads[true] != 2 {
		t.Errorf("counted %v", c.uploads)
	}
	if err := Remove(t.Context(), dir, in, nil); err == nil {
		t.Error("erased here and forgotten there")
	}
	if _, _, err := Erase(t.Context(), dir, "+1", to); err != nil || to.keys() != 1 {
		t.Errorf("%v, %d left there", err, to.keys())
	}
}

func TestPauses(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 20: longestWait, 1000: longestWait} {
		if d := pauseAfter(n); d < want/2 || d > want*3/2 {
			t.Errorf("after %d failures %v", n, d)
		}
	}
}
