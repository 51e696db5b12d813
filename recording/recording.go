package recording

import (
	"math"
	"sync/atomic"
	"time"

	"hotline/media"
)

// Recording is one that is under way. Its methods may be called from any goroutine, and
// none waits for the disk.
type Recording struct {
	rec   *Recorder
	w     *writer
	info  Info // the writer's from Start on
	rings [2]*ring

	first, last atomic.Int64 // the engine's clock at the first and last packet
	paused      atomic.Bool
	pauses      atomic.Int32
	ended       atomic.Pointer[string] // nil while it goes on
	noticed     atomic.Bool            // that it was lost
	done        chan struct{}          // closed when the file is whole, or given up

	line *timeline // the writer's
	out  []byte
	sink *sink
	sync time.Time
}

// never is the first packet's time before there was one.
const never = math.MinInt64

// ends are the pointers that ended points to.
var ends = func() map[string]*string {
	m := map[string]*string{}
	for _, s := range []string{EndedCall, EndedTalk, EndedStopped, EndedLength, EndedSlow, EndedFull, EndedError} {
		m[s] = &s
	}
	return m
}()

var endedSlow = ends[EndedSlow]

// Voice takes a packet; it is fit to be a leg's tap: it neither blocks nor allocates.
func (g *Recording) Voice(v media.Voice) {
	if g.ended.Load() != nil {
		return
	}
	if g.first.Load() == never {
		g.first.CompareAndSwap(never, int64(v.At))
	}
	g.last.Store(int64(v.At))
	if g.paused.Load() {
		return
	}
	side := 0
	if v.Sent {
		side = 1
	}
	if !g.rings[side].put(v.At, v.TS, v.Codec, v.Payload) {
		g.ended.CompareAndSwap(nil, endedSlow)
	}
}

// Pause has silence recorded until Resume.
func (g *Recording) Pause() {
	if !g.paused.Swap(true) {
		g.pauses.Add(1)
	}
}

// Resume ends a pause.
func (g *Recording) Resume() { g.paused.Store(false) }

// Paused says whether it is paused.
func (g *Recording) Paused() bool { return g.paused.Load() }

// Stop ends the recording for one of the reasons Ended...; the first one counts.
func (g *Recording) Stop(reason string) {
	g.stop(reason)
	g.w.poke()
}

func (g *Recording) stop(reason string) {
	p := ends[reason]
	if p == nil {
		p = ends[EndedStopped]
	}
	g.ended.CompareAndSwap(nil, p)
}

// Ended is why the recording has ended, "" while it goes on.
func (g *Recording) Ended() string {
	if p := g.ended.Load(); p != nil {
		return *p
	}
	return ""
}

// Done is closed when the file is whole, or given up.
func (g *Recording) Done() <-chan struct{} { return g.done }

// ID is the recording's. Start is when it began.
func (g *Recording) ID() string { return g.info.ID }

// Start is when the recording began.
func (g *Recording) Start() time.Time { return g.info.Start }

// Length is how much has passed, with pauses.
func (g *Recording) Length() time.Duration {
	if g.first.Load() == never {
		return 0
	}
	return time.Duration(g.last.Load()-g.first.Load()) + 20*time.Millisecond
}

// notice counts a recording that was lost, once.
func (g *Recording) notice(err error) {
	switch why := g.Ended(); why {
	case EndedSlow, EndedFull, EndedError:
		if !g.noticed.Swap(true) {
			g.rec.opt.Observer.RecordingDropped(why)
			g.rec.lost.note(g.rec.opt.Logger, why, err)
		}
	}
}
