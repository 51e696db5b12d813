package recording

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"hotline/media"
)

// stuck is a disk that stands still until it is let go.
type stuck struct {
	file
	began   chan struct{}
	release chan struct{}
	once    *sync.Once
}

func (s stuck) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.began) })
	<-s.release
	return s.file.Write(b)
}

func TestDiskStandsStill(t *testing.T) {
	began, release, once := make(chan struct{}), make(chan struct{}), new(sync.Once)
	r, c := newRecorder(t, func(o *Options) { o.Buffer = time.Second }, func(path string) (file, error) {
		f, err := createFile(path)
		return stuck{f, began, release, once}, err
	})
	g := begin(t, r, "n-1")
	<-began
	s := &stream{codec: media.PCMA, freq: 500}
	slowest := time.Duration(0)
	for i := range 1000 { // twenty seconds of a call, whose packets never wait
		v := s.packet(time.Duration(i) * 20 * time.Millisecond)
		from := time.Now()
		g.Voice(v)
		slowest = max(slowest, time.Since(from))
	}
	if g.Ended() != EndedSlow {
		t.Errorf("ended %q", g.Ended())
	}
	c.wait(t, EndedSlow) // while the writer still stands
	if slowest > time.Second {
		t.Errorf("a packet waited %v", slowest)
	}
	close(release)
	in := whole(t, g)
	left, _ := channels(t, in.Path(r.opt.Dir))
	if in.Ended != EndedSlow || len(left) < 4000 {
		t.Errorf("%d samples, %+v", len(left), in)
	}
	wantTone(t, "what was in memory", left[:len(left)/800*800], 500, 1200)
	if c.ended[EndedSlow] != 1 || c.dropped[EndedSlow] != 1 {
		t.Errorf("counted %v, %v", c.ended, c.dropped)
	}
}

// small is a disk that is full after some bytes.
type small struct {
	file
	room *int
}

func (s small) Write(b []byte) (int, error) {
	if len(b) > *s.room {
		n, _ := s.file.Write(b[:*s.room])
		*s.room = 0
		return n, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	*s.room -= len(b)
	return s.file.Write(b)
}

func TestDiskIsFull(t *testing.T) {
	key := testKey(t, 1)
	for _, k := range []*Key{nil, key} {
		r, c := newRecorder(t, func(o *Options) { o.Key = k }, func(path string) (file, error) {
			f, err := createFile(path)
			room := 40000
			return small{f, &room}, err
		})
		g := begin(t, r, "n-1")
		s := &stream{codec: media.PCMA, freq: 500}
		for i := range 400 {
			g.Voice(s.packet(time.Duration(i) * 20 * time.Millisecond))
			if i%50 == 49 {
				g.w.poke()
				eventually(t, "the ring is emptied", func() bool {
					return g.Ended() != "" || g.rings[0].tail.Load() == g.rings[0].head.Load()
				})
			}
		}
		c.wait(t, EndedFull)
		<-g.Done()
		if g.Ended() != EndedFull || c.dropped[EndedFull] != 1 {
			t.Errorf("ended %q, counted %v", g.Ended(), c.dropped)
		}
		if k != nil { // no room for the last segment: it waits for the next start
			repaired, err := Repair(r.opt.Dir, []*Key{k}, quiet())
			if err != nil || len(repaired) != 1 || repaired[0].Ended != EndedFull || repaired[0].Seconds < 1 {
				t.Errorf("%+v, %v", repaired, err)
			}
			continue
		}
		in := whole(t, g)
		left, _ := channels(t, in.Path(r.opt.Dir))
		wantTone(t, "what had room", left[:8000], 500, 1200)
		if err := Verify(r.opt.Dir, in); err != nil {
			t.Error(err)
		}
	}
}
