package routing

import (
	"maps"
	"slices"
)

// hasher is FNV-1a over values written one after the other, each with a fixed
// width or its length, so that no two states write the same bytes.
type hasher uint64

const (
	fnvOffset hasher = 14695981039346656037
	fnvPrime  hasher = 1099511628211
)

func (h *hasher) num(n uint64) {
	for range 8 {
		*h = (*h ^ hasher(n&0xff)) * fnvPrime
		n >>= 8
	}
}

func (h *hasher) text(s string) {
	h.num(uint64(len(s)))
	for i := range len(s) {
		*h = (*h ^ hasher(s[i])) * fnvPrime
	}
}

func (h *hasher) time(t ...Time) {
	for _, t := range t {
		h.num(uint64(t))
	}
}

func (h *hasher) flags(f ...bool) {
	var n uint64
	for _, f := range f {
		n <<= 1
		if f {
			n |= 1
		}
	}
	h.num(n)
}

// Hash returns a digest of everything that can influence a later decision or
// record. Nodes that applied the same entries have the same hash; what was
// ignored doesn't count. It costs a walk over all calls and seats.
func (s *State) Hash() uint64 {
	start := fnvOffset
	h := &start
	h.time(s.now)
	h.num(s.seq)
	h.num(s.offers)
	h.num(s.places)
	h.policy(&s.policy)
	for _, q := range s.queueIDs {
		h.text(string(q.id))
		h.flags(q.removed)
		h.text(q.strategy)
		h.num(uint64(q.group))
		h.text(q.skill)
		h.num(uint64(q.minLevel))
		h.time(Time(q.wrapUp), Time(q.relaxAfter), Time(q.extend.WrapUpExtension))
		h.num(uint64(q.extend.MaxExtensions))
		h.limits(&q.limits)
		h.plan(q.own)
		h.time(q.estimatedAt)
		for _, e := range q.estimates {
			h.estimate(e)
		}
		t := &q.totals
		for _, n := range []uint64{t.Entered, t.Answered, t.Abandoned, t.MovedOn, t.Shed, t.Cut, t.Failed} {
			h.num(n)
		}
	}
	for _, x := range s.seatList {
		h.seat(x)
	}
	h.num(uint64(len(s.leavers.order)))
	for i := range s.leavers.order {
		l := &s.leavers.order[i]
		h.text(l.number)
		h.text(string(l.queue))
		h.time(l.at, l.placeAt)
		h.num(l.placeSeq)
	}
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		h.call(s.calls[id])
	}
	return uint64(*h)
}

func (h *hasher) policy(p *Policy) {
	h.text(p.Order)
	h.text(p.Strategy)
	h.num(uint64(p.KeepIdle))
	h.num(uint64(p.MaxMisses))
	h.num(uint64(p.UTCOffset))
	for _, d := range []Duration{p.ManagerTime, p.TeamTime, p.RingTime, p.RejectDelay, p.BusyDelay,
		p.NoAnswerDelay, p.UnreachableDelay, p.OfferLease, p.ResumeWithin} {
		h.num(uint64(d))
	}
	for _, t := range p.Tiers {
		h.num(uint64(t.Tier))
		h.num(uint64(t.TargetMS))
		h.time(Time(t.MaxWait))
	}
}

func (h *hasher) limits(l *Limits) {
	h.num(uint64(l.MaxWaiting))
	h.time(Time(l.MaxWait), Time(l.LeaveEmpty))
	h.flags(l.RefuseEmpty)
	for _, e := range l.exits() {
		h.text(string(e.Queue))
		h.text(e.Prompt)
	}
}

func (h *hasher) estimate(e *TierEstimate) {
	h.flags(e != nil)
	if e != nil {
		h.num(uint64(e.Tier))
		h.time(Time(e.P50), Time(e.P80), Time(e.Spread))
	}
}

func (h *hasher) plan(plan []PlanStep) {
	h.num(uint64(len(plan)))
	for i := range plan {
		st := &plan[i]
		h.text(string(st.Ring))
		h.text(string(st.Of))
		h.time(Time(st.For), Time(st.After), Time(st.When.ExpectedWait))
		h.flags(st.Leave != nil)
		if st.Leave != nil {
			h.text(string(st.Leave.Queue))
			h.text(st.Leave.Prompt)
		}
		h.num(uint64(st.When.Waiting))
		h.num(uint64(st.When.WaitingPerSeat))
		h.num(uint64(len(st.When.Tiers)))
		for _, t := range st.When.Tiers {
			h.num(uint64(t))
		}
		h.num(uint64(len(st.When.Hours)))
		for _, w := range st.When.Hours {
			h.num(uint64(w.From))
			h.num(uint64(w.To))
		}
	}
}

func (h *hasher) seat(x *seat) {
	for _, t := range []string{string(x.id), string(x.person.id), string(x.person.status), x.person.reason, x.team, x.node} {
		h.text(t)
	}
	h.flags(x.vip, x.registered, x.gone, x.resting, x.present, x.available, x.call != nil, x.wrap != nil)
	h.num(uint64(x.person.misses))
	h.num(x.lastOffer)
	h.num(x.offer.id)
	h.time(x.offer.at, x.offer.ringing)
	h.flags(x.offer.answered)
	h.num(uint64(x.weight))
	h.num(uint64(x.turns))
	h.num(uint64(x.busy))
	if x.wrap != nil && x.wrap.part {
		h.text(string(x.wrap.facts.ID))
		h.text(string(x.wrap.facts.Queue))
		h.time(x.wrap.facts.Connected, x.wrap.facts.Ended)
		h.num(uint64(x.wrap.extended))
	}
	h.time(x.idleSince, x.shown.Since)
	if x.timer.pos >= 0 {
		h.time(x.timer.at)
	}
	h.num(uint64(len(x.queues)))
	for _, q := range x.queues {
		h.text(string(q.id))
	}
	h.num(uint64(len(x.languages)))
	for _, l := range x.languages {
		h.text(l)
	}
	h.num(uint64(len(x.skills)))
	for _, k := range x.skills {
		h.text(k.Name)
		h.num(uint64(k.Level))
	}
	h.num(uint64(len(x.ranks)))
	for _, r := range x.ranks {
		h.text(string(r.Queue))
		h.num(uint64(r.Rank))
	}
}

func (h *hasher) call(c *call) {
	f := &c.facts
	for _, t := range []string{string(f.ID), f.Node, string(f.Phase), f.Number, f.DID, f.Trunk, f.Attestation, string(f.Customer),
		string(f.Manager), f.Team, f.Language, f.Source, string(f.Queue), string(f.Seat), string(f.Agent),
		string(f.Outcome), f.Cause} {
		h.text(t)
	}
	h.time(f.Arrived, f.Answered, f.Identified, f.Queued, f.Place, f.Connected, f.Ended,
		c.placeAt, c.reach.since, c.entered, c.aloneSince, c.heldAt)
	h.flags(c.held, c.seat != nil, c.timer.pos >= 0)
	for _, n := range []uint64{uint64(f.Tier), uint64(c.reach.opened), uint64(c.reach.passed), uint64(c.reach.done), uint64(c.reach.leave), c.placeSeq, uint64(f.Rings), uint64(c.extended),
		uint64(f.QueueWait), uint64(f.Talk), uint64(f.Hold)} {
		h.num(n)
	}
	h.estimate(f.Expected)
	if c.timer.pos >= 0 {
		h.time(c.timer.at)
	}
	if c.seat != nil {
		h.text(string(c.seat.id))
	}
	h.num(uint64(len(c.rings)))
	for _, x := range c.rings {
		h.text(string(x.id))
	}
	h.num(uint64(len(f.Diversions)))
	for _, d := range f.Diversions {
		h.text(d.Number)
		h.text(d.Reason)
	}
	h.num(uint64(len(f.Moves)))
	for _, m := range f.Moves {
		h.text(string(m.From))
		h.text(m.Cause)
		h.time(m.At)
	}
	h.num(uint64(len(f.Talks)))
	for i := range f.Talks {
		t := &f.Talks[i]
		h.text(string(t.Queue))
		h.text(string(t.Seat))
		h.text(string(t.Agent))
		h.time(t.Queued, t.Connected, t.Ended, Time(t.QueueWait), Time(t.Talk), Time(t.Hold), Time(t.WrapUp))
	}
	h.num(uint64(len(f.Offers)))
	for i := range f.Offers {
		o := &f.Offers[i]
		h.num(o.Offer)
		h.time(o.At, Time(o.Took), Time(o.Ring))
		h.text(string(o.Seat))
		h.text(string(o.Agent))
		h.text(o.Outcome)
	}
}
