package media

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	phases    = 25 // slots of the 20 ms grid, so that not all legs send at the same instant
	maxShards = 4

	// tick is how often sockets are read and beats served while somebody waits for what comes: a packet
	// waits half of it on average, and hardly more than it. Waking up for each packet costs more than handling it.
	tick = ptime / phases
)

// shard serves some of the legs with one goroutine: at each tick it reads those of their sockets
// that hold something, and beats for each leg every 20 ms. A goroutine or a timer for each leg would
// cost a wake-up for each packet, and drop beats.
type shard struct {
	now  func() time.Duration
	poll *poller
	done chan struct{}

	late, skipped atomic.Uint64 // frames

	mu    sync.Mutex // guards who is in which slot; beats don't take it
	legs  int
	slots [phases]slot
	every time.Duration // between ticks; 0 without legs

	hurried time.Duration // when a leg last had somebody waiting for what it hears; of the shard's goroutine
}

const (
	// idleTick is how often a shard looks while nobody waits for what its legs hear: they play, or are
	// silent. Each look costs more than a packet.
	idleTick = idlePhases * tick
	// idlePhases is every how many slots are in use then.
	idlePhases = 5
	// idleLegs is up to how many legs that pays, those aside that the kernel serves; more would send in bursts, and
	// later ones late.
	idleLegs = 400
	// hurryAfter is how long a shard looks at each tick after the last need of it.
	hurryAfter = time.Second
	// hurriedTick is how often a shard looks when somebody waits for what more than hurriedLegs hear: to read so many
	// takes its time, too, beside which a look costs little.
	hurriedTick = tick / 2
	hurriedLegs = 1200
)

// slot is the legs of a shard that share a phase of the grid.
type slot struct {
	legs atomic.Pointer[[]*Leg] // replaced, never changed

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

// put adds a leg; the shard's lock is held.
func (s *slot) put(l *Leg) {
	members := append(append([]*Leg(nil), s.members()...), l)
	s.legs.Store(&members)
	l.slot = s
}

// take removes a leg; the shard's lock is held.
func (s *slot) take(l *Leg) {
	var members []*Leg
	for _, other := range s.members() {
		if other != l {
			members = append(members, other)
		}
	}
	s.legs.Store(&members)
}

// startShards starts a shard for each processor, at most maxShards.
func startShards(now func() time.Duration, log *slog.Logger) ([]*shard, error) {
	var shards []*shard
	for range min(maxShards, runtime.GOMAXPROCS(0)) {
		poll, err := newPoller(now, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("waiting for sockets: %w", err), closeShards(shards))
		}
		s := &shard{now: now, poll: poll, done: make(chan struct{})}
		for i := range s.slots {
			s.slots[i].grid.phase = time.Duration(i) * tick
			s.slots[i].idle = true
		}
		go s.run()
		shards = append(shards, s)
	}
	return shards, nil
}

func closeShards(shards []*shard) (err error) {
	for _, s := range shards {
		err = errors.Join(err, s.poll.close())
		<-s.done
	}
	return err
}

// add puts the leg into the slot with the fewest legs, of those that an idle shard looks at in time.
func (s *shard) add(l *Leg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := 1
	if s.busy() < idleLegs {
		step = idlePhases
	}
	least := &s.slots[0]
	for i := 0; i < phases; i += step {
		if len(s.slots[i].members()) < len(least.members()) {
			least = &s.slots[i]
		}
	}
	least.put(l)
	if s.legs++; s.legs == 1 {
		return s.pace(tick)
	}
	return nil
}

// pace sets the time between ticks. s.mu is held.
func (s *shard) pace(every time.Duration) error {
	s.every = every
	return s.poll.pace(every)
}

// rest paces the shard by what its legs need.
func (s *shard) rest() {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	want, few := tick, s.busy() <= idleLegs
	switch {
	case s.count((*Leg).awaited) > hurriedLegs:
		want = hurriedTick
	case now-s.hurried > hurryAfter && few:
		want = idleTick
	}
	if s.legs > 0 && s.every != want {
		_ = s.pace(want) // fails only when the shard is being closed
	}
	if !few {
		s.spread(now)
	}
}

// busy counts the legs that the kernel doesn't serve.
func (s *shard) busy() int {
	return s.count(func(l *Leg) bool { return l.flow.Load() == nil })
}

func (s *shard) count(which func(*Leg) bool) (n int) {
	for i := range s.slots {
		for _, l := range s.slots[i].members() {
			if which(l) {
				n++
			}
		}
	}
	return n
}

// maxMoved bounds the legs that a slot gives away at once.
const maxMoved = 20

// spread has the slots that were all in use while the shard could idle share their legs with those before them. A leg that moves
// is served a few milliseconds early, once. s.mu is held, by the shard's goroutine.
func (s *shard) spread(now time.Duration) {
	for i := 0; i < phases; i += idlePhases {
		for range maxMoved {
			from, to := &s.slots[i], &s.slots[(i+phases-1)%phases]
			for k := 2; k < idlePhases; k++ {
				if other := &s.slots[(i+phases-k)%phases]; len(other.members()) < len(to.members()) {
					to = other
				}
			}
			members := from.members()
			if len(members) <= len(to.members())+1 {
				break
			}
			if to.idle {
				to.idle = false
				to.grid.rejoin(now + ptime) // not at once: the leg has just been served
			}
			l := members[len(members)-1]
			from.take(l)
			to.put(l)
		}
	}
}

// remove takes the leg out; a beat under way may still reach it.
func (s *shard) remove(l *Leg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.slot.take(l)
	if s.legs--; s.legs == 0 {
		return s.pace(0)
	}
	return nil
}

// load is how many legs the shard serves.
func (s *shard) load() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs
}

// run serves the shard's legs until its poller is closed.
func (s *shard) run() {
	defer close(s.done)
	for looked := time.Duration(0); s.poll.turn() == nil; {
		before := s.hurried
		s.beats()
		// At once when somebody begins to wait, else each second is enough.
		if now := s.now(); s.hurried-before > hurryAfter || now-looked > hurryAfter {
			looked = now
			s.rest()
		}
	}
}

// beats serves the slots that are due.
func (s *shard) beats() {
	for i := range s.slots {
		slot := &s.slots[i]
		legs := slot.members()
		if len(legs) == 0 {
			slot.idle = true
			continue
		}
		if slot.idle {
			slot.idle = false
			slot.grid.rejoin(s.now())
		}
		s.beat(slot, legs)
	}
}

func (s *shard) beat(slot *slot, legs []*Leg) {
	now := s.now()
	from, to, skipped := slot.grid.due(now)
	if skipped > 0 {
		s.skipped.Add(uint64(skipped) * uint64(len(legs)))
	}
	for k := from; k <= to; k++ {
		at := slot.grid.at(k)
		if now-at >= ptime {
			s.late.Add(uint64(len(legs)))
		}
		for _, l := range legs {
			if l.rests() {
				continue
			}
			l.beat(at)
			if l.awaited() {
				s.hurried = now
			}
		}
	}
}
