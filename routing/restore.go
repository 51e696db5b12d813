package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Restore returns the state that Snapshot or Freeze saw: fed with the entries
// after it, it decides what the original would have decided. A snapshot that is
// not whole, of another version, or of a state that can't be, is an error.
func Restore(data []byte) (*State, error) {
	s, err := restore(data)
	if err != nil {
		return nil, fmt.Errorf("restore routing from a snapshot: %w", err)
	}
	return s, nil
}

// Thaw returns a state of its own that is as the frozen one was; it may be called
// from any goroutine. It uses the memory of over, a state that nobody will look at any
// more; nil for none.
func (f *Frozen) Thaw(over *State) (*State, error) {
	s := emptied(over)
	if f.wire.Policy != nil { // that was accepted once
		s.policy = *f.wire.Policy
		s.readTiers()
	}
	if err := s.thaw(&f.wire); err != nil {
		return nil, fmt.Errorf("thaw routing: %w", err)
	}
	return s, nil
}

// emptied is as New is, with the memory of over.
func emptied(over *State) *State {
	s := New()
	if over == nil {
		return s
	}
	s.spare, s.spareSeats = append(over.spare, over.closed...), append(over.spareSeats, over.seatList...)
	for _, c := range over.calls {
		s.spare = append(s.spare, c)
	}
	clear(over.calls)
	clear(over.seats)
	clear(over.agents)
	s.calls, s.seats, s.agents, s.seatList, s.deadlines = over.calls, over.seats, over.agents, over.seatList[:0], over.deadlines[:0]
	s.people = over.people[:0]
	s.decisions, s.arenas, s.cursors = over.decisions[:0], over.arenas, over.cursors[:0]
	return s
}

func restore(data []byte) (*State, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Version < 1 || head.Version > snapshotVersion {
		return nil, fmt.Errorf("it has version %d, this program reads versions 1 to %d", head.Version, snapshotVersion)
	}
	var w wireState
	if err := strict(data, &w); err != nil {
		return nil, fmt.Errorf("%w; was it written by a newer version?", err)
	}
	if head.Version == 1 {
		if err := w.upgrade(); err != nil {
			return nil, err
		}
	}
	s := New()
	if err := s.thawPolicy(&w); err != nil {
		return nil, err
	}
	if err := s.thaw(&w); err != nil {
		return nil, err
	}
	return s, s.Check()
}

// thaw brings all but the policy, which is there, into an empty state.
func (s *State) thaw(w *wireState) error {
	s.now, s.seq, s.offers, s.places, s.ignored, s.why = w.Now, w.Seq, w.Offers, w.Places, w.Ignored, w.Why
	if w.Now < 0 || w.Now > maxTime {
		return fmt.Errorf("the time %d can't be", w.Now)
	}
	for _, step := range []func(*wireState) error{s.thawQueues, s.thawSeats, s.thawCalls, s.thawLists, s.thawLeavers} {
		if err := step(w); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) thawPolicy(w *wireState) error {
	if w.Policy == nil {
		return nil
	}
	if err := w.Policy.Validate(); err != nil {
		return fmt.Errorf("its policy: %w", err)
	}
	s.policy = w.Policy.clone()
	s.readTiers()
	return nil
}

func (s *State) thawQueues(w *wireState) error {
	var p Policy
	for i := range w.Queues {
		p.Queues = append(p.Queues, w.Queues[i].QueuePolicy)
		for _, e := range w.Queues[i].Estimates {
			if !e.valid() {
				return fmt.Errorf("queue %q has an estimate that can't be", w.Queues[i].ID)
			}
		}
		q := w.Queues[i].thaw()
		s.queues[q.id] = q
		s.queueIDs = append(s.queueIDs, q)
	}
	var wrong error
	p.validateQueues(func(format string, args ...any) { wrong = fmt.Errorf(format, args...) })
	if wrong != nil {
		return wrong
	}
	slices.SortFunc(s.queueIDs, compareQueues)
	for _, q := range s.queueIDs {
		s.setPlan(q)
	}
	for _, p := range s.policy.Queues {
		if q := s.queues[p.ID]; q == nil || q.removed {
			return fmt.Errorf("queue %q of its policy is missing", p.ID)
		}
	}
	return nil
}

func (s *State) thawSeats(w *wireState) error {
	s.people = slices.Grow(s.people[:0], len(w.Agents))[:len(w.Agents)]
	people := s.people
	for i, v := range w.Agents {
		switch v.Status {
		case StatusReady, StatusBreak, StatusLoggedOut:
		default:
			return fmt.Errorf("agent %q has the status %q, which does not exist", v.ID, v.Status)
		}
		people[i] = agent{id: v.ID, status: v.Status, reason: v.Reason, misses: v.Misses}
		if !v.Former {
			if s.agents[v.ID] != nil {
				return fmt.Errorf("agent %q is there twice", v.ID)
			}
			s.agents[v.ID] = &people[i]
		}
	}
	for i := range w.Seats {
		if err := s.thawSeat(&w.Seats[i], people); err != nil {
			return fmt.Errorf("seat %q %w", w.Seats[i].ID, err)
		}
	}
	slices.SortFunc(s.seatList, compareSeats)
	for i, v := range w.Agents {
		x := s.seats[v.Seat]
		switch {
		case x != nil && x.person == &people[i]:
			people[i].seat = x
		case !v.Former || v.Seat != "":
			return fmt.Errorf("agent %q isn't at the seat %q", v.ID, v.Seat)
		default:
			// It is compared with seats that exist only.
			people[i].seat = &seat{person: &people[i], gone: true}
		}
	}
	for i := range s.policy.Seats {
		p := &s.policy.Seats[i]
		if x := s.seats[p.ID]; x == nil || x.gone || s.agents[p.agent()] != x.person {
			return fmt.Errorf("seat %q of its policy is missing", p.ID)
		}
	}
	return nil
}

func (s *State) thawSeat(v *wireSeat, people []agent) error {
	if v.ID == "" || s.seats[v.ID] != nil {
		return errors.New("has no name or is there twice")
	}
	if v.Agent < 0 || v.Agent >= len(people) {
		return errors.New("has an agent who is not there")
	}
	x := s.newSeat()
	*x = seat{
		queues: x.queues[:0],
		id:     v.ID, person: &people[v.Agent], vip: v.VIP, team: v.Team, languages: v.Languages, skills: v.Skills, ranks: v.Ranks, busy: v.Busy, lastOffer: v.LastOffer,
		node: v.Node, registered: v.Registered, gone: v.Gone, resting: v.Resting, ownCall: v.OwnCall, restUntil: v.RestUntil, idleSince: v.IdleSince,
		offer: offer{id: v.OfferID, at: v.OfferAt, ringing: v.OfferRinging, answered: v.OfferAnswered},
		shown: SeatChanged{Seat: v.ID, Agent: v.ShownAgent, State: v.ShownState, Status: v.ShownStatus, Reason: v.ShownReason, Since: v.ShownSince},
	}
	x.weight, x.turns = max(1, v.Weight), v.Turns
	if x.weight > maxWeight || x.turns < 0 || x.turns > math.MaxInt64/maxWeight/2 {
		return fmt.Errorf("has had %d turns with a weight of %d, which can't be", v.Turns, v.Weight)
	}
	for _, id := range v.Queues {
		q := s.queues[id]
		if q == nil || slices.Contains(x.queues, q) {
			return fmt.Errorf("serves queue %q, which is not there, or twice", id)
		}
		x.queues = append(x.queues, q)
	}
	slices.SortFunc(x.queues, compareQueues)
	x.timer = timer{id: string(x.id), pos: -1, seat: x}
	if p := v.Part; p != nil {
		x.wrap = &call{part: true, q: s.queues[p.Queue], seat: x, extended: p.Extended,
			facts: CallView{ID: p.Call, Phase: PhaseWrapUp, Queue: p.Queue, Connected: p.Connected, Ended: p.Ended}}
	}
	if err := s.thawTimer(&x.timer, v.Timer); err != nil {
		return err
	}
	s.seats[x.id] = x
	s.seatList = append(s.seatList, x)
	return nil
}

func (s *State) thawTimer(t *timer, at Time) error {
	if at == 0 {
		return nil
	}
	// Twice: a deadline is never more than a policy's longest span away, but
	// spans add up.
	if at <= s.now || at > s.now.Add(2*maxDuration) {
		return fmt.Errorf("has a deadline at %d, which can't be at %d", at, s.now)
	}
	s.deadlines.set(t, at)
	return nil
}

func (s *State) thawLeavers(w *wireState) error {
	for _, v := range w.Leavers {
		key, n := leaverKey{v.Number, v.Queue}, len(s.leavers.order)
		if _, twice := s.leavers.byKey[key]; twice || n > 0 && v.At < s.leavers.order[n-1].at {
			return errors.New("callers who left are there twice or out of order")
		}
		s.leavers.add(leaver{key, v.At, v.PlaceAt, v.PlaceSeq})
	}
	return nil
}

func (s *State) thawCalls(w *wireState) error {
	for i := range w.Calls {
		v := &w.Calls[i]
		if err := s.thawCall(v); err != nil {
			return fmt.Errorf("call %q %w", v.Facts.ID, err)
		}
	}
	return nil
}

func (s *State) thawCall(v *wireCall) error {
	f := v.Facts
	if f.ID == "" || s.calls[f.ID] != nil {
		return errors.New("has no name or is there twice")
	}
	if f.Tier >= tierCount {
		return errors.New("is of a tier that does not exist")
	}
	c := s.newCall()
	f.Offers, f.Moves, f.Talks = append(c.facts.Offers, f.Offers...), append(c.facts.Moves, f.Moves...), append(c.facts.Talks, f.Talks...)
	*c = call{
		rings: c.rings,
		facts: f, band: f.Tier.Band(), reach: v.reach(), entered: v.Entered, aloneSince: v.AloneSince, placeAt: v.PlaceAt, placeSeq: v.PlaceSeq,
		heldAt: v.HeldAt, held: v.Held, extended: v.Extended,
	}
	c.timer = timer{id: string(f.ID), pos: -1, call: c}
	if err := s.thawTimer(&c.timer, v.Timer); err != nil {
		return err
	}
	if f.Queue != "" && f.Phase != PhaseForwarded {
		c.q = s.queues[f.Queue]
	}
	if c.q == nil && f.Queue != "" && f.Phase == PhaseWrapUp {
		c.q = &queue{id: f.Queue, removed: true} // it went with its last call, this one
	}
	if c.q == nil && f.Phase != PhaseForwarded && (f.Queue != "" || f.Phase != PhaseArrived && f.Phase != PhaseIVR) {
		return fmt.Errorf("is %s in queue %q, which is not there", f.Phase, f.Queue)
	}
	if c.q != nil && f.Phase != PhaseWrapUp && c.reach.beyond(c.q.plan) {
		return errors.New("is in a step that the plan of its queue does not have")
	}
	if err := s.thawSeatsOf(c, v); err != nil {
		return err
	}
	s.calls[f.ID] = c
	return nil
}

// thawSeatsOf gives the call the seats that it rings at, or the one that it talks to or
// keeps in wrap-up.
func (s *State) thawSeatsOf(c *call, v *wireCall) error {
	talks := c.facts.Phase == PhaseTalking || c.facts.Phase == PhaseWrapUp
	if (v.Seat != "") != talks || (len(v.Rings) > 0) != (c.facts.Phase == PhaseOnOffer) {
		return fmt.Errorf("is %s with the seat %q, and rings at %d", c.facts.Phase, v.Seat, len(v.Rings))
	}
	switch c.facts.Phase {
	case PhaseArrived, PhaseIVR, PhaseWaiting, PhaseForwarded:
		return nil
	case PhaseOnOffer:
		c.q.onOffer++
		for _, id := range v.Rings {
			x, err := s.freeSeatOf(c, id)
			if err != nil {
				return err
			}
			if x.offer.id == 0 {
				return fmt.Errorf("rings at seat %q, which has no offer", id)
			}
			x.call = c
			c.rings = append(c.rings, x)
		}
		return nil
	case PhaseTalking, PhaseWrapUp:
		x, err := s.freeSeatOf(c, v.Seat)
		if err != nil {
			return err
		}
		c.seat = x
		if c.facts.Phase == PhaseWrapUp {
			x.wrap = c
			return nil
		}
		x.call = c
		c.q.talking++
		return nil
	}
	return fmt.Errorf("is in the phase %q, which does not exist", c.facts.Phase)
}

func (s *State) freeSeatOf(c *call, id SeatID) (*seat, error) {
	x := s.seats[id]
	if x == nil || x.call != nil || x.wrap != nil {
		return nil, fmt.Errorf("is %s at seat %q, which is not there or has another call", c.facts.Phase, id)
	}
	return x, nil
}

func (v *wireCall) reach() reach {
	return reach{opened: v.Opened, passed: v.Passed, done: v.Done, leave: v.Leave, since: v.Since}
}

// upgrade turns what version 1 says into the words of this one: its calls went
// through the four steps that are now a plan like others.
func (w *wireState) upgrade() error {
	steps := []Step{StepManager, StepTeam, StepQueue, StepRelaxed}
	for i := range w.Calls {
		v := &w.Calls[i]
		if v.Step < 0 || v.Step >= len(steps) {
			return fmt.Errorf("call %q is in step %d, which does not exist", v.Facts.ID, v.Step)
		}
		if v.Facts.Queue != "" {
			v.Facts.Step = steps[v.Step]
			v.Opened = 1<<min(v.Step+1, len(w.planOf(v.Facts.Queue))) - 1
			v.Passed = 1<<min(v.Step, 2) - 1
			v.Done = uint8(v.Passed)
		}
		v.Step = 0
		w.upgradeOffer(v)
	}
	return nil
}

// planOf is the plan of a queue. A call of version 1 could be beyond it: it stayed
// relaxed when a reload took that from its queue.
func (w *wireState) planOf(id QueueID) []PlanStep {
	i := slices.IndexFunc(w.Queues, func(q wireQueue) bool { return q.ID == id })
	if i < 0 || w.Policy == nil {
		return nil
	}
	return w.Policy.plan(&w.Queues[i].QueuePolicy)
}

// upgradeOffer gives the seat of a call on offer the offer and its deadline.
func (w *wireState) upgradeOffer(v *wireCall) {
	if v.Facts.Phase == PhaseOnOffer {
		for i := range w.Seats {
			if x := &w.Seats[i]; x.ID == v.Seat {
				x.OfferID, x.OfferAt, x.OfferRinging, x.OfferAnswered = v.Offer, v.OfferedAt, v.RingingAt, v.Answered
				x.Timer = v.Timer
			}
		}
		v.Rings, v.Seat, v.Timer = []SeatID{v.Seat}, "", 0
	}
	v.Offer, v.OfferedAt, v.RingingAt, v.Answered = 0, 0, 0, false
}

// beyond says that r has steps which the plan doesn't have, or leaves by one that
// doesn't leave.
func (r *reach) beyond(plan []PlanStep) bool {
	return (r.opened|r.passed)>>len(plan) != 0 || r.done >= doneTeam<<1 ||
		r.leave > 0 && (int(r.leave) > len(plan) || plan[r.leave-1].Leave == nil)
}

// thawLists rebuilds what follows from the rest: the idle seats, the teams and
// the lines of waiting calls.
func (s *State) thawLists(w *wireState) error {
	for _, x := range s.seatList {
		x.present = x.registered && !x.gone && x.person.status == StatusReady
		s.count(x)
		s.setAvailable(x, x.present && x.free())
		if x.team != "" && !x.gone {
			s.teams[x.team] = append(s.teams[x.team], x)
		}
	}
	s.recountPresent()
	for i := range w.Calls {
		c := s.calls[w.Calls[i].Facts.ID]
		if c.facts.Phase != PhaseWaiting {
			continue
		}
		s.link(c)
		if c.reach != w.Calls[i].reach() || c.timer.on() != w.Calls[i].Timer {
			return fmt.Errorf("call %q waits in a step that is over", c.facts.ID)
		}
	}
	// Nothing is left to be matched: Snapshot comes after a whole Apply.
	s.freed, s.callsDirty, s.turned, s.overdue, s.decisions = nil, nil, nil, nil, s.decisions[:0]
	return nil
}
