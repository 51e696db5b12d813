package routing

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// snapshotVersion is raised when what is written means something else than
// before; Restore then reads the older versions too. A new field that is zero
// in an old snapshot needs no new version.
const snapshotVersion = 1

// Frozen is everything in a State that influences what comes after, as it was
// at one moment. It doesn't change with the State, so that another goroutine
// can write it.
type Frozen struct{ wire wireState }

// The wire types are the state without what follows from the rest of it. A
// snapshot_test knows every field of the state and says which is which.
type wireState struct {
	Version int    `json:"version"`
	Now     Time   `json:"now"`
	Seq     uint64 `json:"seq"`
	Offers  uint64 `json:"offers"`
	Places  uint64 `json:"places"`
	Ignored uint64 `json:"ignored,omitempty"`
	Why     string `json:"why,omitempty"`
	// Policy is left out before the first one.
	Policy *Policy     `json:"policy,omitempty"`
	Queues []wireQueue `json:"queues,omitempty"` // by id
	Agents []wireAgent `json:"agents,omitempty"` // those of the policy by id, then the former ones
	Seats  []wireSeat  `json:"seats,omitempty"`  // by id
	Calls  []wireCall  `json:"calls,omitempty"`  // by id
	// Leavers are the callers who left lately, by the time of leaving.
	Leavers []wireLeaver `json:"leavers,omitempty"`
}

type wireLeaver struct {
	Number   string  `json:"number"`
	Queue    QueueID `json:"queue"`
	At       Time    `json:"at"`
	PlaceAt  Time    `json:"place_at"`
	PlaceSeq uint64  `json:"place_seq"`
}

type wireQueue struct {
	QueuePolicy             // as it counts for the queue
	Removed     bool        `json:"removed,omitempty"`
	Totals      QueueTotals `json:"totals"`
}

type wireAgent struct {
	ID     AgentID `json:"id"`
	Status Status  `json:"status"`
	Reason string  `json:"reason,omitempty"`
	Misses int     `json:"misses,omitempty"`
	Seat   SeatID  `json:"seat,omitempty"`
	// Former says that the policy no longer holds the agent, whose seat is gone
	// but not free yet. The policy may hold a new agent of the same name.
	Former bool `json:"former,omitempty"`
}

type wireSeat struct {
	ID         SeatID    `json:"id"`
	Agent      int       `json:"agent"` // index in Agents
	VIP        bool      `json:"vip,omitempty"`
	Team       string    `json:"team,omitempty"`
	Queues     []QueueID `json:"queues,omitempty"`
	Languages  []string  `json:"languages,omitempty"`
	Skills     []Skill   `json:"skills,omitempty"`
	Node       string    `json:"node,omitempty"`
	Registered bool      `json:"registered,omitempty"`
	Gone       bool      `json:"gone,omitempty"`
	Resting    bool      `json:"resting,omitempty"`
	RestUntil  Time      `json:"rest_until,omitempty"`
	IdleSince  Time      `json:"idle_since,omitempty"`
	Busy       Duration  `json:"busy,omitempty"`
	LastOffer  uint64    `json:"last_offer,omitempty"`
	Timer      Time      `json:"timer,omitempty"` // zero when off
	ShownState SeatState `json:"shown_state"`
	// ShownAgent and the next ones are what the last SeatChanged said.
	ShownAgent  AgentID `json:"shown_agent"`
	ShownStatus Status  `json:"shown_status"`
	ShownReason string  `json:"shown_reason,omitempty"`
	ShownSince  Time    `json:"shown_since"`
}

type wireCall struct {
	Facts   CallView `json:"facts"`
	Step    int      `json:"step,omitempty"`
	Since   Time     `json:"since,omitempty"`
	Entered Time     `json:"entered,omitempty"`
	// AloneSince is since when nobody is there for the call, where that counts.
	AloneSince Time   `json:"alone_since,omitempty"`
	Seat       SeatID `json:"seat,omitempty"`
	PlaceAt    Time   `json:"place_at,omitempty"`
	PlaceSeq   uint64 `json:"place_seq,omitempty"`
	Offer      uint64 `json:"offer,omitempty"`
	OfferedAt  Time   `json:"offered_at,omitempty"`
	RingingAt  Time   `json:"ringing_at,omitempty"`
	HeldAt     Time   `json:"held_at,omitempty"`
	Held       bool   `json:"held,omitempty"`
	Answered   bool   `json:"answered,omitempty"`
	Timer      Time   `json:"timer,omitempty"` // zero when off
}

// Snapshot returns everything that influences later decisions, as readable,
// versioned JSON. Equal states have equal snapshots.
func (s *State) Snapshot() ([]byte, error) { return s.Freeze().Encode() }

// Encode writes what Restore reads. It may be called from any goroutine.
func (f *Frozen) Encode() ([]byte, error) {
	data, err := json.Marshal(&f.wire)
	if err != nil {
		return nil, fmt.Errorf("write snapshot of routing: %w", err)
	}
	return data, nil
}

// Seq is the number of the last entry that was applied from a journal.
func (f *Frozen) Seq() uint64 { return f.wire.Seq }

// Freeze copies the state, in a time that grows with calls and seats. What the
// state never writes to again (its policy) is shared.
func (s *State) Freeze() *Frozen {
	w := wireState{
		Version: snapshotVersion, Now: s.now, Seq: s.seq, Offers: s.offers, Places: s.places,
		Ignored: s.ignored, Why: s.why,
		Queues: make([]wireQueue, 0, len(s.queueIDs)), Seats: make([]wireSeat, 0, len(s.seatList)),
		Calls: make([]wireCall, 0, len(s.calls)),
	}
	if s.policy.RingTime > 0 { // a policy that was accepted has one
		p := s.policy
		w.Policy = &p
	}
	for _, q := range s.queueIDs {
		w.Queues = append(w.Queues, q.freeze())
	}
	index := s.freezeAgents(&w)
	for _, x := range s.seatList {
		w.Seats = append(w.Seats, x.freeze(index[x.person]))
	}
	for _, id := range s.sortedCalls() {
		w.Calls = append(w.Calls, s.calls[id].freeze())
	}
	for i := range s.leavers.order {
		l := &s.leavers.order[i]
		w.Leavers = append(w.Leavers, wireLeaver{l.number, l.queue, l.at, l.placeAt, l.placeSeq})
	}
	return &Frozen{w}
}

func (s *State) freezeAgents(w *wireState) map[*agent]int {
	index := make(map[*agent]int, len(s.agents))
	w.Agents = make([]wireAgent, 0, len(s.agents))
	var people []*agent
	for _, p := range s.agents {
		people = append(people, p)
	}
	slices.SortFunc(people, func(a, b *agent) int { return cmp.Compare(a.id, b.id) })
	listed := len(people)
	for i, p := range people {
		index[p] = i
	}
	for _, x := range s.seatList {
		if _, ok := index[x.person]; !ok {
			index[x.person] = len(people)
			people = append(people, x.person)
		}
	}
	for i, p := range people {
		a := wireAgent{ID: p.id, Status: p.status, Reason: p.reason, Misses: p.misses, Former: i >= listed}
		if s.seats[p.seat.id] == p.seat {
			a.Seat = p.seat.id
		}
		w.Agents = append(w.Agents, a)
	}
	return index
}

func (q *queue) freeze() wireQueue {
	return wireQueue{
		QueuePolicy: QueuePolicy{ID: q.id, WrapUp: q.wrapUp, Strategy: q.strategy, Skill: q.skill, MinLevel: q.minLevel, RelaxAfter: q.relaxAfter, Limits: q.limits},
		Removed:     q.removed, Totals: q.totals,
	}
}

func (q *wireQueue) thaw() *queue {
	return &queue{
		id: q.ID, wrapUp: q.WrapUp, strategy: q.Strategy, skill: q.Skill, minLevel: q.MinLevel, relaxAfter: q.RelaxAfter, limits: q.Limits,
		removed: q.Removed, totals: q.Totals,
	}
}

func (x *seat) freeze(agent int) wireSeat {
	w := wireSeat{
		ID: x.id, Agent: agent, VIP: x.vip, Team: x.team, Languages: x.languages, Skills: x.skills, Busy: x.busy, LastOffer: x.lastOffer,
		Node: x.node, Registered: x.registered, Gone: x.gone, Resting: x.resting,
		RestUntil: x.restUntil, IdleSince: x.idleSince, Timer: x.timer.on(),
		ShownState: x.shown.State, ShownAgent: x.shown.Agent, ShownStatus: x.shown.Status,
		ShownReason: x.shown.Reason, ShownSince: x.shown.Since,
	}
	for _, q := range x.queues {
		w.Queues = append(w.Queues, q.id)
	}
	return w
}

func (c *call) freeze() wireCall {
	w := wireCall{
		Facts: c.facts.Clone(), Step: c.step, Since: c.since, Entered: c.entered, AloneSince: c.aloneSince, PlaceAt: c.placeAt, PlaceSeq: c.placeSeq,
		Offer: c.offer, OfferedAt: c.offeredAt, RingingAt: c.ringingAt, HeldAt: c.heldAt, Held: c.held,
		Answered: c.answered, Timer: c.timer.on(),
	}
	if c.seat != nil {
		w.Seat = c.seat.id
	}
	return w
}

// on returns when the timer fires, zero when it is off.
func (t *timer) on() Time {
	if t.pos < 0 {
		return 0
	}
	return t.at
}

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

func restore(data []byte) (*State, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Version != snapshotVersion {
		return nil, fmt.Errorf("it has version %d, this program reads version %d", head.Version, snapshotVersion)
	}
	var w wireState
	if err := strict(data, &w); err != nil {
		return nil, fmt.Errorf("%w; was it written by a newer version?", err)
	}
	s := New()
	s.now, s.seq, s.offers, s.places, s.ignored, s.why = w.Now, w.Seq, w.Offers, w.Places, w.Ignored, w.Why
	if w.Now < 0 || w.Now > maxTime {
		return nil, fmt.Errorf("the time %d can't be", w.Now)
	}
	for _, step := range []func(*wireState) error{s.thawPolicy, s.thawQueues, s.thawSeats, s.thawCalls, s.thawLists, s.thawLeavers} {
		if err := step(&w); err != nil {
			return nil, err
		}
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *State) thawPolicy(w *wireState) error {
	if w.Policy == nil {
		return nil
	}
	if err := w.Policy.Validate(); err != nil {
		return fmt.Errorf("its policy: %w", err)
	}
	s.policy = w.Policy.clone()
	for _, t := range Tiers() {
		s.targets[t] = s.policy.target(t)
	}
	return nil
}

func (s *State) thawQueues(w *wireState) error {
	var p Policy
	for i := range w.Queues {
		p.Queues = append(p.Queues, w.Queues[i].QueuePolicy)
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
	for _, p := range s.policy.Queues {
		if q := s.queues[p.ID]; q == nil || q.removed {
			return fmt.Errorf("queue %q of its policy is missing", p.ID)
		}
	}
	return nil
}

func (s *State) thawSeats(w *wireState) error {
	people := make([]*agent, len(w.Agents))
	for i, v := range w.Agents {
		switch v.Status {
		case StatusReady, StatusBreak, StatusLoggedOut:
		default:
			return fmt.Errorf("agent %q has the status %q, which does not exist", v.ID, v.Status)
		}
		people[i] = &agent{id: v.ID, status: v.Status, reason: v.Reason, misses: v.Misses}
		if !v.Former {
			if s.agents[v.ID] != nil {
				return fmt.Errorf("agent %q is there twice", v.ID)
			}
			s.agents[v.ID] = people[i]
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
		case x != nil && x.person == people[i]:
			people[i].seat = x
		case !v.Former || v.Seat != "":
			return fmt.Errorf("agent %q isn't at the seat %q", v.ID, v.Seat)
		default:
			// It is compared with seats that exist only.
			people[i].seat = &seat{person: people[i], gone: true}
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

func (s *State) thawSeat(v *wireSeat, people []*agent) error {
	if v.ID == "" || s.seats[v.ID] != nil {
		return errors.New("has no name or is there twice")
	}
	if v.Agent < 0 || v.Agent >= len(people) {
		return errors.New("has an agent who is not there")
	}
	x := &seat{
		id: v.ID, person: people[v.Agent], vip: v.VIP, team: v.Team, languages: v.Languages, skills: v.Skills, busy: v.Busy, lastOffer: v.LastOffer,
		node: v.Node, registered: v.Registered, gone: v.Gone, resting: v.Resting, restUntil: v.RestUntil, idleSince: v.IdleSince,
		shown: SeatChanged{Seat: v.ID, Agent: v.ShownAgent, State: v.ShownState, Status: v.ShownStatus, Reason: v.ShownReason, Since: v.ShownSince},
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
	if v.Step < 0 || v.Step >= len(steps) || f.Tier >= tierCount {
		return errors.New("is in a step or of a tier that does not exist")
	}
	c := &call{
		facts: f, band: f.Tier.Band(), step: v.Step, since: v.Since, entered: v.Entered, aloneSince: v.AloneSince, placeAt: v.PlaceAt, placeSeq: v.PlaceSeq,
		offer: v.Offer, offeredAt: v.OfferedAt, ringingAt: v.RingingAt, heldAt: v.HeldAt, held: v.Held, answered: v.Answered,
	}
	c.timer = timer{id: string(f.ID), pos: -1, call: c}
	if err := s.thawTimer(&c.timer, v.Timer); err != nil {
		return err
	}
	if f.Queue != "" {
		c.q = s.queues[f.Queue]
	}
	if c.q == nil && f.Queue != "" && f.Phase == PhaseWrapUp {
		c.q = &queue{id: f.Queue, removed: true} // it went with its last call, this one
	}
	if c.q == nil && (f.Queue != "" || f.Phase != PhaseArrived && f.Phase != PhaseIVR) {
		return fmt.Errorf("is %s in queue %q, which is not there", f.Phase, f.Queue)
	}
	switch f.Phase {
	case PhaseArrived, PhaseIVR, PhaseWaiting:
		if v.Seat != "" {
			return fmt.Errorf("is %s and has a seat", f.Phase)
		}
	case PhaseOnOffer, PhaseTalking, PhaseWrapUp:
		if err := s.thawReservation(c, v.Seat); err != nil {
			return err
		}
	default:
		return fmt.Errorf("is in the phase %q, which does not exist", f.Phase)
	}
	s.calls[f.ID] = c
	return nil
}

// thawReservation gives the call the seat that it is on offer to, talks to, or
// keeps in wrap-up.
func (s *State) thawReservation(c *call, id SeatID) error {
	x := s.seats[id]
	if x == nil || x.call != nil || x.wrap != nil {
		return fmt.Errorf("is %s at seat %q, which is not there or has another call", c.facts.Phase, id)
	}
	c.seat = x
	switch c.facts.Phase {
	case PhaseWrapUp:
		x.wrap = c
		return nil
	case PhaseTalking:
		c.q.talking++
	default:
		c.q.onOffer++
	}
	x.call = c
	return nil
}

// thawLists rebuilds what follows from the rest: the idle seats, the teams and
// the lines of waiting calls.
func (s *State) thawLists(w *wireState) error {
	for _, x := range s.seatList {
		x.present = x.registered && !x.gone && x.person.status == StatusReady
		s.count(x)
		s.setAvailable(x, x.present && x.call == nil && x.wrap == nil && !x.resting)
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
		if c.step != w.Calls[i].Step || c.since != w.Calls[i].Since || c.timer.on() != w.Calls[i].Timer {
			return fmt.Errorf("call %q waits in a step that is over", c.facts.ID)
		}
	}
	// Nothing is left to be matched: Snapshot comes after a whole Apply.
	s.freed, s.callsDirty, s.turned, s.overdue, s.decisions = nil, nil, nil, nil, nil
	return nil
}
