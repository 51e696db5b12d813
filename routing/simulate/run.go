package simulate

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"hotline/routing"
)

const (
	second = float64(routing.Second)
	node   = "sim"
)

// caller is one simulated call that is not over.
type caller struct {
	id      routing.CallID
	class   int
	file    int     // index in sc.Calls
	service float64 // s
	gen     uint64  // tells events of an earlier use of this slot
	talking bool
	live    bool
	counted bool    // arrived after the warm-up
	rings   []phone // on offer to
	taken   bool    // an agent has answered
	line    *int    // the count that the caller is in while waiting; nil for those who were there, and probes
	offers  int     // of those that the file tells
	node    string  // that owns the call
	probe   int     // for a look ahead: the number of its queue, from 1
}

// phone rings for a caller.
type phone struct {
	seat  routing.SeatID
	offer uint64
	fails string // why the agent won't answer; empty when the agent will
}

// replication is one run in virtual time.
type replication struct {
	sc    *Scenario
	state *routing.State
	rng   []*rand.Rand // per class, so that classes don't disturb each other
	ring  *rand.Rand
	// unknown draws what a file of calls doesn't tell.
	unknown *rand.Rand
	heap    []event
	seq     uint64
	now     routing.Time
	calls   []caller
	free    []int
	byID    map[routing.CallID]int
	n       uint64 // calls made
	prefix  string // of their names, where others are there already
	crowd   int    // up to how many of a class that came may wait; 0 any number
	lines   []int  // those who came and wait where they came first, by class
	moved   int    // those who came and wait elsewhere
	next    int    // in sc.Calls
	file    int    // the one of them that is entering
	out     *result
	queue   []deed // what was decided and isn't yet carried out
	wrapUps []Dist // by class; empty when the queues' own count
	wrapRNG *rand.Rand
	seatNo  map[routing.SeatID]int // in the policy
	area    area
	busy    map[routing.SeatID]bool
	// watch, if not nil, hears of each decision.
	watch func(routing.Decision)
	// probed hears what became of a probe.
	probed func(queue int, answered bool)
}

// area sums numbers over time.
type area struct {
	busy  int // seats on offer, talking or in wrap-up
	wait  int
	busyT float64
	waitT float64
	seats int
	seatT float64
}

// start is the virtual time at which a replication begins; routing takes zero for
// "not yet".
const start = routing.Time(routing.Second)

func newReplication(sc *Scenario, no int) *replication {
	r := &replication{sc: sc, state: routing.New(), byID: make(map[routing.CallID]int), now: start, out: newResult(sc), busy: make(map[routing.SeatID]bool)}
	for i := range sc.Classes {
		r.rng = append(r.rng, rand.New(rand.NewPCG(sc.Seed+uint64(no)<<20, uint64(i)+1)))
	}
	r.lines = make([]int, len(sc.Classes))
	r.ring = rand.New(rand.NewPCG(sc.Seed+uint64(no)<<20, 1<<40))
	r.unknown = rand.New(rand.NewPCG(sc.Seed+uint64(no)<<20, 1<<41))
	r.wrapRNG = rand.New(rand.NewPCG(sc.Seed+uint64(no)<<20, 1<<43))
	return r
}

// reuse takes the memory of one that is over; nil for none.
func (r *replication) reuse(old *replication) {
	if old == nil {
		return
	}
	clear(old.byID)
	clear(old.busy)
	clear(old.calls)
	r.heap, r.calls, r.free, r.queue, r.byID, r.busy = old.heap[:0], old.calls[:0], old.free[:0], old.queue[:0], old.byID, old.busy
}

// run plays the replication to its end or until ctx ends.
func (r *replication) run(ctx context.Context) (*result, error) {
	r.apply(node, routing.PolicyChanged{Policy: r.policy()})
	r.openSeats()
	if len(r.sc.Calls) > 0 {
		r.push(event{at: at(r.sc.Calls[0].At), kind: arrives})
	} else {
		for i := range r.sc.Classes {
			r.nextArrival(i)
		}
	}
	end := at(r.sc.Length)
	if err := r.play(ctx, end, func() bool { return false }); err != nil {
		return nil, err
	}
	r.advance(end)
	r.out.finish(&r.area, (r.sc.Length - r.sc.WarmUp).Seconds())
	return r.out, nil
}

// play lets happen what is due until end, or until enough.
func (r *replication) play(ctx context.Context, end routing.Time, enough func() bool) error {
	for steps := 0; !enough(); steps++ {
		if steps&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		due, ok := r.state.NextDeadline()
		if ok && due <= end && (len(r.heap) == 0 || due <= r.heap[0].at) {
			r.advance(due)
			r.apply(node, routing.Tick{})
			continue
		}
		if len(r.heap) == 0 || r.heap[0].at > end {
			return nil
		}
		e := r.pop()
		r.advance(e.at)
		r.happen(e)
	}
	return nil
}

func at(d time.Duration) routing.Time { return start.Add(routing.Duration(d / time.Microsecond)) }

// openSeats registers the seats: those without a shift for good.
func (r *replication) openSeats() {
	shifted := map[routing.SeatID]bool{}
	for i, s := range r.sc.Shifts {
		shifted[s.Seat] = true
		r.push(event{at: at(s.From), kind: begins, call: i})
		r.push(event{at: at(s.To), kind: stops, call: i})
	}
	if rec := r.sc.Recorded; rec != nil {
		present := false
		for i := range rec.Seats {
			_, estimate := rec.Seats[i].Event.(routing.Estimated)
			present = present || !estimate
			r.push(event{at: start.Add(rec.Seats[i].At.Sub(rec.From)), kind: seats, call: i})
		}
		if present {
			return
		}
	}
	for i := range r.sc.Policy.Seats {
		if id := r.sc.Policy.Seats[i].ID; !shifted[id] {
			r.area.seats++
			r.apply(node, routing.SeatRegistered{Seat: id})
		}
	}
}

// happen carries out one event.
func (r *replication) happen(e event) {
	switch e.kind {
	case arrives:
		r.arrive(e.call)
	case begins:
		r.area.seats++
		seat := r.sc.Shifts[e.call].Seat
		if v, _ := r.state.Seat(seat); v.Node == "" {
			r.apply(node, routing.SeatRegistered{Seat: seat})
		}
		r.apply(node, routing.AgentStatusChanged{Agent: r.agentOf(seat), Status: routing.StatusReady})
	case seats:
		r.apply(node, r.sc.Recorded.Seats[e.call].Event)
	case wraps:
		r.apply(node, routing.WrapUpEnded{Seat: r.sc.Policy.Seats[e.call].ID})
	case stops:
		// The agent finishes the call in hand and takes no other.
		r.area.seats--
		r.apply(node, routing.AgentStatusChanged{Agent: r.agentOf(r.sc.Shifts[e.call].Seat), Status: routing.StatusLoggedOut})
	default:
		c := &r.calls[e.call]
		switch {
		case e.kind == answers:
			if i := c.ringing(e.gen); c.live && i >= 0 {
				r.answer(c, c.rings[i])
			}
		case c.live && c.gen == e.gen && (e.kind == leaves || !c.talking):
			r.apply(c.node, routing.CallEnded{Call: c.id, Cause: routing.CauseCallerHungUp})
		}
	}
}

func (r *replication) agentOf(id routing.SeatID) routing.AgentID {
	v, _ := r.state.Seat(id)
	return v.Agent
}

// arrive makes one call and draws the next arrival of its class.
func (r *replication) arrive(class int) {
	if len(r.sc.Calls) > 0 {
		a := r.sc.Calls[r.next]
		r.file = r.next
		if r.next++; r.next < len(r.sc.Calls) {
			r.push(event{at: at(r.sc.Calls[r.next].At), kind: arrives})
		}
		service, patience := a.Service.Seconds(), a.Patience.Seconds()
		if a.Patience < 0 {
			patience = math.Inf(1)
		}
		if a.Model != nil {
			service, patience = a.Model(r.unknown)
		}
		r.enter(a.Class, service, patience)
		return
	}
	again := class < 0
	if again {
		class = -1 - class
	}
	c := &r.sc.Classes[class]
	service, patience := c.Service.Draw(r.rng[class]), c.Patience.Draw(r.rng[class])
	if again {
		r.enter(class, service, patience)
		return
	}
	if r.thinned(class) {
		r.enter(class, service, patience)
	}
	r.nextArrival(class)
}

// thinned keeps an arrival of the peak rate with the share of its hour.
func (r *replication) thinned(class int) bool {
	c := &r.sc.Classes[class]
	if len(c.Profile) == 0 {
		return true
	}
	hour := int((r.sc.Start+time.Duration(r.now-start)*time.Microsecond)/time.Hour) % 24
	return r.rng[class].Float64()*peak(c.Profile) < c.Profile[hour]
}

func peak(profile []float64) float64 {
	m := 0.0
	for _, p := range profile {
		m = max(m, p)
	}
	return m
}

func (r *replication) nextArrival(class int) {
	c := &r.sc.Classes[class]
	rate := c.PerHour / 3600
	if len(c.Profile) > 0 {
		rate *= peak(c.Profile)
	}
	if rate <= 0 {
		return
	}
	gap := r.rng[class].ExpFloat64() / rate
	r.push(event{at: r.now.Add(span(gap)), kind: arrives, call: class})
}

// span turns seconds into routing's unit; what is longer than a century is that.
func span(s float64) routing.Duration {
	return routing.Duration(min(s*second, 3e15) + 0.5)
}

// enter puts a call into its queue.
func (r *replication) enter(class int, service, patience float64) {
	if r.crowded(class) {
		return
	}
	r.lines[class]++
	i := len(r.calls)
	if n := len(r.free); n > 0 {
		i = r.free[n-1]
		r.free = r.free[:n-1]
	} else {
		r.calls = append(r.calls, caller{})
	}
	c := &r.calls[i]
	r.n++
	*c = caller{rings: c.rings[:0], id: routing.CallID(r.prefix + strconv.FormatUint(r.n, 36)), class: class, file: r.file, service: service, gen: c.gen + 1, node: node,
		live: true, line: &r.lines[class], counted: r.now >= at(r.sc.WarmUp)}
	r.byID[c.id] = i
	k := &r.sc.Classes[class]
	if c.counted {
		r.out.classes[class].offered++
	}
	r.area.wait++
	if !math.IsInf(patience, 1) {
		r.push(event{at: r.now.Add(span(patience)), kind: gives, call: i, gen: c.gen})
	}
	id := c.id
	r.apply(node, routing.CallArrived{Call: id})
	r.apply(node, routing.CallIdentified{Call: id, Tier: k.Tier, Manager: k.Manager, Team: k.Team, Language: k.Language})
	r.apply(node, routing.CallQueued{Call: id, Queue: k.Queue})
}

// crowded says that so many of the class wait that another one would make no difference, or so many in all
// where they moved on to that memory is at stake.
func (r *replication) crowded(class int) bool {
	return r.crowd > 0 && (r.lines[class] >= r.crowd || r.moved >= r.crowd*len(r.lines))
}

// redial lets a caller who gave up try again.
func (r *replication) redial(class int) {
	k := &r.sc.Classes[class]
	if k.Redial > 0 && r.rng[class].Float64() < k.Redial {
		// The call that follows is an arrival outside the Poisson stream.
		after := k.RedialAfter.Draw(r.rng[class])
		r.push(event{at: r.now.Add(span(after)), kind: arrives, call: -1 - class})
	}
}

// advance brings the clock to t and sums what held until then.
func (r *replication) advance(t routing.Time) {
	if t <= r.now {
		return
	}
	from := max(r.now, at(r.sc.WarmUp))
	if t > from {
		dt := float64(t-from) / second
		r.area.busyT += dt * float64(r.area.busy)
		r.area.waitT += dt * float64(r.area.wait)
		r.area.seatT += dt * float64(r.area.seats)
	}
	r.now = t
}
