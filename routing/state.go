package routing

import "fmt"

// State is everything that routing knows. The zero value isn't usable; see New.
type State struct {
	now    Time
	seq    uint64
	policy Policy
	// What the policy says of each tier.
	targets, maxWaits [tierCount]Duration

	offers  uint64 // the last offer's number
	places  uint64 // the last place's tie-breaker
	ignored uint64
	why     string // why the last ignored event was ignored

	// The maps are only looked up. Whatever has an order has a slice.
	calls    map[CallID]*call
	seats    map[SeatID]*seat
	agents   map[AgentID]*agent
	queues   map[QueueID]*queue
	seatList []*seat            // by id
	idle     []*seat            // by id: available seats
	states   [categoryCount]int // seats by category
	queueIDs []*queue           // by id
	leavers  leavers

	// Waiting calls that have a manager or a team.
	byManager index[AgentID]
	byTeam    index[string]
	// favoured counts the C calls among those: they can have a VIP seat that the
	// lines of the queues don't lead to.
	favoured int
	teams    map[string][]*seat

	deadlines deadlines

	// What the next match has to look at.
	everything bool    // all waiting calls, after a change of the policy
	freed      []*seat // seats that came free
	callsDirty []*call // calls that came or widened their circle

	rung    []*seat  // scratch
	turned  []*queue // whose calls are to be read again
	overdue []*call  // whose time to wait is over

	cursors   []cursor
	decisions []Decision
	arenas    arenas  // where the decisions lie
	closed    []*call // by this Apply, used again after it
	spare     []*call
	// spareSeats are those of a state whose memory this one has.
	spareSeats []*seat
	people     []agent // of a state that was thawed

	// audit is called before each offer; for tests. watch explains it.
	audit func(*call, *seat)
	watch func(Choice)
}

// call is a call from CallArrived to Closed.
type call struct {
	facts CallView // what doesn't depend on the time
	q     *queue   // since CallQueued
	band  Band
	reach reach
	// member is its index in q.members while it waits; inLine says that q.lines has it.
	member int
	inLine bool
	// entered is when it came into q.
	entered Time
	// aloneSince is since when nobody is there for it, where that counts.
	aloneSince Time
	seat       *seat   // talking or wrapping up
	rings      []*seat // on offer to, in the order of the offers

	placeAt  Time
	placeSeq uint64

	heldAt Time
	held   bool
	// part says that it is no call but what a seat wraps up of one that goes on.
	part bool
	// extended is how often its wrap-up was.
	extended int
	timer    timer // of the plan and the queue's limits, while it waits
}

// offer is a call on offer to a seat.
type offer struct {
	id       uint64
	at       Time
	ringing  Time // since when the phone rings; zero is not yet
	answered bool // by the agent, not yet bridged
}

// seat is an agent's place to be rung.
type seat struct {
	id        SeatID
	person    *agent
	vip       bool
	team      string
	queues    []*queue // by id
	languages []string
	skills    []Skill
	ranks     []QueueRank

	node       string // through which it is registered
	registered bool
	gone       bool // no longer in the policy
	resting    bool
	ownCall    bool // its phone is in a call that isn't routing's
	restUntil  Time
	idleSince  Time
	busy       Duration // in calls and wrap-ups since it registered
	lastOffer  uint64   // its latest offer's number
	weight     int64    // 1 to maxWeight
	turns      int64    // offers since it came, and what it had then; see catchUp
	call       *call    // on offer or talking
	offer      offer    // open, while the call is on offer
	wrap       *call    // in wrap-up
	timer      timer    // of the offer, the wrap-up or the rest

	present   bool // registered, ready, not gone
	available bool // present, nothing to do, not resting
	category  category

	// What the last SeatChanged said.
	shown SeatChanged
}

// agent is a person and what the person chose.
type agent struct {
	id     AgentID
	status Status
	reason string
	misses int
	seat   *seat
}

// queue is a line of waiting calls.
type queue struct {
	id       QueueID
	wrapUp   Duration
	extend   Extension
	strategy string
	group    int // seats that ring at once; 0 is 1
	skill    string
	minLevel int
	// relaxAfter makes a step of the plan, which is the policy's unless own is given.
	relaxAfter Duration
	limits     Limits
	own, plan  []PlanStep
	of         []*queue // whose seats the steps of plan ring, nil for its own
	// holds says which steps' conditions hold that are the same for all calls. weighs
	// says that there are such, waits that a step waits for seats of a queue.
	holds         []bool
	weighs, waits bool
	timer         timer // when an hour of the plan begins or ends
	estimates     [tierCount]*TierEstimate
	estimatedAt   Time
	removed       bool // no longer in the policy, kept until its calls are over
	// lines holds the calls that wait for everybody.
	lines lines
	// guests are calls of other queues that have come to a step which rings this
	// one's seats.
	guests  lines
	members []*call // all that wait in the queue, in no order
	// Idle seats that serve the queue, in the order of compareIdle.
	idleVIP, idleOrdinary row[*seat]

	// present counts the seats that are present and could serve it.
	present, presentVIP       int
	waiting, onOffer, talking uint64
	totals                    QueueTotals
}

// New returns the state before the first entry of a journal.
func New() *State {
	return &State{
		calls:     map[CallID]*call{},
		seats:     map[SeatID]*seat{},
		agents:    map[AgentID]*agent{},
		queues:    map[QueueID]*queue{},
		byManager: newIndex[AgentID](),
		byTeam:    newIndex[string](),
		teams:     map[string][]*seat{},
		leavers:   leavers{byKey: map[leaverKey]leaver{}},
	}
}

// Apply takes the next entry and returns what is to be done, in order. The
// slice is valid until the next Apply. An entry whose Seq isn't zero and not
// above that of the last one was applied already and is ignored.
func (s *State) Apply(e Entry) []Decision {
	s.decisions = s.decisions[:0]
	s.arenas.reset()
	s.spare = append(s.spare, s.closed...)
	s.closed = s.closed[:0]
	if e.Seq != 0 && e.Seq <= s.seq {
		s.ignore("entry %d was applied already", e.Seq)
		return nil
	}
	s.seq = max(s.seq, e.Seq)
	if _, ok := e.Event.(NodeStarted); ok {
		s.nodeStarted(e.Node)
	}
	s.fireUntil(min(e.At, maxTime))
	s.apply(e)
	s.match()
	return s.decisions
}

func (s *State) apply(e Entry) {
	switch ev := e.Event.(type) {
	case Tick, NodeStarted:
	case PolicyChanged:
		s.policyChanged(ev)
	case CallArrived:
		s.callArrived(e.Node, ev)
	case CallAnswered:
		s.callAnswered(e.Node, ev)
	case CallIdentified:
		s.callIdentified(e.Node, ev)
	case CallQueued:
		s.callQueued(e.Node, ev)
	case CallRequeued:
		s.callRequeued(e.Node, ev)
	case CallTaken:
		s.callTaken(e.Node, ev)
	case CallForwarded:
		s.callForwarded(e.Node, ev)
	case OwnCallChanged:
		s.ownCallChanged(e.Node, ev)
	case CallEnded:
		s.callEnded(e.Node, ev)
	case HoldChanged:
		s.holdChanged(e.Node, ev)
	case OfferRinging:
		s.offerRinging(e.Node, ev)
	case OfferAnswered:
		s.offerAnswered(e.Node, ev)
	case OfferFailed:
		s.offerFailed(e.Node, ev)
	case TalkStarted:
		s.talkStarted(e.Node, ev)
	case SeatRegistered:
		s.seatRegistered(e.Node, ev)
	case SeatUnregistered:
		s.seatUnregistered(e.Node, ev)
	case AgentStatusChanged:
		s.agentStatusChanged(ev)
	case WrapUpEnded:
		s.wrapUpEnded(ev)
	case WrapUpExtended:
		s.wrapUpExtended(ev)
	case SeatFreed:
		s.seatFreed(ev)
	case Estimated:
		s.estimated(ev)
	default:
		s.ignore("entry %d has no event that routing knows", e.Seq)
	}
}

// Now returns the time of the state: that of the latest entry.
func (s *State) Now() Time { return s.now }

// Policy returns the policy in force; false before the first one. It is to be read
// only: it shares its lists with the state.
func (s *State) Policy() (Policy, bool) { return s.policy, s.policy.RingTime > 0 }

// Seq returns the number of the last entry that was applied from a journal.
func (s *State) Seq() uint64 { return s.seq }

// Ignored returns how many events changed nothing because they didn't fit the
// state, and why the last one didn't; the reason holds ids only.
func (s *State) Ignored() (count uint64, last string) { return s.ignored, s.why }

func (s *State) ignore(format string, args ...any) {
	s.ignored++
	s.why = fmt.Sprintf(format, args...)
}
