package routing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// snapshotVersion is raised when what is written means something else than
// before; Restore then reads the older versions too. A new field that is zero
// in an old snapshot needs no new version.
const snapshotVersion = 2

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
	QueuePolicy                // as it counts for the queue
	Removed     bool           `json:"removed,omitempty"`
	Totals      QueueTotals    `json:"totals"`
	Estimates   []TierEstimate `json:"estimates,omitempty"`
	EstimatedAt Time           `json:"estimated_at,omitempty"`
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
	OwnCall    bool      `json:"own_call,omitempty"`
	RestUntil  Time      `json:"rest_until,omitempty"`
	IdleSince  Time      `json:"idle_since,omitempty"`
	Busy       Duration  `json:"busy,omitempty"`
	LastOffer  uint64    `json:"last_offer,omitempty"`
	Weight     int64     `json:"weight,omitempty"` // 0 is 1
	Turns      int64     `json:"turns,omitempty"`
	Timer      Time      `json:"timer,omitempty"` // zero when off
	// Part is what it wraps up of a call that went on.
	Part *wirePart `json:"part,omitempty"`
	// Offer is open while OfferID isn't zero.
	OfferID       uint64    `json:"offer_id,omitempty"`
	OfferAt       Time      `json:"offer_at,omitempty"`
	OfferRinging  Time      `json:"offer_ringing,omitempty"`
	OfferAnswered bool      `json:"offer_answered,omitempty"`
	ShownState    SeatState `json:"shown_state"`
	// ShownAgent and the next ones are what the last SeatChanged said.
	ShownAgent  AgentID `json:"shown_agent"`
	ShownStatus Status  `json:"shown_status"`
	ShownReason string  `json:"shown_reason,omitempty"`
	ShownSince  Time    `json:"shown_since"`
	// Ranks are those in its queues that have one.
	Ranks []QueueRank `json:"ranks,omitempty"`
}

type wirePart struct {
	Call      CallID  `json:"call"`
	Queue     QueueID `json:"queue"`
	Connected Time    `json:"connected"`
	Ended     Time    `json:"ended"`
	Extended  int     `json:"extended,omitempty"`
}

type wireCall struct {
	Facts CallView `json:"facts"`
	// Step is in version 1 only: how many of the steps manager, team, queue, relaxed
	// were behind the call.
	Step    int    `json:"step,omitempty"`
	Opened  uint16 `json:"opened,omitempty"` // bits are steps of the queue's plan
	Passed  uint16 `json:"passed,omitempty"`
	Done    uint8  `json:"done,omitempty"`
	Leave   uint8  `json:"leave,omitempty"`
	Since   Time   `json:"since,omitempty"`
	Entered Time   `json:"entered,omitempty"`
	// AloneSince is since when nobody is there for the call, where that counts.
	AloneSince Time     `json:"alone_since,omitempty"`
	Seat       SeatID   `json:"seat,omitempty"`  // talking or in wrap-up
	Rings      []SeatID `json:"rings,omitempty"` // on offer to, in the order of the offers
	PlaceAt    Time     `json:"place_at,omitempty"`
	PlaceSeq   uint64   `json:"place_seq,omitempty"`
	HeldAt     Time     `json:"held_at,omitempty"`
	Held       bool     `json:"held,omitempty"`
	Extended   int      `json:"extended,omitempty"`
	Timer      Time     `json:"timer,omitempty"` // zero when off
	// The offer stood with the call, and in Seat, in version 1.
	Offer     uint64 `json:"offer,omitempty"`
	OfferedAt Time   `json:"offered_at,omitempty"`
	RingingAt Time   `json:"ringing_at,omitempty"`
	Answered  bool   `json:"answered,omitempty"`
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
		QueuePolicy: QueuePolicy{ID: q.id, WrapUp: q.wrapUp, Extension: q.extend, Strategy: q.strategy, RingGroup: q.group, Skill: q.skill, MinLevel: q.minLevel, RelaxAfter: q.relaxAfter, Plan: q.own, Limits: q.limits},
		Removed:     q.removed, Totals: q.totals, Estimates: q.wireEstimates(), EstimatedAt: q.estimatedAt,
	}
}

func (q *queue) wireEstimates() (out []TierEstimate) {
	for _, t := range Tiers() {
		if e := q.estimates[t]; e != nil {
			out = append(out, *e)
		}
	}
	return out
}

func (w *wireQueue) thaw() *queue {
	q := newQueue(w.ID)
	q.wrapUp, q.extend, q.strategy, q.group, q.skill, q.minLevel = w.WrapUp, w.Extension, w.Strategy, w.RingGroup, w.Skill, w.MinLevel
	q.relaxAfter, q.own, q.limits = w.RelaxAfter, w.Plan, w.Limits
	q.removed, q.totals = w.Removed, w.Totals
	q.setEstimates(w.Estimates, w.EstimatedAt)
	return q
}

func (x *seat) freeze(agent int) wireSeat {
	w := wireSeat{
		ID: x.id, Agent: agent, VIP: x.vip, Team: x.team, Languages: x.languages, Skills: x.skills, Ranks: x.ranks, Busy: x.busy, LastOffer: x.lastOffer, Weight: x.weight, Turns: x.turns,
		Node: x.node, Registered: x.registered, Gone: x.gone, Resting: x.resting, OwnCall: x.ownCall,
		RestUntil: x.restUntil, IdleSince: x.idleSince, Timer: x.timer.on(),
		OfferID: x.offer.id, OfferAt: x.offer.at, OfferRinging: x.offer.ringing, OfferAnswered: x.offer.answered,
		ShownState: x.shown.State, ShownAgent: x.shown.Agent, ShownStatus: x.shown.Status,
		ShownReason: x.shown.Reason, ShownSince: x.shown.Since,
	}
	for _, q := range x.queues {
		w.Queues = append(w.Queues, q.id)
	}
	if p := x.wrap; p != nil && p.part {
		w.Part = &wirePart{p.facts.ID, p.facts.Queue, p.facts.Connected, p.facts.Ended, p.extended}
	}
	return w
}

func (c *call) freeze() wireCall {
	w := wireCall{
		Facts: c.facts.Clone(), Opened: c.reach.opened, Passed: c.reach.passed, Done: c.reach.done, Leave: c.reach.leave, Since: c.reach.since, Entered: c.entered, AloneSince: c.aloneSince, PlaceAt: c.placeAt, PlaceSeq: c.placeSeq,
		HeldAt: c.heldAt, Held: c.held, Extended: c.extended, Timer: c.timer.on(),
	}
	for _, x := range c.rings {
		w.Rings = append(w.Rings, x.id)
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
