package recording

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

// writer is a goroutine that writes many recordings.
type writer struct {
	rec  *Recorder
	wake chan struct{}
	mu   sync.Mutex
	list []*Recording

	scratch *scratch
}

func (w *writer) add(g *Recording) {
	w.mu.Lock()
	w.list = append(w.list, g)
	w.mu.Unlock()
}

func (w *writer) all() []*Recording {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// poke has the writer look soon.
func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		open := true
		select {
		case <-t.C:
		case <-w.wake:
		case <-w.rec.quit:
			open = false
		}
		for _, g := range w.all() {
			if !open {
				g.stop(EndedCall)
			}
			if g.work() {
				w.drop(g)
			}
		}
		if !open {
			return
		}
	}
}

func (w *writer) drop(g *Recording) {
	w.mu.Lock()
	w.list = slices.DeleteFunc(w.list, func(o *Recording) bool { return o == g })
	w.mu.Unlock()
	w.rec.active.Add(-1)
	close(g.done)
}

// work writes what has come; true when the recording is over.
func (g *Recording) work() bool {
	over := g.ended.Load() != nil // before the rings are emptied: nothing comes after
	if err := g.write(over); err != nil {
		reason := diskReason(err)
		g.stop(reason)
		g.notice(err)
		over = true
	}
	if !over {
		return false
	}
	g.notice(nil)
	g.finish()
	return true
}

// write empties the rings, and writes what makes a chunk, or all.
func (g *Recording) write(all bool) error {
	if g.sink == nil {
		if err := g.begin(); err != nil {
			return err
		}
	}
	if first := g.first.Load(); first != never {
		g.line.begin(time.Duration(first))
	}
	frame := g.rec.opt.Format.frame()
	for at, ok := g.oldest(); ok; at, ok = g.oldest() {
		if err := g.pass(at - hold*time.Second/rate); err != nil {
			return err
		}
		g.take()
		if len(g.out) >= chunk*frame {
			if err := g.flush(); err != nil {
				return err
			}
		}
	}
	if g.line.base > int64(g.rec.opt.MaxLength.Seconds()*rate) {
		g.stop(EndedLength)
	}
	if !all {
		return g.syncDue()
	}
	end := time.Duration(g.last.Load()) + 20*time.Millisecond
	if err := g.pass(end); err != nil {
		return err
	}
	g.out = g.line.finish(g.out, end)
	return g.flush()
}

// begin makes the file and the sidecar.
func (g *Recording) begin() error {
	opt := &g.rec.opt
	g.line = newTimeline(opt.Format, g.w.scratch)
	f, err := g.rec.create(g.info.Path(opt.Dir) + partExt)
	if err != nil {
		return err
	}
	g.sync = time.Now()
	g.sink, err = newSink(f, opt.Format, opt.Key)
	return errors.Join(err, g.info.write(opt.Dir))
}

// pass writes what comes before a moment, but the last chunk: a pause may have been hours long.
func (g *Recording) pass(at time.Duration) error {
	if !g.line.begun {
		return nil
	}
	for limit := g.line.samplesAt(at); limit-g.line.base > chunk; {
		g.out = g.line.giveOut(g.out, g.line.base+chunk)
		if err := g.flush(); err != nil {
			return err
		}
	}
	return nil
}

// oldest is when the older of both rings' first packets came; false when both are empty.
func (g *Recording) oldest() (at time.Duration, ok bool) {
	for _, r := range g.rings {
		var p packet
		if _, some := r.peek(&p); some && (!ok || p.at < at) {
			at, ok = p.at, true
		}
	}
	return at, ok
}

// take moves the older of both rings' first packets into the timeline, if there is one.
func (g *Recording) take() {
	var p [2]packet
	size, ok := [2]int{}, [2]bool{}
	for i, r := range g.rings {
		size[i], ok[i] = r.peek(&p[i])
	}
	side := 0
	switch {
	case !ok[0] && !ok[1]:
		return
	case !ok[0] || ok[1] && p[1].at < p[0].at:
		side = 1
	}
	p[side].payload = g.rings[side].take(g.w.scratch.payload[:], size[side])
	g.out = g.line.add(g.out, side, &p[side])
}

func (g *Recording) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	// A segment that is encrypted has a limit; a gap of hours is far beyond it.
	for rest := g.out; len(rest) > 0; {
		n := min(len(rest), maxSegment/2)
		if err := g.sink.write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	g.out = g.out[:0]
	return nil
}

func (g *Recording) syncDue() error {
	every := g.rec.opt.SyncEvery
	if every == 0 || time.Since(g.sync) < every {
		return nil
	}
	g.sync = time.Now()
	return g.sink.f.Sync()
}

// finish makes the file whole and gives it its name. What fails here is left as it is, to be
// repaired at the next start.
func (g *Recording) finish() {
	opt := &g.rec.opt
	g.info.Ended, g.info.Pauses = g.Ended(), int(g.pauses.Load())
	path := g.info.Path(opt.Dir)
	var err error
	if g.sink != nil {
		g.info.Seconds = float64(g.sink.sound) / float64(rate*opt.Format.frame())
		err = g.sink.end()
		g.info.Bytes, g.info.SHA256 = g.sink.good, g.sink.hash()
		err = errors.Join(err, g.info.write(opt.Dir)) // first: what is still .part will be repaired
		if err == nil {
			err = errors.Join(os.Rename(path+partExt, path), syncDir(path))
		}
	}
	if err != nil {
		g.rec.lost.note(opt.Logger, "not_closed", err)
	}
	opt.Observer.RecordingEnded(g.info.Ended, g.info.Bytes)
	opt.Logger.Info("recording ended", "recording", g.info.ID, "reason", g.info.Ended, "seconds", int(g.info.Seconds), "bytes", g.info.Bytes)
	if g.rec.up != nil && err == nil && g.sink != nil {
		g.rec.up.add(g.info)
	}
}
