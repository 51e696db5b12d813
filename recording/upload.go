package recording

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// Remote is a store that whole recordings are uploaded to.
type Remote interface {
	// Put stores a file, and returns when the store has been found to hold it unchanged.
	Put(ctx context.Context, key, path string) error
	// Delete erases it; one that isn't there is erased.
	Delete(ctx context.Context, key string) error
	// Bucket is where it is stored.
	Bucket() string
	// Close ends its connections, when nothing is under way any more.
	Close() error
}

const (
	uploaders   = 4     // at once
	maxPending  = 10000 // in memory; the directory knows the rest
	leastPause  = time.Second
	longestWait = 5 * time.Minute
	// putWithin is how long one upload may take.
	putWithin = 30 * time.Minute
)

// uploader uploads recordings that are whole. What it hasn't come to when the process ends, it
// finds in the directory at the next start.
type uploader struct {
	rec  *Recorder
	mu   sync.Mutex
	list []Info
	busy int
	more bool // the directory has some that aren't in list
	// scanning says that somebody looks for them.
	scanning bool
	wake     chan struct{}
	// pause is how long to wait after so many failures.
	pause func(failures int) time.Duration
}

func newUploader(r *Recorder) *uploader {
	return &uploader{rec: r, more: true, wake: make(chan struct{}, uploaders), pause: pauseAfter}
}

// pauseAfter doubles from a second to five minutes, more or less.
func pauseAfter(failures int) time.Duration {
	d := min(leastPause<<min(failures-1, 20), longestWait)
	return d/2 + rand.N(d)
}

func (u *uploader) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.list) + u.busy
}

func (u *uploader) add(in Info) {
	u.mu.Lock()
	if len(u.list) < maxPending {
		u.list = append(u.list, in)
	} else {
		u.more = true
	}
	u.mu.Unlock()
	u.poke()
}

func (u *uploader) poke() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *uploader) run() {
	var all sync.WaitGroup
	for range uploaders {
		all.Go(u.work)
	}
	all.Wait()
}

// work uploads one after the other.
func (u *uploader) work() {
	failures := 0
	for {
		in, ok := u.next()
		if !ok {
			select {
			case <-u.wake:
				continue
			case <-u.rec.ctx.Done():
				return
			}
		}
		err := u.upload(in)
		u.settle(in, err)
		if u.rec.ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		d := u.pause(failures)
		u.rec.opt.Logger.Warn("recording not uploaded; it stays here and will be tried again", "recording", in.ID, "error", err, "pause", d)
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-u.rec.ctx.Done():
			t.Stop()
			return
		}
	}
}

// next takes a recording to upload.
func (u *uploader) next() (Info, bool) {
	u.mu.Lock()
	if len(u.list) == 0 && u.more && !u.scanning {
		u.more, u.scanning = false, true
		u.mu.Unlock()
		found, more := u.scan() // add must not wait for it
		u.mu.Lock()
		u.list, u.more, u.scanning = append(u.list, found...), u.more || more, false
	}
	defer u.mu.Unlock()
	if len(u.list) == 0 {
		return Info{}, false
	}
	in := u.list[0]
	u.list = u.list[1:]
	u.busy++
	if len(u.list) > 0 {
		u.poke() // somebody else may have looked in vain
	}
	return in, true
}

var errEnough = errors.New("enough")

// scan looks for recordings that were never uploaded, or are to be dropped here; more says that there are others.
func (u *uploader) scan() (found []Info, more bool) {
	err := Each(u.rec.opt.Dir, func(in Info) error {
		if in.Ended == "" || in.File == "" || in.Stored != nil && !u.rec.opt.DropLocal {
			return nil
		}
		if len(found) == maxPending {
			return errEnough
		}
		found = append(found, in)
		return u.rec.ctx.Err()
	})
	more = errors.Is(err, errEnough)
	if err != nil && !more && u.rec.ctx.Err() == nil {
		u.rec.opt.Logger.Warn("some recordings can't be uploaded", "error", err)
	}
	return found, more
}

// settle puts a recording that failed behind the others.
func (u *uploader) settle(in Info, err error) {
	u.mu.Lock()
	u.busy--
	if err != nil {
		u.list = append(u.list, in)
	}
	again := len(u.list) == 0 && u.more
	u.mu.Unlock()
	if again {
		u.poke()
	}
	if u.rec.ctx.Err() == nil {
		u.rec.opt.Observer.RecordingUploaded(err == nil)
	}
}

// upload stores the sound, then notes where.
func (u *uploader) upload(in Info) error {
	opt := &u.rec.opt
	ctx, cancel := context.WithTimeout(u.rec.ctx, putWithin)
	defer cancel()
	sidecar := in.sidecar(opt.Dir)
	switch now, err := readInfo(sidecar); {
	case errors.Is(err, fs.ErrNotExist):
		return nil // erased
	case err == nil && now.Stored != nil:
		return u.drop(now) // found twice, or killed before
	}
	key := in.Day + "/" + in.File
	err := opt.Remote.Put(ctx, key, in.Path(opt.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // erased before
	}
	if err != nil {
		return err
	}
	now, err := readInfo(sidecar)
	if errors.Is(err, fs.ErrNotExist) { // erased meanwhile
		return opt.Remote.Delete(ctx, key)
	}
	if err != nil {
		return err
	}
	now.Stored = &Stored{Bucket: opt.Remote.Bucket(), Key: key, At: time.Now()}
	if err := now.write(opt.Dir); err != nil {
		return err
	}
	return u.drop(now)
}

// drop erases the sound of a recording that is stored, if it is to. The sidecar names it until it is gone: what no
// sidecar names would never be erased.
func (u *uploader) drop(in Info) error {
	opt := &u.rec.opt
	if !opt.DropLocal || in.File == "" {
		return nil
	}
	if err := os.Remove(in.Path(opt.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in.File = ""
	return in.write(opt.Dir)
}
