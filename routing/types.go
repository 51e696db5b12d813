package routing

import (
	"fmt"
	"math"
	"strings"
)

// Time is a point in time in microseconds since the Unix epoch. It comes from
// the journal, never from a node's own clock. Zero means "not yet".
type Time int64

// Duration is a span in microseconds.
type Duration int64

// Spans that durations are written with.
const (
	Microsecond Duration = 1
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
)

// String writes a span as "1h30m", "20s" or "1.5s".
func (d Duration) String() string {
	if d < 0 {
		return "-" + (-d).String()
	}
	var b strings.Builder
	for _, u := range []struct {
		d    Duration
		name string
	}{{Hour, "h"}, {Minute, "m"}} {
		if d >= u.d {
			fmt.Fprintf(&b, "%d%s", d/u.d, u.name)
			d %= u.d
		}
	}
	if d > 0 || b.Len() == 0 {
		part := strings.TrimRight(fmt.Sprintf(".%06d", d%Second), "0")
		fmt.Fprintf(&b, "%d%ss", d/Second, strings.TrimSuffix(part, "."))
	}
	return b.String()
}

// maxTime is the latest time an entry can have: far enough from the end of
// int64 that adding any valid duration doesn't overflow.
const maxTime Time = math.MaxInt64 / 2

// Add returns t shifted by d.
func (t Time) Add(d Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) Duration { return Duration(t - u) }

// CallID names a call. The owner of the call chooses it; it must be unique.
type CallID string

// SeatID names a seat, an agent's place to be rung.
type SeatID string

// AgentID names an agent, a person.
type AgentID string

// QueueID names a queue.
type QueueID string

// CustomerID names a customer.
type CustomerID string

// Tier is the customer's service class. The zero value is TierC, so that a
// customer about whom nothing is known gets standard service.
type Tier uint8

// The tiers. Their numbers are no ranking; see Tiers and Band.
const (
	TierC Tier = iota
	TierA1
	TierA2
	TierB1
	TierB2
	tierCount
)

var tierNames = [tierCount]string{TierC: "C", TierA1: "A1", TierA2: "A2", TierB1: "B1", TierB2: "B2"}

// Tiers returns all tiers from A1 to C.
func Tiers() []Tier { return []Tier{TierA1, TierA2, TierB1, TierB2, TierC} }

// Band is a group of tiers with the same priority in a queue.
type Band uint8

// The bands in the order in which they are served.
const (
	BandA Band = iota
	BandB
	BandC
	bandCount
)

// Band returns the band of t: A1 and A2 are A, B1 and B2 are B, the rest is C.
func (t Tier) Band() Band {
	switch t {
	case TierA1, TierA2:
		return BandA
	case TierB1, TierB2:
		return BandB
	default:
		return BandC
	}
}

// String returns the tier's name, such as "A1".
func (t Tier) String() string {
	if t >= tierCount {
		return fmt.Sprintf("Tier(%d)", uint8(t))
	}
	return tierNames[t]
}

// ParseTier reads a tier's name, exactly as String writes it.
func ParseTier(name string) (Tier, error) {
	for t, n := range tierNames {
		if n == name {
			return Tier(t), nil
		}
	}
	return TierC, fmt.Errorf("unknown tier %q; use one of A1, A2, B1, B2, C", name)
}

// MarshalText implements encoding.TextMarshaler.
func (t Tier) MarshalText() ([]byte, error) {
	if t >= tierCount {
		return nil, fmt.Errorf("tier %d does not exist", uint8(t))
	}
	return []byte(tierNames[t]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Tier) UnmarshalText(text []byte) error {
	parsed, err := ParseTier(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// Status is what the agent chose.
type Status string

// The statuses. An agent whose seat registers for the first time is ready.
const (
	StatusReady     Status = "ready"
	StatusBreak     Status = "break"
	StatusLoggedOut Status = "logged_out"
)

// ReasonMissedCalls is the reason of a break that the system chose because the
// agent left Policy.MaxMisses offers in a row unanswered.
const ReasonMissedCalls = "missed_calls"

// SeatState is what the system knows about a seat.
type SeatState string

// The states of a seat. Gone is the last one: the policy no longer holds the
// seat and it isn't in a call.
const (
	SeatOffline SeatState = "offline"
	SeatIdle    SeatState = "idle"
	SeatOffered SeatState = "offered"
	SeatRinging SeatState = "ringing"
	SeatTalking SeatState = "talking"
	SeatWrapUp  SeatState = "wrap_up"
	SeatOwnCall SeatState = "own_call" // in a call that isn't routing's
	SeatGone    SeatState = "gone"
)

// Phase is where a call is on its way.
type Phase string

// The phases in the order of a call's way. A call on offer goes back to
// waiting when the offer fails.
const (
	PhaseArrived Phase = "arrived"
	PhaseIVR     Phase = "ivr"
	PhaseWaiting Phase = "waiting"
	PhaseOnOffer Phase = "on_offer"
	PhaseTalking Phase = "talking"
	// PhaseForwarded: the agent has left, the call goes on without a seat.
	PhaseForwarded Phase = "forwarded"
	PhaseWrapUp    Phase = "wrap_up"
	PhaseClosed    Phase = "closed"
)

// Step is how far the circle of candidates for a call has widened: whom the step
// rings that opened last.
type Step string

// The steps; each keeps the candidates of the ones before.
const (
	StepManager Step = "manager"
	StepTeam    Step = "team"
	StepVIP     Step = "vip"         // the queue's VIP seats
	StepQueue   Step = "queue"       // all seats of the queue
	StepRelaxed Step = "relaxed"     // those below the level that the queue asks for, too
	StepOther   Step = "other_queue" // the seats of another queue
)

// Outcome is how a call went, one of a fixed set for counting.
type Outcome string

// The outcomes.
const (
	OutcomeAnswered  Outcome = "answered"  // talked to an agent
	OutcomeAbandoned Outcome = "abandoned" // ended while waiting or on offer
	OutcomeIVR       Outcome = "ivr"       // ended before any queue
	OutcomeRejected  Outcome = "rejected"  // never accepted
	OutcomeCut       Outcome = "cut"       // our side ended it: node died, or drained before an agent answered
	OutcomeShed      Outcome = "shed"      // its queue didn't take or keep it
	OutcomeFailed    Outcome = "failed"    // a fault before an agent answered
)

// Why a call ended. The first group comes from CallEnded, the second from
// routing itself.
const (
	CauseCallerHungUp = "caller_hung_up"
	CauseAgentHungUp  = "agent_hung_up"
	CauseFlowEnded    = "flow_ended"
	CauseRTPTimeout   = "rtp_timeout"
	CauseRejected     = "rejected"
	CauseFailed       = "failed"
	CauseDrained      = "drained"
	CauseLost         = "lost"

	CauseNodeStarted  = "node_started"
	CauseSeatFreed    = "seat_freed"
	CauseUnknownQueue = "unknown_queue"
)

// How an offer ended. The first group comes from OfferFailed.
const (
	OfferRefused     = "refused"
	OfferBusy        = "busy"
	OfferNoAnswer    = "no_answer"
	OfferUnreachable = "unreachable"
	OfferFault       = "fault"

	OfferTaken     = "answered"
	OfferWithdrawn = "withdrawn"
)

// Why an offer is withdrawn, in Withdraw.
const (
	WithdrawCallEnded = "call_ended" // the call ended while it was on offer
	WithdrawRingTime  = "ring_time"  // the lease ended without an answer
	WithdrawNoTalk    = "no_talk"    // answered, but the legs were never bridged within the lease
	WithdrawSeatFreed = "seat_freed" // ops freed the seat
	WithdrawTaken     = "taken"      // another agent of the ring group was faster
)
