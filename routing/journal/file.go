package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"hotline/routing"
)

// FileOptions says where and how a File keeps its entries.
type FileOptions struct {
	// Dir is the journal's directory; it is made if it isn't there.
	Dir string
	// SegmentBytes is the size beyond which a new segment is begun; 0 means 64 MiB.
	SegmentBytes int64
	// SyncWithin is how long after an entry was written its fsync begins, and so
	// the window that a power cut can take; 0 means 50 ms.
	SyncWithin time.Duration
	// KeepSegments is how many segments are kept at least, the current one
	// included; 0 means all. Only segments wholly before the older of the two
	// newest whole snapshots are dropped, so that nothing is missing when the
	// journal is read back, even if one of the two is damaged.
	KeepSegments int
	// Logger may be nil: slog.Default().
	Logger *slog.Logger
	// OnError, if not nil, is told of each failure to write, sync or drop, for
	// counting. It is called from Append or from a goroutine of the File, with
	// the File locked: it must not call it, nor block.
	OnError func(error)
}

// Stats are figures of a File since OpenFile.
type Stats struct {
	First, Last  uint64 // numbers of the oldest and of the newest entry; Last is First-1 when there is none
	Segments     int
	Appended     uint64
	Lost         uint64 // entries that could not be written
	Syncs        uint64
	Errors       uint64 // as given to OnError
	TornBytes    int64  // of an unfinished entry, cut off by OpenFile
	SegmentBytes int64  // of the current segment
	Snapshots    uint64 // written
}

// File is a Journal in a directory of segment files. Only one process can have
// it open. An entry survives kill -9 once Append has returned, and a power cut
// after FileOptions.SyncWithin plus the time of an fsync.
type File struct {
	opt  FileOptions
	log  *slog.Logger
	lock *os.File

	syncAsked chan struct{} // holds one: something is to be synced
	closing   chan struct{}
	syncer    sync.WaitGroup

	snapshotting sync.Mutex // held while a snapshot is written; before mu

	mu     sync.Mutex
	firsts []uint64      // of the segments, in order
	snaps  []uint64      // entries of the whole snapshots, in order
	grown  chan struct{} // closed when an entry is added; nil when nobody waits
	seg    *os.File      // current segment; nil after a failure, until the next Append
	size   int64
	next   uint64 // number of the next entry
	lost   uint64 // entries lost since the last that was written
	dirty  bool   // written but not synced
	closed bool
	buf    []byte
	stats  Stats
}

var _ Journal = (*File)(nil)

// OpenFile opens the journal in opt.Dir, or begins one. It reads the last
// segment; a torn tail, left by a process that died while writing, is cut off
// and logged. Anything else that is wrong there is a *CorruptError; earlier
// segments are looked at by Read.
func OpenFile(opt FileOptions) (*File, error) {
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = 64 << 20
	}
	if opt.SyncWithin <= 0 {
		opt.SyncWithin = 50 * time.Millisecond
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the journal's directory: %w", err)
	}
	lock, err := lockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	f := &File{opt: opt, log: opt.Logger, lock: lock, next: 1, syncAsked: make(chan struct{}, 1), closing: make(chan struct{})}
	if err := errors.Join(f.recover(), f.recoverSnapshots()); err != nil {
		if f.seg != nil {
			f.seg.Close()
		}
		lock.Close()
		return nil, err
	}
	f.syncer.Go(f.syncLoop)
	return f, nil
}

// lockDir keeps other processes out for as long as the file it returns is open.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the journal's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 64))
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("journal %s is in use by another process (%s); stop it or give this one a directory of its own", dir, holder)
		}
		return nil, fmt.Errorf("lock journal %s: %w", dir, err)
	}
	// Who holds the lock is only a help for the reader of the message above.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "pid %d", os.Getpid())
	}
	return f, nil
}

// recover finds the end of the journal and opens its last segment.
func (f *File) recover() error {
	firsts, err := segments(f.opt.Dir)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if len(firsts) == 0 {
		return f.begin()
	}
	f.firsts = firsts
	last := firsts[len(firsts)-1]
	x, err := scanFile(f.opt.Dir, last, ^uint64(0), nil)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	f.next, f.stats.TornBytes = x.next, x.torn
	name := filepath.Join(f.opt.Dir, segmentName(last))
	if x.torn > 0 || x.headless {
		f.log.Warn("journal had a torn tail; it is cut off to the last whole entry", "file", name, "offset", x.size, "bytes", x.torn, "last", x.next-1)
	}
	if x.headless {
		// Not one entry was written: begin it again.
		f.firsts = firsts[:len(firsts)-1]
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("open journal: %w", err)
		}
		return f.begin()
	}
	seg, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if x.torn > 0 {
		if err := errors.Join(seg.Truncate(x.size), seg.Sync()); err != nil {
			seg.Close()
			return fmt.Errorf("cut the torn tail off journal %s: %w", name, err)
		}
	}
	f.seg, f.size = seg, x.size
	return nil
}

// begin makes the next entry's segment the current one. It may be there
// already, without an entry, from an Append that failed.
func (f *File) begin() error {
	if n := len(f.firsts); n > 0 && f.firsts[n-1] == f.next {
		f.firsts = f.firsts[:n-1]
	}
	name := filepath.Join(f.opt.Dir, segmentName(f.next))
	seg, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("begin a segment: %w", err)
	}
	head := header{first: f.next, lost: f.lost}.line()
	if _, err := seg.Write(head); err != nil {
		seg.Close()
		return errors.Join(fmt.Errorf("begin a segment: %w", err), os.Remove(name))
	}
	if err := syncDir(f.opt.Dir); err != nil {
		seg.Close()
		return errors.Join(fmt.Errorf("begin a segment: %w", err), os.Remove(name))
	}
	f.firsts = append(f.firsts, f.next)
	f.seg, f.size = seg, int64(len(head))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Append implements Journal.
func (f *File) Append(e routing.Entry) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, ErrClosed
	}
	e.Seq = f.next
	line, err := appendLine(f.buf[:0], e)
	f.buf = line[:0]
	if err == nil {
		err = f.write(line)
	}
	if err != nil {
		f.lost++
		f.stats.Lost++
		f.failed("write", err)
		return 0, fmt.Errorf("append to journal %s: %w", f.opt.Dir, err)
	}
	f.lost = 0
	f.next++
	f.stats.Appended++
	f.wake()
	return e.Seq, nil
}

// write adds the line to the current segment, or to a new one when that is full
// or has failed.
func (f *File) write(line []byte) error {
	if f.seg != nil && f.size >= f.opt.SegmentBytes {
		f.endSegment()
	}
	// What is lost is told by the first line of the next segment.
	if f.seg != nil && f.lost > 0 {
		f.endSegment()
	}
	if f.seg == nil {
		if err := f.begin(); err != nil {
			return err
		}
		f.drop()
	}
	n, err := f.seg.Write(line)
	if err != nil {
		f.giveUp(n)
		return err
	}
	f.size += int64(n)
	f.dirty = true
	select {
	case f.syncAsked <- struct{}{}:
	default:
	}
	return nil
}

// endSegment syncs and closes the current segment. A failure is told but keeps
// no entry from being written to the next one.
func (f *File) endSegment() {
	f.dirty = true // a sync that is under way may find the segment closed
	if err := f.syncLocked(); err != nil {
		f.failed("sync", err)
	}
	if f.seg == nil {
		return
	}
	if err := f.seg.Close(); err != nil {
		f.failed("close", err)
	}
	f.seg = nil
}

// giveUp leaves a segment to which n bytes of an entry were written. They are
// cut off if that can still be done; if not, the segment ends in a torn tail.
func (f *File) giveUp(n int) {
	if n > 0 {
		if err := f.seg.Truncate(f.size); err != nil {
			f.failed("cut off an unfinished entry", err)
		}
	}
	f.dirty = false
	_ = f.seg.Close() // it has failed already
	f.seg = nil
}

// drop deletes the oldest segments beyond those to be kept, if a snapshot has
// seen all of them.
func (f *File) drop() {
	for f.opt.KeepSegments > 0 && len(f.firsts) > f.opt.KeepSegments && f.firsts[1] <= f.needed() {
		err := os.Remove(filepath.Join(f.opt.Dir, segmentName(f.firsts[0])))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.failed("drop an old segment", err)
			return
		}
		f.firsts = f.firsts[1:]
	}
}

func (f *File) failed(what string, err error) {
	f.stats.Errors++
	if f.stats.Errors == 1 || f.stats.Errors%1000 == 0 {
		f.log.Error("journal failed; routing goes on without it", "doing", what, "error", err, "failures", f.stats.Errors, "lost", f.stats.Lost)
	}
	if f.opt.OnError != nil {
		f.opt.OnError(fmt.Errorf("%s: %w", what, err))
	}
}

// syncLoop syncs in groups: SyncWithin after the first entry of a group.
func (f *File) syncLoop() {
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-f.closing:
			return
		case <-f.syncAsked:
		}
		timer.Reset(f.opt.SyncWithin)
		select {
		case <-f.closing:
			return
		case <-timer.C:
		}
		f.syncGroup()
	}
}

// syncGroup syncs without holding up Append. The segment may end meanwhile:
// endSegment syncs it too.
func (f *File) syncGroup() {
	f.mu.Lock()
	seg := f.seg
	if seg == nil || !f.dirty {
		f.mu.Unlock()
		return
	}
	f.dirty = false
	f.mu.Unlock()
	err := seg.Sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced(seg, err)
}

func (f *File) syncLocked() error {
	if f.seg == nil || !f.dirty {
		return nil
	}
	f.dirty = false
	seg := f.seg
	err := seg.Sync()
	f.stats.Syncs++
	if err != nil {
		f.leave(seg)
	}
	return err
}

func (f *File) synced(seg *os.File, err error) {
	f.stats.Syncs++
	if err == nil || f.seg != seg {
		return
	}
	f.failed("sync", err)
	f.leave(seg)
}

// leave ends a segment whose fsync failed. The kernel may have dropped what was
// not written and says so only once, so nothing more is trusted to it.
func (f *File) leave(seg *os.File) {
	_ = seg.Close() // it has failed already
	f.seg = nil
}

// Read implements Journal.
func (f *File) Read(from uint64, fn func(routing.Entry) error) error {
	f.mu.Lock()
	firsts, end, closed := append([]uint64(nil), f.firsts...), f.next, f.closed
	f.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if from > 0 && len(firsts) > 0 && from < firsts[0] {
		return fmt.Errorf("read journal from entry %d: the oldest is %d: %w", from, firsts[0], ErrTrimmed)
	}
	for i, first := range firsts {
		last := i == len(firsts)-1
		if !last && firsts[i+1] <= from {
			continue
		}
		x, err := scanFile(f.opt.Dir, first, end, func(e routing.Entry) error {
			if e.Seq < from {
				return nil
			}
			return fn(e)
		})
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read journal from entry %d: entry %d was dropped meanwhile: %w", from, first, ErrTrimmed)
		}
		if err != nil {
			return err
		}
		name := filepath.Join(f.opt.Dir, segmentName(first))
		if x.lost > 0 {
			f.log.Warn("journal has a gap: entries could not be written", "file", name, "before", first, "lost", x.lost)
		}
		want := end
		if !last {
			want = firsts[i+1]
		}
		if x.next != want {
			return &CorruptError{File: name, Offset: x.size, Err: fmt.Errorf("it ends with entry %d, but entry %d was written", x.next-1, want-1)}
		}
	}
	return nil
}

// Stats returns figures for metrics.
func (f *File) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.First, s.Last, s.Segments, s.SegmentBytes = f.next, f.next-1, len(f.firsts), f.size
	if len(f.firsts) > 0 {
		s.First = f.firsts[0]
	}
	return s
}

// Close implements Journal.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	close(f.closing)
	f.wake()
	f.mu.Unlock()
	f.syncer.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.syncLocked()
	if f.seg != nil {
		err = errors.Join(err, f.seg.Close())
		f.seg = nil
	}
	if err = errors.Join(err, f.lock.Close()); err != nil {
		return fmt.Errorf("close journal %s: %w", f.opt.Dir, err)
	}
	return nil
}
