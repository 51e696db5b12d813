package routing

import (
	"maps"
	"slices"
)

// CallView is everything known about a call. Times that haven't come are zero.
type CallView struct {
	ID     CallID `json:"id"`
	Node   string `json:"node"` // the owner
	Phase  Phase  `json:"phase"`
	Number string `json:"number,omitempty"`
	DID    string `json:"did,omitempty"`
	Trunk  string `json:"trunk,omitempty"`
	// Attestation is what the network says of Number (RFC 8588): "A", "B", "C", "none"
	// without a signature, "invalid" with a wrong one; empty when nobody looked.
	Attestation string `json:"attestation,omitempty"`
	// Diversions say whom the call was meant for before, the latest first. They are
	// never changed.
	Diversions []Diversion `json:"diversions,omitempty"`

	Customer CustomerID `json:"customer,omitempty"`
	Tier     Tier       `json:"tier"`
	Manager  AgentID    `json:"manager,omitempty"`
	Team     string     `json:"team,omitempty"`
	Language string     `json:"language,omitempty"`
	Source   string     `json:"source,omitempty"`

	// Queue is where the call waits, or waited last; Moves are its ways out of
	// the queues before, since the last of Talks.
	Queue QueueID `json:"queue,omitempty"`
	Moves []Move  `json:"moves,omitempty"`
	Step  Step    `json:"step,omitempty"` // since queued
	// Seat and Agent are those who talk or talked; before that, see Offers, and
	// SeatView.Call for the open offer.
	Seat  SeatID  `json:"seat,omitempty"`
	Agent AgentID `json:"agent,omitempty"`

	Arrived    Time `json:"arrived"`
	Answered   Time `json:"answered,omitempty"` // leg A, by the IVR
	Identified Time `json:"identified,omitempty"`
	Queued     Time `json:"queued,omitempty"`
	// Place is the call's place in the line when that is older than Queued: the
	// caller's last call left it.
	Place Time `json:"place,omitempty"`
	// Expected is what was estimated when the call came into its first queue, nil when
	// nothing was. It is never changed.
	Expected  *TierEstimate `json:"expected,omitempty"`
	Connected Time          `json:"connected,omitempty"` // caller and agent bridged
	Ended     Time          `json:"ended,omitempty"`
	// Forwarded is when the agent left a call that went on without a seat, and
	// ForwardedTo where it went: "trunk NAME", "flow NAME", or "outside" and "agent
	// NAME" when the agent didn't wait for the answer there.
	Forwarded   Time   `json:"forwarded,omitempty"`
	ForwardedTo string `json:"forwarded_to,omitempty"`

	// QueueWait is from Queued to Connected, or to the end without a talk; in a
	// snapshot of a call that still waits it is the wait so far.
	QueueWait Duration `json:"queue_wait"`
	// Rings counts the offers, Offers holds those that are over.
	Rings  int         `json:"rings"`
	Offers []OfferView `json:"offers,omitempty"`
	// Talks are the talks before, which ended by a transfer; what is told of a talk
	// elsewhere is of the last one, and Queued and QueueWait are of the last wait.
	Talks []TalkView `json:"talks,omitempty"`
	// Talk is without Hold. Both are known when the call ended or was forwarded, WrapUp when closed.
	Talk    Duration `json:"talk"`
	Hold    Duration `json:"hold"`
	WrapUp  Duration `json:"wrap_up"`
	Outcome Outcome  `json:"outcome,omitempty"`
	Cause   string   `json:"cause,omitempty"`
}

// OfferView is an offer that is over.
type OfferView struct {
	Offer   uint64   `json:"offer"`
	Seat    SeatID   `json:"seat"`
	Agent   AgentID  `json:"agent"`
	At      Time     `json:"at"`
	Took    Duration `json:"took"` // from the offer to its outcome
	Ring    Duration `json:"ring"` // of that, ringing
	Outcome string   `json:"outcome"`
}

// SeatView is a snapshot of a seat.
type SeatView struct {
	ID        SeatID    `json:"id"`
	Agent     AgentID   `json:"agent"`
	VIP       bool      `json:"vip"`
	Team      string    `json:"team,omitempty"`
	Queues    []QueueID `json:"queues,omitempty"`
	Languages []string  `json:"languages,omitempty"`
	Skills    []Skill   `json:"skills,omitempty"`
	State     SeatState `json:"state"`
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	Since     Time      `json:"since"`          // of state, status and reason
	Node      string    `json:"node,omitempty"` // through which it is registered
	// Available says that the seat could be rung now.
	Available bool `json:"available"`
	// OwnCall says that its phone is in a call that isn't routing's.
	OwnCall   bool `json:"own_call,omitempty"`
	IdleSince Time `json:"idle_since,omitempty"` // the longest idle is rung first
	RestUntil Time `json:"rest_until,omitempty"` // zero when not resting
	Misses    int  `json:"misses"`               // offers left unanswered in a row
	// Busy is the time in calls and wrap-ups since the seat registered.
	Busy Duration `json:"busy"`
	// Turns are its offers since it came, beginning with what the others had had; they
	// count for its Weight where the strategy is "weighted".
	Turns  int64 `json:"turns"`
	Weight int64 `json:"weight"`
	// Call is on offer, talking or in wrap-up here; Offer is its open offer.
	Call  CallID `json:"call,omitempty"`
	Offer uint64 `json:"offer,omitempty"`
	// Ranks are those in its queues that have one; see QueueRank.
	Ranks []QueueRank `json:"ranks,omitempty"`
}

// TierCount is a number by tier.
type TierCount struct {
	Tier  Tier `json:"tier"`
	Count int  `json:"count"`
}

// QueueView is a snapshot of a queue.
type QueueView struct {
	ID QueueID `json:"id"`
	// Waiting has all tiers from A1 to C. Calls on offer aren't in it.
	Waiting      []TierCount `json:"waiting"`
	OnOffer      int         `json:"on_offer"`
	Talking      int         `json:"talking"`
	LongestWait  Duration    `json:"longest_wait"` // of those waiting or on offer
	IdleVIP      int         `json:"idle_vip"`
	IdleOrdinary int         `json:"idle_ordinary"`
	Present      int         `json:"present"` // seats that are there for it, busy ones included
	Totals       QueueTotals `json:"totals"`
	// Expected is the estimate that is believed now, of the tiers that have one.
	Expected []TierEstimate `json:"expected,omitempty"`
	// Removed says that the policy no longer holds the queue; it goes with its
	// last call.
	Removed bool `json:"removed,omitempty"`
}

// QueueTotals counts each entry into a queue once, and once how it left:
// entered = answered + abandoned + moved on + shed + cut + failed + waiting + on
// offer + talking. A call that isn't let in has entered and left.
type QueueTotals struct {
	Entered   uint64 `json:"entered"`
	Answered  uint64 `json:"answered"`
	Abandoned uint64 `json:"abandoned"`
	MovedOn   uint64 `json:"moved_on"` // into another queue
	Shed      uint64 `json:"shed"`     // hung up by a limit of the queue
	Cut       uint64 `json:"cut"`
	Failed    uint64 `json:"failed"`
}

func (t *QueueTotals) exits() uint64 {
	return t.Answered + t.Abandoned + t.MovedOn + t.Shed + t.Cut + t.Failed
}

func (t *QueueTotals) left(o Outcome) {
	switch o {
	case OutcomeAnswered:
		t.Answered++
	case OutcomeAbandoned:
		t.Abandoned++
	case OutcomeShed:
		t.Shed++
	case OutcomeCut:
		t.Cut++
	default:
		t.Failed++
	}
}

// Clone returns a copy that shares nothing with v.
func (v *CallView) Clone() CallView {
	w := *v
	w.Offers, w.Moves, w.Talks = slices.Clone(v.Offers), slices.Clone(v.Moves), slices.Clone(v.Talks)
	return w
}

// view returns the call's facts at now; it shares nothing with the state.
func (c *call) view(now Time) CallView {
	v := c.shared(now)
	return v.Clone()
}

// shared is view with lists that belong to the state.
func (c *call) shared(now Time) CallView {
	v := c.facts
	if len(v.Offers) == 0 {
		v.Offers = nil
	}
	if len(v.Moves) == 0 {
		v.Moves = nil
	}
	if len(v.Talks) == 0 {
		v.Talks = nil
	}
	if v.Phase == PhaseWaiting || v.Phase == PhaseOnOffer {
		v.QueueWait = now.Sub(v.Queued)
	}
	return v
}

// Call returns a snapshot of a call that isn't closed yet.
func (s *State) Call(id CallID) (CallView, bool) {
	c := s.calls[id]
	if c == nil {
		return CallView{}, false
	}
	return c.view(s.now), true
}

// Calls returns snapshots of all calls that aren't closed yet, by id.
func (s *State) Calls() []CallView {
	out := make([]CallView, 0, len(s.calls))
	for _, id := range s.sortedCalls() {
		out = append(out, s.calls[id].view(s.now))
	}
	return out
}

func (s *State) sortedCalls() []CallID { return slices.Sorted(maps.Keys(s.calls)) }

// Seat returns a snapshot of a seat.
func (s *State) Seat(id SeatID) (SeatView, bool) {
	x := s.seats[id]
	if x == nil {
		return SeatView{}, false
	}
	return x.view(), true
}

// Seats returns snapshots of all seats by id.
func (s *State) Seats() []SeatView {
	out := make([]SeatView, 0, len(s.seatList))
	for _, x := range s.seatList {
		out = append(out, x.view())
	}
	return out
}

func (x *seat) view() SeatView {
	v := SeatView{
		ID: x.id, Agent: x.person.id, VIP: x.vip, Team: x.team, Languages: slices.Clone(x.languages),
		Skills: slices.Clone(x.skills), Ranks: slices.Clone(x.ranks), Busy: x.busy, Turns: x.turns, Weight: x.weight,
		State: x.shown.State, Status: x.person.status, Reason: x.person.reason, Since: x.shown.Since,
		Node: x.node, Available: x.available, OwnCall: x.ownCall, IdleSince: x.idleSince, Misses: x.person.misses,
	}
	for _, q := range x.queues {
		v.Queues = append(v.Queues, q.id)
	}
	if x.resting {
		v.RestUntil = x.restUntil
	}
	switch {
	case x.call != nil:
		v.Call = x.call.facts.ID
		if x.call.facts.Phase == PhaseOnOffer {
			v.Offer = x.offer.id
		}
	case x.wrap != nil:
		v.Call = x.wrap.facts.ID
	}
	return v
}

// Queues returns snapshots of all queues by id.
func (s *State) Queues() []QueueView {
	out := make([]QueueView, 0, len(s.queueIDs))
	index := make(map[*queue]int, len(s.queueIDs))
	for i, q := range s.queueIDs {
		v := QueueView{
			ID: q.id, OnOffer: int(q.onOffer), Talking: int(q.talking),
			IdleVIP: q.idleVIP.len(), IdleOrdinary: q.idleOrdinary.len(), Present: q.present, Totals: q.totals, Removed: q.removed,
		}
		for _, t := range Tiers() {
			v.Waiting = append(v.Waiting, TierCount{Tier: t})
			if e := q.estimate(t, s.now); e != nil {
				v.Expected = append(v.Expected, *e)
			}
		}
		out = append(out, v)
		index[q] = i
	}
	// Counting and the maximum don't depend on the order of the map.
	for _, c := range s.calls {
		i, ok := index[c.q]
		waiting := c.facts.Phase == PhaseWaiting
		if !ok || !waiting && c.facts.Phase != PhaseOnOffer {
			continue
		}
		v := &out[i]
		v.LongestWait = max(v.LongestWait, s.now.Sub(c.facts.Queued))
		for j := range v.Waiting {
			if waiting && v.Waiting[j].Tier == c.facts.Tier {
				v.Waiting[j].Count++
			}
		}
	}
	return out
}

// Place is how a waiting call stands in its queue, if nothing else happens: how many
// are served before it, and how many after it but before a caller of its tier who comes
// now. It is false when the call doesn't wait.
func (s *State) Place(id CallID) (ahead, behind int, ok bool) {
	c := s.calls[id]
	if c == nil || c.facts.Phase != PhaseWaiting {
		return 0, 0, false
	}
	next := call{band: c.band, placeAt: s.now, placeSeq: s.places + 1, facts: CallView{Tier: c.facts.Tier}}
	for _, o := range c.q.members {
		switch {
		case o == c:
		case s.compareCalls(o, c) < 0:
			ahead++
		case s.compareCalls(o, &next) < 0:
			behind++
		}
	}
	return ahead, behind, true
}

// Expected is the estimate for a tier in a queue that is believed now, if any.
func (s *State) Expected(queue QueueID, t Tier) (TierEstimate, bool) {
	if q := s.queues[queue]; q != nil && t < tierCount {
		if e := q.estimate(t, s.now); e != nil {
			return *e, true
		}
	}
	return TierEstimate{}, false
}
