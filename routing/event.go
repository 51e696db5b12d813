package routing

// Entry is one line of the journal.
type Entry struct {
	// Seq is the entry's number in the journal, from 1 without gaps. Zero means
	// the entry is in no journal (a write failed, or a simulation).
	Seq uint64
	// At is the journal's time.
	At Time
	// Node is the node that reports the event.
	Node string
	// Event is what happened.
	Event Event
}

// Event is a fact that can change who talks to whom. An event that doesn't fit
// the state (late, double, about something that doesn't exist, from a node that
// doesn't own the call) changes nothing and is counted; see State.Ignored.
type Event interface {
	// Kind is the event's name in the journal, such as "call_queued".
	Kind() string
	event()
}

// PolicyChanged replaces the policy. Calls and seats that still exist keep
// their state, running deadlines of offers and wrap-ups included. A seat that
// vanishes while it is on offer or in a call finishes that, then goes. A queue
// that vanishes while it holds calls stays until they are over, served by the
// seats that served it and still exist. A policy that is wrong is ignored as a
// whole.
type PolicyChanged struct {
	Policy Policy `json:"policy"`
}

// NodeStarted says that a new process runs as Entry.Node. Whatever the old one
// held is over, at the last time the journal knows: its calls end with the
// outcome "cut" and its seats are unregistered. What agents chose stays.
type NodeStarted struct{}

// CallArrived starts a call, owned by Entry.Node, of tier C until identified.
type CallArrived struct {
	Call   CallID `json:"call"`
	Number string `json:"number,omitempty"` // calling, E.164; empty when anonymous
	DID    string `json:"did,omitempty"`    // dialled
	Trunk  string `json:"trunk,omitempty"`
	// Attestation is what the network says of Number: see CallView.
	Attestation string `json:"attestation,omitempty"`
	// Diversions say whom the call was meant for before, the latest first. They are
	// the state's from then on: never to be changed.
	Diversions []Diversion `json:"diversions,omitempty"`
}

// Diversion says that a call was meant for somebody else before.
type Diversion struct {
	Number string `json:"number,omitempty"` // that was dialled, in E.164 where it is a telephone number
	// Reason in the words of RFC 5806, such as "no-answer".
	Reason string `json:"reason,omitempty"`
}

// CallAnswered says that leg A was answered: before the IVR flow starts, or in it, while the call waits, or
// as an agent takes it.
type CallAnswered struct {
	Call CallID `json:"call"`
}

// CallIdentified says who calls. It counts before and while the call waits; a
// later one replaces an earlier one. The place in the line stays.
type CallIdentified struct {
	Call     CallID     `json:"call"`
	Customer CustomerID `json:"customer,omitempty"`
	Tier     Tier       `json:"tier"`
	Manager  AgentID    `json:"manager,omitempty"`
	Team     string     `json:"team,omitempty"`
	Language string     `json:"language,omitempty"`
	// Source is where this is known from: "redis", "cache", "default", "file", "anonymous".
	Source string `json:"source,omitempty"`
}

// CallQueued puts the call into a queue; its place is this entry's time. A
// queue that doesn't exist ends the call: Disconnect with CauseUnknownQueue.
type CallQueued struct {
	Call  CallID  `json:"call"`
	Queue QueueID `json:"queue"`
	// Language replaces the call's language unless it is empty.
	Language string `json:"language,omitempty"`
}

// CallRequeued sends a call that talks, or was forwarded, back into a queue: the agent's part is over and
// is wrapped up, the caller waits. With KeepPlace the call has the place in the line
// that it had before the talk; else it is placed behind all others. A queue that
// doesn't exist changes nothing.
type CallRequeued struct {
	Call      CallID  `json:"call"`
	Queue     QueueID `json:"queue"`
	KeepPlace bool    `json:"keep_place,omitempty"`
}

// CallTaken says that the agent at Seat has the caller from now on, without an
// offer: a colleague has transferred the talk, or the agent picks the call up while
// it waits or rings elsewhere, or comes back after it was forwarded. The agent who
// talked before wraps up. A seat that
// isn't registered or has another call changes nothing.
type CallTaken struct {
	Call CallID `json:"call"`
	Seat SeatID `json:"seat"`
}

// CallForwarded says that the agent has left the talk and the call goes on without
// a seat: with somebody outside, or in a flow, from where it may be queued again.
type CallForwarded struct {
	Call CallID `json:"call"`
	// To is where it goes: "trunk NAME", "flow NAME", "agent NAME" or "outside"; never
	// a number.
	To string `json:"to"`
}

// OwnCallChanged says that the seat's phone has, or no longer has, a call that isn't
// routing's: the agent dials, or asks a colleague. Nothing is offered meanwhile.
type OwnCallChanged struct {
	Seat SeatID `json:"seat"`
	Busy bool   `json:"busy"`
}

// CallEnded says that leg A is gone, or will be at once.
type CallEnded struct {
	Call CallID `json:"call"`
	// Cause is "caller_hung_up", "agent_hung_up", "flow_ended", "rtp_timeout",
	// "rejected", "failed", "drained" or "lost". "lost" may come from any node.
	Cause string `json:"cause"`
}

// SeatRegistered says that the seat can be reached through Entry.Node. A seat
// registered elsewhere moves here.
type SeatRegistered struct {
	Seat SeatID `json:"seat"`
}

// SeatUnregistered says that the seat can no longer be reached through
// Entry.Node. A talk goes on; a wrap-up ends.
type SeatUnregistered struct {
	Seat SeatID `json:"seat"`
}

// AgentStatusChanged is the agent's choice. During an offer, a talk or a
// wrap-up it takes effect after. Choosing ready ends a rest and forgets misses.
type AgentStatusChanged struct {
	Agent  AgentID `json:"agent"`
	Status Status  `json:"status"`
	Reason string  `json:"reason,omitempty"`
}

// OfferRinging says that the agent's phone rings; the ring time starts anew.
type OfferRinging struct {
	Call  CallID `json:"call"`
	Seat  SeatID `json:"seat"`
	Offer uint64 `json:"offer"`
}

// OfferAnswered says that the agent answered; leg B isn't confirmed yet.
type OfferAnswered struct {
	Call  CallID `json:"call"`
	Seat  SeatID `json:"seat"`
	Offer uint64 `json:"offer"`
}

// OfferFailed says that the offer led to nothing. The call goes back to its
// old place, the seat rests and goes to the end of the idle seats.
type OfferFailed struct {
	Call  CallID `json:"call"`
	Seat  SeatID `json:"seat"`
	Offer uint64 `json:"offer"`
	// Cause is "refused", "busy", "no_answer", "unreachable" or "fault".
	Cause string `json:"cause"`
}

// TalkStarted says that both legs are confirmed and bridged.
type TalkStarted struct {
	Call  CallID `json:"call"`
	Seat  SeatID `json:"seat"`
	Offer uint64 `json:"offer"`
}

// HoldChanged says that the agent put the caller on hold or took him back.
type HoldChanged struct {
	Call CallID `json:"call"`
	Held bool   `json:"held"`
}

// WrapUpEnded says that the agent ended the wrap-up early.
type WrapUpEnded struct {
	Seat SeatID `json:"seat"`
}

// WrapUpExtended says that the agent asks for more time in the wrap-up: the call's
// queue says how much, and how often.
type WrapUpExtended struct {
	Seat SeatID `json:"seat"`
}

// SeatFreed says that ops want the seat free now: an offer is withdrawn, a talk
// is disconnected without wrap-up, a wrap-up or a rest ends, a call of its own is
// forgotten.
type SeatFreed struct {
	Seat SeatID `json:"seat"`
}

// Estimated is what callers who come now have to expect in a queue, found by
// simulating forward from the state; conditions and announcements read it.
type Estimated struct {
	Queue QueueID        `json:"queue"`
	Tiers []TierEstimate `json:"tiers"`
}

// TierEstimate is what one tier has to expect: half of the callers are answered
// within P50, four of five within P80. A tier that nothing is known of has none.
type TierEstimate struct {
	Tier Tier     `json:"tier"`
	P50  Duration `json:"p50"`
	P80  Duration `json:"p80"`
	// Spread is how far the waits of the simulation lay from P50, the root of the mean
	// square: no forecast can be wrong by less.
	Spread Duration `json:"spread,omitempty"`
}

// Tick only brings the time.
type Tick struct{}

func (PolicyChanged) event()      {}
func (NodeStarted) event()        {}
func (CallArrived) event()        {}
func (CallAnswered) event()       {}
func (CallIdentified) event()     {}
func (CallQueued) event()         {}
func (CallRequeued) event()       {}
func (CallTaken) event()          {}
func (CallForwarded) event()      {}
func (OwnCallChanged) event()     {}
func (CallEnded) event()          {}
func (SeatRegistered) event()     {}
func (SeatUnregistered) event()   {}
func (AgentStatusChanged) event() {}
func (OfferRinging) event()       {}
func (OfferAnswered) event()      {}
func (OfferFailed) event()        {}
func (TalkStarted) event()        {}
func (HoldChanged) event()        {}
func (WrapUpEnded) event()        {}
func (WrapUpExtended) event()     {}
func (SeatFreed) event()          {}
func (Estimated) event()          {}
func (Tick) event()               {}

// Kind implements Event.
func (PolicyChanged) Kind() string { return "policy_changed" }

// Kind implements Event.
func (NodeStarted) Kind() string { return "node_started" }

// Kind implements Event.
func (CallArrived) Kind() string { return "call_arrived" }

// Kind implements Event.
func (CallAnswered) Kind() string { return "call_answered" }

// Kind implements Event.
func (CallIdentified) Kind() string { return "call_identified" }

// Kind implements Event.
func (CallQueued) Kind() string { return "call_queued" }

// Kind implements Event.
func (CallRequeued) Kind() string { return "call_requeued" }

// Kind implements Event.
func (CallTaken) Kind() string { return "call_taken" }

// Kind implements Event.
func (CallForwarded) Kind() string { return "call_forwarded" }

// Kind implements Event.
func (OwnCallChanged) Kind() string { return "own_call_changed" }

// Kind implements Event.
func (CallEnded) Kind() string { return "call_ended" }

// Kind implements Event.
func (SeatRegistered) Kind() string { return "seat_registered" }

// Kind implements Event.
func (SeatUnregistered) Kind() string { return "seat_unregistered" }

// Kind implements Event.
func (AgentStatusChanged) Kind() string { return "agent_status_changed" }

// Kind implements Event.
func (OfferRinging) Kind() string { return "offer_ringing" }

// Kind implements Event.
func (OfferAnswered) Kind() string { return "offer_answered" }

// Kind implements Event.
func (OfferFailed) Kind() string { return "offer_failed" }

// Kind implements Event.
func (TalkStarted) Kind() string { return "talk_started" }

// Kind implements Event.
func (HoldChanged) Kind() string { return "hold_changed" }

// Kind implements Event.
func (WrapUpEnded) Kind() string { return "wrap_up_ended" }

// Kind implements Event.
func (WrapUpExtended) Kind() string { return "wrap_up_extended" }

// Kind implements Event.
func (SeatFreed) Kind() string { return "seat_freed" }

// Kind implements Event.
func (Estimated) Kind() string { return "estimated" }

// Kind implements Event.
func (Tick) Kind() string { return "tick" }
