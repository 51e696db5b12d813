package recording

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Observer counts what becomes of recordings. Its methods must not block; they aren't called on
// the packet path.
type Observer interface {
	// RecordingEnded is a recording that was begun: why it ended (one of Ended...) and its bytes.
	RecordingEnded(reason string, bytes int64)
	// RecordingDropped is a recording that was lost, in part or whole: EndedSlow, EndedFull,
	// EndedError, RefusedLow, RefusedMany.
	RecordingDropped(reason string)
	// RecordingUploaded is a try to upload one.
	RecordingUploaded(ok bool)
	// RecordingErased is one that was erased because it was kept long enough.
	RecordingErased()
}

type nobody struct{}

func (nobody) RecordingEnded(string, int64) {}
func (nobody) RecordingDropped(string)      {}
func (nobody) RecordingUploaded(bool)       {}
func (nobody) RecordingErased()             {}

// Options configure a Recorder.
type Options struct {
	// Dir holds the recordings; it is made if it isn't there.
	Dir string
	// Format of new recordings. 0 means ALaw.
	Format Format
	// Key encrypts new recordings; nil doesn't. OldKeys are those of recordings before, to repair.
	Key     *Key
	OldKeys []*Key
	// Buffer is how long the disk may stand still before a recording is dropped. 0 means 4 s.
	Buffer time.Duration
	// MaxLength ends a recording. 0 means 4 h; at most 24 h.
	MaxLength time.Duration
	// Max is how many recordings may be under way. 0 means 2000.
	Max int
	// MinFree is the space on the disk, in bytes, below which no recording begins. 0 means any.
	MinFree int64
	// SyncEvery has sound fsynced while it is recorded. 0 means only at the end.
	SyncEvery time.Duration
	// Keep says how long recordings of a queue are kept; 0 is for ever. Nil keeps all. It is asked
	// at each sweep, on a goroutine of the recorder's.
	Keep func(queue string) time.Duration
	// Remote is where whole recordings are uploaded to; nil is nowhere. DropLocal erases the
	// sound here once it is there.
	Remote    Remote
	DropLocal bool
	// Observer and Logger may be nil.
	Observer Observer
	Logger   *slog.Logger
}

const (
	writers = 2 // goroutines that write; each stands still with its disk
	tick    = 200 * time.Millisecond
	// chunk is how much sound is written at once, in samples: a second, unless it ends.
	chunk = rate
	// closeWithin is how long Close waits for the disk.
	closeWithin = 10 * time.Second
)

// Recorder records. Its methods may be called from any goroutine.
type Recorder struct {
	opt      Options
	create   func(string) (file, error)
	repaired []Info
	writers  []*writer
	next     atomic.Uint32
	active   atomic.Int64
	free     atomic.Int64 // bytes; -1: not known
	lost     lossLog
	up       *uploader

	quit   chan struct{}
	writes sync.WaitGroup
	others sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	err    error
}

// Open makes the directory, repairs what a killed process has left there, and starts. The
// caller must Close the Recorder.
func Open(opt Options) (*Recorder, error) { return open(opt, createFile) }

func open(opt Options, create func(string) (file, error)) (*Recorder, error) {
	opt.Format = cmp.Or(opt.Format, ALaw)
	opt.Buffer = cmp.Or(opt.Buffer, 4*time.Second)
	opt.MaxLength = min(cmp.Or(opt.MaxLength, 4*time.Hour), 24*time.Hour)
	opt.Max = cmp.Or(opt.Max, 2000)
	if opt.Observer == nil {
		opt.Observer = nobody{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make directory of recordings: %w", err)
	}
	r := &Recorder{opt: opt, create: create, quit: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	var err error
	if r.repaired, err = Repair(opt.Dir, opt.keys(), opt.Logger); err != nil {
		opt.Logger.Error("recordings not repaired", "error", err)
	}
	for _, in := range r.repaired {
		opt.Observer.RecordingEnded(in.Ended, in.Bytes)
	}
	r.measure()
	for range writers {
		w := &writer{rec: r, wake: make(chan struct{}, 1), scratch: new(scratch)}
		r.writers = append(r.writers, w)
		r.writes.Go(w.run)
	}
	r.others.Go(r.watch)
	r.others.Go(r.sweepLoop)
	if opt.Remote != nil {
		r.up = newUploader(r)
		r.others.Go(r.up.run)
	}
	return r, nil
}

func (o *Options) keys() []*Key {
	if o.Key == nil {
		return o.OldKeys
	}
	return append([]*Key{o.Key}, o.OldKeys...)
}

// Repaired are the recordings that Open has repaired.
func (r *Recorder) Repaired() []Info { return r.repaired }

// Stats are figures of the moment.
type Stats struct {
	Active int   // recordings under way
	Free   int64 // bytes on the disk; -1 when not known
	Low    bool  // no recording begins, because Free is below [Options].MinFree
	// Waiting is how many recordings wait to be uploaded.
	Waiting int
}

// Stats tells how things stand. It doesn't block.
func (r *Recorder) Stats() Stats {
	s := Stats{Active: int(r.active.Load()), Free: r.free.Load(), Low: r.low()}
	if r.up != nil {
		s.Waiting = r.up.waiting()
	}
	return s
}

func (r *Recorder) low() bool {
	free := r.free.Load()
	return free >= 0 && free < r.opt.MinFree
}

// Start begins a recording, whose Voice is a leg's tap. Of about, it takes Call, Leg, Number,
// Queue, Agent and Tier; n is the recording's number in the call. It doesn't wait for the disk.
// The error says why there is none; it has been counted.
func (r *Recorder) Start(about Info, n int) (*Recording, error) {
	if r.low() {
		return nil, r.refuse(RefusedLow)
	}
	if int(r.active.Add(1)) > r.opt.Max {
		r.active.Add(-1)
		return nil, r.refuse(RefusedMany)
	}
	now := time.Now()
	about.ID = fmt.Sprintf("%s-%d", about.Call, n)
	about.Day, about.Start = now.Format(time.DateOnly), now
	about.Format = r.opt.Format.String()
	about.File = about.ID + wavExt
	if r.opt.Key != nil {
		about.File, about.Key = about.ID+encExt, r.opt.Key.ID
	}
	size := int(r.opt.Buffer.Seconds() * (rate + packetHead*50))
	g := &Recording{rec: r, info: about, rings: newRings(size), done: make(chan struct{})}
	g.first.Store(never)
	g.w = r.writers[int(r.next.Add(1))%len(r.writers)]
	g.w.add(g)
	return g, nil
}

func (r *Recorder) refuse(why string) error {
	r.opt.Observer.RecordingDropped(why)
	r.lost.note(r.opt.Logger, why, nil)
	return errors.New(why)
}

// watch counts recordings whose ring was full, also while their writer stands still, and
// keeps an eye on the disk.
func (r *Recorder) watch() {
	t := time.NewTicker(tick)
	defer t.Stop()
	var measured time.Time
	for {
		select {
		case <-r.quit:
			return
		case <-t.C:
		}
		for _, w := range r.writers {
			for _, g := range w.all() {
				g.notice(nil)
			}
		}
		if time.Since(measured) > 5*time.Second {
			measured = time.Now()
			r.measure()
		}
	}
}

func (r *Recorder) measure() {
	free, ok := diskFree(r.opt.Dir)
	if !ok {
		free = -1
	}
	r.free.Store(free)
}

// Close ends what is recorded, makes it whole, and closes everything. It waits for the disk, at
// most ten seconds.
func (r *Recorder) Close() error {
	r.once.Do(func() {
		for _, w := range r.writers {
			for _, g := range w.all() {
				g.Stop(EndedCall)
			}
		}
		close(r.quit)
		written := make(chan struct{})
		go func() { r.writes.Wait(); close(written) }()
		limit := time.NewTimer(closeWithin)
		defer limit.Stop()
		select {
		case <-written:
		case <-limit.C:
			r.err = errors.New("recordings not closed: the disk stands still")
		}
		r.cancel()
		r.others.Wait()
		if r.opt.Remote != nil {
			r.err = errors.Join(r.err, r.opt.Remote.Close())
		}
		r.lost.tell(r.opt.Logger)
	})
	return r.err
}

// lossLog logs what is lost, at once and then once a minute.
type lossLog struct {
	mu   sync.Mutex
	told time.Time
	n    int
	why  string
	err  error
}

func (l *lossLog) note(log *slog.Logger, why string, err error) {
	l.mu.Lock()
	l.n++
	l.why, l.err = why, err
	due := time.Since(l.told) >= time.Minute
	l.mu.Unlock()
	if due {
		l.tell(log)
	}
}

func (l *lossLog) tell(log *slog.Logger) {
	l.mu.Lock()
	n, why, err := l.n, l.why, l.err
	l.n, l.told = 0, time.Now()
	l.mu.Unlock()
	if n > 0 {
		log.Error("recordings lost; calls go on", "count", n, "reason", why, "error", err)
	}
}
