package simulate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"hotline/routing"
)

// Forecast says how Expect looks ahead.
type Forecast struct {
	// Replications of the time to come; 0 means 100. Each asks for one tier in every
	// queue, in turn. They stop early when the context ends.
	Replications int
	// Horizon is how far ahead they go; 0 means an hour. A wait beyond it is no
	// estimate.
	Horizon time.Duration
	Seed    uint64
	// At is the present, when that is later than the state's last entry.
	At routing.Time
	// Breathe, if not nil, is called every few milliseconds or more often, so that who looks ahead beside other work may
	// let that go first.
	Breathe func()

	// crowd is up to how many of those to come may wait in each queue and tier; 0 means what crowdOf says.
	crowd int
}

const (
	smallCrowd = 200 // the least
	farAhead   = 10  // times a crowd, where tiers aren't served strictly one before the other
)

// crowdOf is how many of those to come may wait in each queue and tier. Who comes when so many of the same kind wait is
// left out, else an hour of a flood would fill the memory. With strict order that changes nothing: the probes are before them in line,
// and of a tier that goes before the probes there are always enough for all seats. By deadline or ratio, who comes late
// goes before a probe only for a while; that many more cover it but for the worst floods. Lines may grow to whatever a condition or
// limit of the policy asks about.
func crowdOf(state *routing.State) int {
	policy, _ := state.Policy()
	seats := len(state.Seats())
	crowd := max(smallCrowd, seats)
	if policy.Order != "" && policy.Order != routing.OrderStrict {
		crowd *= farAhead
	}
	asked := 0
	for i := range policy.Queues {
		q := &policy.Queues[i]
		asked = max(asked, q.MaxWaiting)
		for k := range q.Plan {
			w := &q.Plan[k].When
			asked = max(asked, w.Waiting, w.WaitingPerSeat*seats/1000)
		}
	}
	return crowd + asked
}

// atATime is how many of those who are there are taken over before a breath.
const atATime = 100

// fewest is how many callers of a tier must have been asked for an estimate.
const fewest = 2

// Expect estimates how long callers who come now have to wait, by queue and tier:
// it plays on from the state that f froze, with everybody who waits, rings, talks or
// wraps up, with the callers to come and those who will give up, as recent has seen
// them, through the same routing. A caller of its own waits at the end of each line
// and is taken out when a phone would ring. A tier is left out when nothing can be
// said: nobody is there, most callers would be turned away, or half of them would
// wait beyond the horizon.
func Expect(ctx context.Context, f *routing.Frozen, recent *Recent, o Forecast) ([]routing.Estimated, error) {
	if o.Replications == 0 {
		o.Replications = 100
	}
	if o.Horizon == 0 {
		o.Horizon = time.Hour
	}
	if o.Breathe == nil {
		o.Breathe = func() {}
	}
	state, err := f.Thaw(nil)
	if err != nil {
		return nil, fmt.Errorf("look ahead: %w", err)
	}
	o.Breathe()
	calls := state.Calls()
	o.Breathe()
	m := recent.learn(state, calls, o.Breathe)
	x := expectation{queues: state.Queues(), there: partiesOf(state, calls), crowd: o.crowd}
	if x.crowd == 0 {
		x.crowd = crowdOf(state)
	}
	x.found = make([][]probes, len(x.queues))
	for i := range x.found {
		x.found[i] = make([]probes, len(routing.Tiers()))
	}
	done := 0
	for i := 0; i < o.Replications && ctx.Err() == nil; i++ {
		if i > 0 {
			if state, err = f.Thaw(state); err != nil {
				return nil, fmt.Errorf("look ahead: %w", err)
			}
		}
		o.Breathe()
		switch err := x.replicate(ctx, state, m, o, i); {
		case err == nil:
			done++
		case ctx.Err() == nil:
			return nil, err
		}
	}
	if done < fewest*len(routing.Tiers()) {
		return nil, nil // there was no time
	}
	return x.estimates(o.Horizon), nil
}

// probes are the waits of one tier's own callers in a queue.
type probes struct {
	waits []float64 // s
	lost  int       // turned away
}

type expectation struct {
	queues []routing.QueueView
	there  []party
	found  [][]probes // by queue and tier
	crowd  int
	before *replication
}

// party is a call that is there, past its IVR, and the seats that ring for it.
type party struct {
	call  *routing.CallView
	rings []routing.SeatView
}

func partiesOf(state *routing.State, calls []routing.CallView) (out []party) {
	rings := map[routing.CallID][]routing.SeatView{}
	for _, x := range state.Seats() {
		if x.Offer != 0 {
			rings[x.Call] = append(rings[x.Call], x)
		}
	}
	for i := range calls {
		v := &calls[i]
		if v.Phase == routing.PhaseWaiting || v.Phase == routing.PhaseOnOffer || v.Phase == routing.PhaseTalking {
			out = append(out, party{v, rings[v.ID]})
		}
	}
	return out
}

// replicate plays on once and asks for one tier.
func (x *expectation) replicate(ctx context.Context, state *routing.State, m *model, o Forecast, no int) error {
	sc := &Scenario{Classes: m.classes, Seed: o.Seed, WarmUp: 100 * 365 * 24 * time.Hour, Offers: m.offers}
	r := newReplication(sc, no)
	r.reuse(x.before)
	r.crowd, r.prefix, x.before = x.crowd, "to come ", r
	r.state, r.now = state, max(state.Now(), o.At)
	rng := rand.New(rand.NewPCG(o.Seed+uint64(no)<<20, 1<<42))
	for there := range slices.Chunk(x.there, atATime) {
		r.takeOver(there, m, rng)
		o.Breathe()
	}
	for i := range sc.Classes {
		r.nextArrival(i)
	}
	r.apply(node, routing.Tick{}) // what is due by now
	tier := no % len(routing.Tiers())
	begin := r.now
	asked := 0
	found := make([]probes, len(x.queues))
	r.probed = func(queue int, answered bool) {
		asked--
		p := &found[queue]
		if answered {
			p.waits = append(p.waits, float64(r.now-begin)/second)
		} else {
			p.lost++
		}
	}
	for i, q := range x.queues {
		if q.Present > 0 && !q.Removed {
			asked++
			r.probe(i, routing.Tiers()[tier], q.ID)
		}
	}
	end := begin.Add(routing.Duration(o.Horizon / time.Microsecond))
	if err := r.play(ctx, end, func() bool {
		o.Breathe()
		return asked == 0
	}); err != nil {
		return err
	}
	for i := range r.calls {
		if c := &r.calls[i]; c.live && c.probe > 0 {
			p := &found[c.probe-1]
			p.waits = append(p.waits, o.Horizon.Seconds())
		}
	}
	for i := range found { // not before the end: of one that is broken off only the short waits are known
		p := &x.found[i][tier]
		p.waits, p.lost = append(p.waits, found[i].waits...), p.lost+found[i].lost
	}
	return nil
}

func (x *expectation) estimates(horizon time.Duration) (out []routing.Estimated) {
	for i, q := range x.queues {
		ev := routing.Estimated{Queue: q.ID}
		for t, tier := range routing.Tiers() {
			p := &x.found[i][t]
			slices.Sort(p.waits)
			p50 := percentile(p.waits, 0.5)
			if len(p.waits) < fewest || len(p.waits) <= p.lost || p50 >= horizon.Seconds() {
				continue
			}
			ev.Tiers = append(ev.Tiers, routing.TierEstimate{Tier: tier, P50: span(p50), P80: span(percentile(p.waits, 0.8)), Spread: span(spread(p.waits, p50))})
		}
		if len(ev.Tiers) > 0 {
			out = append(out, ev)
		}
	}
	return out
}

// spread is the root of the mean square by which the waits differ from middle: what
// even a perfect forecast is wrong by.
func spread(waits []float64, middle float64) float64 {
	sum := 0.0
	for _, w := range waits {
		sum += (w - middle) * (w - middle)
	}
	return math.Sqrt(sum / float64(len(waits)))
}

// takeOver makes callers of the calls that are there. Calls that are still in the
// IVR are left alone: they count among those to come.
func (r *replication) takeOver(there []party, m *model, rng *rand.Rand) {
	for i := range there {
		v := there[i].call
		b := m.of(v.Queue)
		c := caller{id: v.ID, node: v.Node, class: m.class(v.Queue, v.Tier), gen: 1, live: true, service: b.service.Draw(rng)}
		no := len(r.calls)
		if v.Phase == routing.PhaseTalking {
			talked := float64(r.now.Sub(v.Connected)) / second
			c.talking = true
			r.push(event{at: r.now.Add(span(b.service.After(talked, rng) - talked)), kind: leaves, call: no, gen: c.gen})
		} else {
			waited := float64(r.now.Sub(v.Queued)) / second
			if left := b.patience.After(waited, rng) - waited; !math.IsInf(left, 1) {
				r.push(event{at: r.now.Add(span(left)), kind: gives, call: no, gen: c.gen})
			}
		}
		for _, x := range there[i].rings {
			rung := float64(r.now.Sub(x.Since)) / second
			o := m.offers[rng.IntN(len(m.offers))]
			c.rings = append(c.rings, phone{x.ID, x.Offer, o.Cause})
			r.push(event{at: r.now.Add(span(max(0, o.Took-rung))), kind: answers, call: no, gen: x.Offer})
		}
		r.calls = append(r.calls, c)
		r.byID[v.ID] = no
	}
}

// probe puts a caller of our own at the end of queue number no.
func (r *replication) probe(no int, tier routing.Tier, q routing.QueueID) {
	id := routing.CallID("probe " + string(q))
	i := len(r.calls)
	r.calls = append(r.calls, caller{id: id, node: node, probe: no + 1, gen: 1, live: true})
	r.byID[id] = i
	r.apply(node, routing.CallArrived{Call: id})
	r.apply(node, routing.CallIdentified{Call: id, Tier: tier})
	r.apply(node, routing.CallQueued{Call: id, Queue: q})
}
