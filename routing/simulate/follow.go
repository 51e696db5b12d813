package simulate

import (
	"slices"

	"hotline/routing"
)

// deed is what a replication does about one decision, which itself is gone with
// the next Apply.
type deed struct {
	what    deedKind
	call    routing.CallID
	seat    routing.SeatID
	offer   uint64
	wait    float64 // s
	outcome routing.Outcome
}

type deedKind uint8

const (
	ring deedKind = iota
	unring
	talk
	leave
)

// apply feeds one event of a node and follows what was decided, which may lead to
// further events at the same instant.
func (r *replication) apply(node string, ev routing.Event) {
	first := len(r.queue) == 0
	for _, d := range r.state.Apply(routing.Entry{At: r.now, Node: node, Event: ev}) {
		r.decided(d)
		if r.watch != nil {
			r.watch(d)
		}
	}
	if !first {
		return // the outer call follows them
	}
	for i := 0; i < len(r.queue); i++ {
		r.follow(r.queue[i])
	}
	r.queue = r.queue[:0]
}

// decided notes what is to be done about a decision.
func (r *replication) decided(d routing.Decision) {
	switch d := d.(type) {
	case *routing.Offer:
		r.queue = append(r.queue, deed{what: ring, call: d.Call, seat: d.Seat, offer: d.Offer})
	case *routing.Withdraw:
		r.queue = append(r.queue, deed{what: unring, call: d.Call, offer: d.Offer})
	case *routing.Connected:
		r.queue = append(r.queue, deed{what: talk, call: d.Call.ID, wait: float64(d.Call.QueueWait) / second})
	case *routing.Ended:
		r.queue = append(r.queue, deed{what: leave, call: d.Call.ID, seat: d.Call.Seat, wait: float64(d.Call.QueueWait) / second, outcome: d.Call.Outcome})
	case *routing.Overflow:
		if i, known := r.byID[d.Call]; known && r.calls[i].line != nil {
			c := &r.calls[i]
			*c.line--
			c.line = &r.moved
			*c.line++
		}
	case *routing.SeatChanged:
		busy := d.State != routing.SeatIdle && d.State != routing.SeatOffline && d.State != routing.SeatGone
		if busy != r.busy[d.Seat] {
			r.busy[d.Seat] = busy
			if busy {
				r.area.busy++
			} else {
				r.area.busy--
			}
		}
	}
}

// follow plays the part of the server, the agents and the records.
func (r *replication) follow(d deed) {
	i, known := r.byID[d.call]
	if !known {
		return
	}
	c := &r.calls[i]
	switch d.what {
	case ring:
		r.rung(i, d)
	case unring:
		c.unring(d.offer)
	case talk:
		c.talking, c.rings = true, c.rings[:0]
		r.leaveLine(c)
		if c.counted {
			r.out.classes[c.class].answered(d.wait)
			r.out.outcome(c.file, Outcome{Answered: true, Wait: d.wait})
		}
		r.push(event{at: r.now.Add(span(c.service)), kind: leaves, call: i, gen: c.gen})
	case leave:
		r.ended(i, d)
	}
}

// rung lets the agent answer or not, now or after some ringing.
func (r *replication) rung(i int, d deed) {
	c := &r.calls[i]
	if c.taken || !c.live {
		return // another of the ring group was faster, at this very instant
	}
	p := phone{seat: d.seat, offer: d.offer}
	var after float64
	switch {
	case c.probe > 0: // it has its answer
		r.probed(c.probe-1, true)
		c.live = false
		r.apply(c.node, routing.CallEnded{Call: c.id, Cause: routing.CauseCallerHungUp})
		return
	case c.offers < len(r.recorded(c)):
		o := r.recorded(c)[c.offers]
		after, p.fails = o.Took, o.Cause
		c.offers++
	case len(r.sc.Offers) > 0:
		o := r.sc.Offers[r.ring.IntN(len(r.sc.Offers))]
		after, p.fails = o.Took, o.Cause
	case r.sc.Ring == nil:
		r.answer(c, p)
		return
	default:
		after = r.sc.Ring.Draw(r.ring)
	}
	c.rings = append(c.rings, p)
	r.push(event{at: r.now.Add(span(after)), kind: answers, call: i, gen: d.offer})
}

// ringing is the index in c.rings of an offer, -1 when it is over.
func (c *caller) ringing(offer uint64) int {
	return slices.IndexFunc(c.rings, func(p phone) bool { return p.offer == offer })
}

func (c *caller) unring(offer uint64) {
	if i := c.ringing(offer); i >= 0 {
		c.rings = slices.Delete(c.rings, i, i+1)
	}
}

// recorded is how the offers of c went, if it is from a file.
func (r *replication) recorded(c *caller) []Ringing {
	if len(r.sc.Calls) == 0 {
		return nil
	}
	return r.sc.Calls[c.file].Offers
}

// answer ends the ringing of a phone for c.
func (r *replication) answer(c *caller, p phone) {
	c.unring(p.offer)
	if p.fails != "" {
		r.apply(c.node, routing.OfferFailed{Call: c.id, Seat: p.seat, Offer: p.offer, Cause: p.fails})
		return
	}
	c.taken = true
	r.apply(c.node, routing.TalkStarted{Call: c.id, Seat: p.seat, Offer: p.offer})
}

// leaveLine counts a caller who doesn't wait any more.
func (r *replication) leaveLine(c *caller) {
	r.area.wait--
	if c.line != nil {
		*c.line--
	}
}

func (r *replication) ended(i int, d deed) {
	c := &r.calls[i]
	if c.probe > 0 {
		if c.live {
			r.probed(c.probe-1, false)
		}
		c.live = false
		delete(r.byID, d.call)
		return
	}
	if c.talking && len(r.wrapUps) > 0 {
		r.push(event{at: r.now.Add(span(r.wrapUps[c.class].Draw(r.wrapRNG))), kind: wraps, call: r.seatNo[d.seat]})
	}
	if !c.talking {
		r.leaveLine(c)
		if c.counted {
			t := &r.out.classes[c.class]
			if d.outcome == routing.OutcomeAbandoned {
				t.abandoned(d.wait)
			} else {
				t.shed++
			}
			r.out.outcome(c.file, Outcome{Wait: d.wait})
		}
		if d.outcome == routing.OutcomeAbandoned { // one who was turned away knows why
			r.redial(c.class)
		}
	}
	c.live = false
	delete(r.byID, d.call)
	r.free = append(r.free, i)
}
