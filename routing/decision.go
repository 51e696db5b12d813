package routing

import "slices"

// Decision is an action to be carried out, or a fact for records and metrics.
// Only the owner of a call carries out decisions on it. A decision is a pointer
// into the state: it and all it holds are valid until the next Apply, and whoever
// keeps it longer keeps its Clone.
type Decision interface {
	// Kind is the decision's name in logs, such as "offer".
	Kind() string
	// Clone returns a copy that shares nothing with the state.
	Clone() Decision
	decision()
}

// arena hands out places for decisions of one type, the same ones after each reset.
type arena[T any] struct {
	places []*T
	used   int
}

// next returns a place; what it held before is still there.
func (a *arena[T]) next() *T {
	if a.used == len(a.places) {
		a.places = append(a.places, new(T))
	}
	a.used++
	return a.places[a.used-1]
}

// arenas are the places of all decisions of one Apply.
type arenas struct {
	offers       arena[Offer]
	withdrawals  arena[Withdraw]
	disconnects  arena[Disconnect]
	overflows    arena[Overflow]
	transferred  arena[Transferred]
	connected    arena[Connected]
	ended        arena[Ended]
	closed       arena[Closed]
	seatsChanged arena[SeatChanged]
}

func (a *arenas) reset() {
	a.offers.used, a.withdrawals.used, a.disconnects.used, a.overflows.used = 0, 0, 0, 0
	a.transferred.used = 0
	a.connected.used, a.ended.used, a.closed.used, a.seatsChanged.used = 0, 0, 0, 0
}

// emit adds the decision v, put into a place of a, to the decisions of this Apply.
func emit[T any, D interface {
	*T
	Decision
}](s *State, a *arena[T], v T) {
	d := a.next()
	*d = v
	s.decisions = append(s.decisions, D(d))
}

// Offer asks the owner of Call to ring Seat for RingTime and to report
// OfferRinging, OfferAnswered, TalkStarted or OfferFailed with this Offer.
type Offer struct {
	Call     CallID   `json:"call"`
	Seat     SeatID   `json:"seat"`
	Offer    uint64   `json:"offer"` // unique, never used again
	RingTime Duration `json:"ring_time"`
	Reasons  Reasons  `json:"reasons"`
}

// Withdraw asks the owner of Call to stop ringing Seat, or to drop its leg if
// it was answered. Nothing needs to be reported.
type Withdraw struct {
	Call  CallID `json:"call"`
	Seat  SeatID `json:"seat"`
	Offer uint64 `json:"offer"`
	Cause string `json:"cause"` // one of the Withdraw constants
}

// Disconnect asks the owner of Call to hang up all its legs. For routing the
// call is over: Ended follows in the same Apply, and no CallEnded is needed.
type Disconnect struct {
	Call  CallID `json:"call"`
	Cause string `json:"cause"`
}

// Overflow says that the queue From didn't take or keep the call. With To it waits
// there now, at its old place: the owner only plays that queue's music. Without,
// the owner plays Prompt, if there is one, and hangs up; for routing the call is
// over: Ended follows in the same Apply, and no CallEnded is needed.
type Overflow struct {
	Call   CallID  `json:"call"`
	From   QueueID `json:"from"`
	To     QueueID `json:"to,omitempty"`
	Prompt string  `json:"prompt,omitempty"`
	Cause  string  `json:"cause"` // "queue_full", "nobody_there", "waited_too_long" or "overflow"
}

// Transferred asks the owner of Call to hang up the leg to Seat: the call waits in
// Queue from now on. What the queue makes of it follows in the same Apply.
type Transferred struct {
	Call  CallID  `json:"call"`
	Seat  SeatID  `json:"seat"`
	Queue QueueID `json:"queue"`
}

// Connected says that caller and agent talk: the wait is over and known.
type Connected struct {
	Call CallView `json:"call"`
}

// Ended says that the call is over. WrapUp isn't known yet.
type Ended struct {
	Call CallView `json:"call"`
}

// Closed says that the wrap-up is over too: the call record can be written.
// Each call has exactly one, after its Ended, in the same Apply when there is
// no wrap-up.
type Closed struct {
	Call CallView `json:"call"`
}

// SeatChanged says that the seat's state, or its agent's status or reason, is
// another one now.
type SeatChanged struct {
	Seat   SeatID    `json:"seat"`
	Agent  AgentID   `json:"agent"`
	State  SeatState `json:"state"`
	Status Status    `json:"status"`
	Reason string    `json:"reason,omitempty"`
	Since  Time      `json:"since"`
}

// PolicyApplied says that another policy than before is in force from now on, and
// what is different; see Policy.Changes. The first policy isn't told.
type PolicyApplied struct {
	Changes []string `json:"changes"`
}

// Reasons is why this call was offered to this seat.
type Reasons struct {
	// Rule is what made the seat the first choice: "manager", "team",
	// "skill_relaxed", "vip_seat", "queue" or "other_queue".
	Rule  string `json:"rule"`
	Order string `json:"order"`
	Step  Step   `json:"step"`
	// The figures of the call and of the seat.
	Tier   Tier     `json:"tier"`
	Waited Duration `json:"waited"`
	Target Duration `json:"target"`
	Idle   Duration `json:"idle"`
	// Strategy is the queue's; Level is the seat's level of the queue's skill.
	Strategy string `json:"strategy"`
	Level    int    `json:"level,omitempty"`
	// Rank is the seat's in the queue that it is rung for; zero is the usual one, 1.
	Rank int `json:"rank,omitempty"`
	// RunnerUpSeat would have been rung if this seat weren't there.
	RunnerUpSeat SeatID   `json:"runner_up_seat,omitempty"`
	RunnerUpIdle Duration `json:"runner_up_idle,omitempty"`
	// RunnerUpCall would have been offered to this seat if this call weren't there.
	RunnerUpCall   CallID   `json:"runner_up_call,omitempty"`
	RunnerUpTier   Tier     `json:"runner_up_tier,omitempty"`
	RunnerUpWaited Duration `json:"runner_up_waited,omitempty"`
	// Excluded counts the seats that nobody could be offered to.
	Excluded Excluded `json:"excluded"`
}

// The rules that name a winner.
const (
	RuleManager = "manager"
	RuleTeam    = "team"
	RuleRelaxed = "skill_relaxed"
	RuleVIPSeat = "vip_seat"
	RuleQueue   = "queue"
	RuleOther   = "other_queue"
)

// Excluded counts seats by the first rule that keeps every call from them.
type Excluded struct {
	Offline  int `json:"offline,omitempty"`   // not registered
	NotReady int `json:"not_ready,omitempty"` // agent on break or logged out
	Busy     int `json:"busy,omitempty"`      // on offer, talking or in wrap-up
	Resting  int `json:"resting,omitempty"`   // after a failed offer
}

func (*Offer) decision()         {}
func (*Withdraw) decision()      {}
func (*Disconnect) decision()    {}
func (*Overflow) decision()      {}
func (*Transferred) decision()   {}
func (*Connected) decision()     {}
func (*Ended) decision()         {}
func (*Closed) decision()        {}
func (*SeatChanged) decision()   {}
func (*PolicyApplied) decision() {}

// Kind implements Decision.
func (*Offer) Kind() string { return "offer" }

// Kind implements Decision.
func (*Withdraw) Kind() string { return "withdraw" }

// Kind implements Decision.
func (*Disconnect) Kind() string { return "disconnect" }

// Kind implements Decision.
func (*Overflow) Kind() string { return "overflow" }

// Kind implements Decision.
func (*Transferred) Kind() string { return "transferred" }

// Kind implements Decision.
func (*Connected) Kind() string { return "connected" }

// Kind implements Decision.
func (*Ended) Kind() string { return "ended" }

// Kind implements Decision.
func (*Closed) Kind() string { return "closed" }

// Kind implements Decision.
func (*SeatChanged) Kind() string { return "seat_changed" }

// Kind implements Decision.
func (*PolicyApplied) Kind() string { return "policy_applied" }

// Clone implements Decision.
func (d *Offer) Clone() Decision {
	c := *d
	return &c
}

// Clone implements Decision.
func (d *Withdraw) Clone() Decision {
	c := *d
	return &c
}

// Clone implements Decision.
func (d *Disconnect) Clone() Decision {
	c := *d
	return &c
}

// Clone implements Decision.
func (d *Overflow) Clone() Decision {
	c := *d
	return &c
}

// Clone implements Decision.
func (d *SeatChanged) Clone() Decision {
	c := *d
	return &c
}

// Clone implements Decision.
func (d *Connected) Clone() Decision {
	return &Connected{Call: d.Call.Clone()}
}

// Clone implements Decision.
func (d *Ended) Clone() Decision {
	return &Ended{Call: d.Call.Clone()}
}

// Clone implements Decision.
func (d *Closed) Clone() Decision {
	return &Closed{Call: d.Call.Clone()}
}

// Clone implements Decision.
func (d *PolicyApplied) Clone() Decision { return &PolicyApplied{slices.Clone(d.Changes)} }

// Clone implements Decision.
func (d *Transferred) Clone() Decision {
	c := *d
	return &c
}
