package recording

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// Sound that is to be dropped here is named by its sidecar until it is gone: a process killed between, or a file
// that can't be removed, leaves nothing that retention and erasing don't find.
func TestDroppedSoundIsNamedUntilItIsGone(t *testing.T) {
	dir, to := t.TempDir(), &store{holds: map[string]bool{}}
	in := keptFor(t, dir, "a-1", "sales", "+1", day)
	path := in.Path(dir)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stuck := &stickyStore{store: to, path: path}
	r, _ := newRecorder(t, func(o *Options) { o.Dir, o.Remote, o.DropLocal = dir, stuck, true }, nil)
	eventually(t, "it is stored", func() bool { got, err := Find(dir, in.ID); return err == nil && got.Stored != nil })
	if got, err := Find(dir, in.ID); err != nil || got.File != in.File {
		t.Errorf("while it is still here: %+v, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, sound, 0o640)); err != nil {
		t.Fatal(err)
	}
	_, c := newRecorder(t, func(o *Options) { o.Dir, o.Remote, o.DropLocal = dir, to, true }, nil)
	c.wait(t, "uploaded")
	got, err := Find(dir, in.ID)
	if err != nil || got.Stored == nil || got.File != "" || time.Since(got.Stored.At) > time.Minute {
		t.Errorf("when it is gone: %+v, %v", got, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is here still: %v", err)
	}
}

// stickyStore takes a file and leaves something in its place that can't be removed.
type stickyStore struct {
	*store
	path string
}

func (s *stickyStore) Put(ctx context.Context, key, path string) error {
	if err := s.store.Put(ctx, key, path); err != nil {
		return err
	}
	return errors.Join(os.Remove(s.path), os.MkdirAll(s.path+"/full", 0o750))
}
