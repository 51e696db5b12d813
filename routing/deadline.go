package routing

import (
	"cmp"
	"container/heap"
)

// timer is the one deadline that a call, a seat or a queue can have at a time.
type timer struct {
	at  Time
	id  string
	pos int // in the heap, -1 when off
	// One of these has it.
	call  *call
	seat  *seat
	queue *queue
}

// rank orders the owners of timers of one name.
func (t *timer) rank() int {
	switch {
	case t.seat != nil:
		return 0
	case t.call != nil:
		return 1
	default:
		return 2
	}
}

// deadlines is a heap of timers by (deadline, id); a seat before a call before a
// queue of the same name.
type deadlines []*timer

func (d deadlines) Len() int { return len(d) }

func (d deadlines) Less(i, j int) bool {
	a, b := d[i], d[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id), cmp.Compare(a.rank(), b.rank())) < 0
}

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].pos, d[j].pos = i, j
}

func (d *deadlines) Push(x any) {
	t := x.(*timer)
	t.pos = len(*d)
	*d = append(*d, t)
}

func (d *deadlines) Pop() any {
	old := *d
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	t.pos = -1
	return t
}

// set makes t fire at at, instead of when it was set to before.
func (d *deadlines) set(t *timer, at Time) {
	t.at = at
	if t.pos < 0 {
		heap.Push(d, t)
		return
	}
	heap.Fix(d, t.pos)
}

// stop switches t off; it may be off already.
func (d *deadlines) stop(t *timer) {
	if t.pos >= 0 {
		heap.Remove(d, t.pos)
	}
}

// NextDeadline returns when something is due without any event: the time at
// which to send a Tick.
func (s *State) NextDeadline() (Time, bool) {
	if len(s.deadlines) == 0 {
		return 0, false
	}
	return s.deadlines[0].at, true
}

// fireUntil brings the time to t and fires every deadline on the way at its own
// time. Deadlines of the same time all fire before the next match, so that a
// call gets the best of the seats that come free together.
func (s *State) fireUntil(t Time) {
	for len(s.deadlines) > 0 && s.deadlines[0].at <= t {
		s.now = max(s.now, s.deadlines[0].at)
		for len(s.deadlines) > 0 && s.deadlines[0].at <= s.now {
			s.fire(heap.Pop(&s.deadlines).(*timer))
		}
		s.match()
	}
	s.now = max(s.now, t)
}

func (s *State) fire(t *timer) {
	switch {
	case t.seat != nil && t.seat.wrap != nil:
		s.endWrapUp(t.seat)
	case t.seat != nil && t.seat.call != nil:
		s.leaseOver(t.seat)
	case t.seat != nil:
		t.seat.resting = false
		s.update(t.seat)
	case t.queue != nil:
		s.weigh(t.queue)
		s.armHours(t.queue)
	default:
		s.advance(t.call)
	}
}
