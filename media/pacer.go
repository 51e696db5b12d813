package media

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	phases    = 20 // slots of 1 ms in the 20 ms grid, so that not all legs send at the same instant
	maxShards = 4
)

// pacer beats for every leg each 20 ms. Few goroutines, its shards, serve all legs: a timer for each
// leg would wake later and drop beats.
type pacer struct {
	now    func() time.Duration
	shards []*shard
	done   chan struct{}
	wg     sync.WaitGroup

	late, skipped atomic.Uint64 // frames

	mu    sync.Mutex // guards the membership of slots; beats don't take it
	slots [phases]*slot
}

// shard is the slots that one goroutine serves.
type shard struct {
	slots []*slot
	wake  chan struct{} // a slot got its first leg
}

// slot is the legs that share a phase of the grid.
type slot struct {
	shard *shard
	legs  atomic.Pointer[[]*Leg] // replaced, never changed

	// Owned by the shard's goroutine.
	grid grid
	idle bool
}

func (s *slot) members() []*Leg {
	if p := s.legs.Load(); p != nil {
		return *p
	}
	return nil
}

func startPacer(now func() time.Duration) *pacer {
	p := &pacer{now: now, done: make(chan struct{})}
	for range min(maxShards, runtime.GOMAXPROCS(0)) {
		p.shards = append(p.shards, &shard{wake: make(chan struct{}, 1)})
	}
	for i := range p.slots {
		sh := p.shards[i%len(p.shards)]
		s := &slot{shard: sh, grid: grid{phase: time.Duration(i) * ptime / phases}, idle: true}
		p.slots[i] = s
		sh.slots = append(sh.slots, s)
	}
	for _, sh := range p.shards {
		p.wg.Go(func() { p.run(sh) })
	}
	return p
}

// add puts the leg into the slot with the fewest legs.
func (p *pacer) add(l *Leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	least := p.slots[0]
	for _, s := range p.slots {
		if len(s.members()) < len(least.members()) {
			least = s
		}
	}
	members := append(append([]*Leg(nil), least.members()...), l)
	least.legs.Store(&members)
	l.slot = least
	select {
	case least.shard.wake <- struct{}{}:
	default:
	}
}

// remove takes the leg out; a beat under way may still reach it.
func (p *pacer) remove(l *Leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var members []*Leg
	for _, other := range l.slot.members() {
		if other != l {
			members = append(members, other)
		}
	}
	l.slot.legs.Store(&members)
}

func (p *pacer) close() {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// run serves the shard's slots until the pacer is closed. Without legs it sleeps.
func (p *pacer) run(sh *shard) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var tick <-chan time.Time
		if next, busy := p.serve(sh); busy {
			timer.Reset(next - p.now())
			tick = timer.C
		}
		select {
		case <-tick:
		case <-sh.wake:
		case <-p.done:
			return
		}
	}
}

// serve beats for what is due and tells when the next beat is.
func (p *pacer) serve(sh *shard) (next time.Duration, busy bool) {
	for _, s := range sh.slots {
		legs := s.members()
		if len(legs) == 0 {
			s.idle = true
			continue
		}
		if s.idle {
			s.idle = false
			s.grid.rejoin(p.now())
		}
		p.beat(s, legs)
		if at := s.grid.at(s.grid.next); !busy || at < next {
			next, busy = at, true
		}
	}
	return next, busy
}

func (p *pacer) beat(s *slot, legs []*Leg) {
	now := p.now()
	from, to, skipped := s.grid.due(now)
	p.skipped.Add(uint64(skipped) * uint64(len(legs)))
	for k := from; k <= to; k++ {
		at := s.grid.at(k)
		if now-at >= ptime {
			p.late.Add(uint64(len(legs)))
		}
		for _, l := range legs {
			l.beat(at)
		}
	}
}
