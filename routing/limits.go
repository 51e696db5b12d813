package routing

import "slices"

// Exit is where a call goes that its queue doesn't take or keep: into Queue, with
// its old place, or, when that is empty, it hears Prompt and is hung up; without
// a Prompt it is hung up at once.
type Exit struct {
	Queue  QueueID `json:"queue,omitempty"`
	Prompt string  `json:"prompt,omitempty"`
}

// Move is a call's way from one queue into the next.
type Move struct {
	From  QueueID `json:"from"`
	At    Time    `json:"at"`
	Cause string  `json:"cause"` // one of those of Overflow
}

// Why a queue doesn't take or keep a call, in Overflow and, when that hangs the
// call up, in its Cause.
const (
	CauseQueueFull     = "queue_full"
	CauseNobodyThere   = "nobody_there"
	CauseWaitedTooLong = "waited_too_long"
	CauseOverflow      = "overflow" // a step of the queue's plan said so
)

// Limits are what a queue bears. Zero values switch them off.
type Limits struct {
	// MaxWaiting is how many calls may wait in the queue; one more isn't let in.
	// Calls on offer don't count, and one whose offer failed comes back anyway.
	MaxWaiting int  `json:"max_waiting,omitempty"`
	WhenFull   Exit `json:"when_full,omitzero"`
	// MaxWait is how long a call may wait since it came into the queue, or less by
	// TierPolicy.MaxWait. A call that is on offer then stays until the offer fails.
	MaxWait     Duration `json:"max_wait,omitempty"`
	WhenTooLong Exit     `json:"when_too_long,omitzero"`
	// RefuseEmpty lets nobody in while nobody is there: no seat of the queue
	// is present that could take its calls at any time, nor the call's account
	// manager or team. LeaveEmpty is how long a call waits on while that is so.
	RefuseEmpty bool     `json:"refuse_empty,omitempty"`
	LeaveEmpty  Duration `json:"leave_empty,omitempty"`
	WhenEmpty   Exit     `json:"when_empty,omitzero"`
}

func (l *Limits) exits() [3]Exit { return [3]Exit{l.WhenFull, l.WhenTooLong, l.WhenEmpty} }

// ways are all the queue's exits, those of its plan included.
func (q *QueuePolicy) ways() []Exit {
	all := q.exits()
	return append(all[:], q.leaves()...)
}

func (q *QueuePolicy) validateLimits(bad func(string, ...any)) {
	if q.MaxWaiting < 0 {
		bad("max_waiting of queue %q is %d; use 0 (no limit) or more", q.ID, q.MaxWaiting)
	}
	if q.MaxWait < 0 || q.MaxWait > maxDuration || q.LeaveEmpty < 0 || q.LeaveEmpty > maxDuration {
		bad("max_wait or leave_empty of queue %q isn't within 0 to one year", q.ID)
	}
	for _, e := range q.exits() {
		if e.Queue != "" && e.Prompt != "" {
			bad("an exit of queue %q has both a queue and a prompt", q.ID)
		}
	}
}

// validateExits wants the queues that exits name to exist, and no way in a circle:
// a call must come to an end.
func (p *Policy) validateExits(queues map[QueueID]bool, bad func(string, ...any)) {
	for i := range p.Queues {
		for _, e := range p.Queues[i].ways() {
			if e.Queue != "" && !queues[e.Queue] {
				bad("an exit of queue %q leads to queue %q, which does not exist", p.Queues[i].ID, e.Queue)
			}
		}
	}
	if way := p.ExitCircle(); way != nil {
		bad("exits of queues lead in a circle: %q", way)
	}
}

// ExitCircle returns the queues that lead to each other in a circle by their
// exits, in order, or nil.
func (p *Policy) ExitCircle() []QueueID {
	next := map[QueueID][]QueueID{}
	for i := range p.Queues {
		for _, e := range p.Queues[i].ways() {
			if e.Queue != "" {
				next[p.Queues[i].ID] = append(next[p.Queues[i].ID], e.Queue)
			}
		}
	}
	done := map[QueueID]bool{}
	var visit func(way []QueueID, id QueueID) []QueueID
	visit = func(way []QueueID, id QueueID) []QueueID {
		for i, at := range way {
			if at == id {
				return way[i:]
			}
		}
		if done[id] {
			return nil
		}
		way = append(way, id)
		for _, to := range next[id] {
			if circle := visit(way, to); circle != nil {
				return circle
			}
		}
		done[id] = true
		return nil
	}
	for i := range p.Queues {
		if circle := visit(nil, p.Queues[i].ID); circle != nil {
			return circle
		}
	}
	return nil
}

// enter brings c, which stands in no line, into q, or where q sends it. Exits
// lead in no circle.
func (s *State) enter(c *call, q *queue) {
	c.q, c.entered, c.aloneSince = q, s.now, 0
	c.facts.Queue, c.facts.Step = q.id, ""
	c.reach = reach{since: s.now, done: c.reach.done}
	q.totals.Entered++
	switch {
	case q.limits.RefuseEmpty && s.alone(c):
		s.leave(c, CauseNobodyThere, q.limits.WhenEmpty)
	case q.limits.MaxWaiting > 0 && q.waiting >= uint64(q.limits.MaxWaiting):
		s.leave(c, CauseQueueFull, q.limits.WhenFull)
	default:
		s.link(c)
	}
}

// leave takes c, which stands in no line, out of its queue.
func (s *State) leave(c *call, cause string, exit Exit) {
	from := c.q
	if to := s.queues[exit.Queue]; to != nil && !to.removed {
		from.totals.MovedOn++
		c.facts.Moves = append(c.facts.Moves, Move{From: from.id, At: s.now, Cause: cause})
		emit(s, &s.arenas.overflows, Overflow{Call: c.facts.ID, From: from.id, To: to.id, Cause: cause})
		s.enter(c, to)
		s.dropEmpty(from)
		return
	}
	emit(s, &s.arenas.overflows, Overflow{Call: c.facts.ID, From: from.id, Prompt: exit.Prompt, Cause: cause})
	s.endCall(c, cause)
}

// couldServe says whether x can ever be rung with calls of q, as a seat of q.
func (q *queue) couldServe(x *seat) bool {
	return q.fits(x) || slices.ContainsFunc(q.plan, func(st PlanStep) bool { return st.Ring == StepRelaxed })
}

// alone says that nobody is there for c.
func (s *State) alone(c *call) bool {
	return c.q.present == 0 && !s.managerPresent(c) && !s.teamPresent(c)
}

// countPresent follows a seat that became present, or ceased to be. Calls of a
// queue that has lost its last seat or found its first are looked at again.
func (s *State) countPresent(x *seat) {
	for _, q := range x.queues {
		if !q.couldServe(x) {
			continue
		}
		was, wasVIP := q.present, q.presentVIP
		n := -1
		if x.present {
			n = 1
		}
		q.present += n
		if x.vip {
			q.presentVIP += n
		}
		turned := was*q.present == 0 || wasVIP*q.presentVIP == 0 && x.vip
		if turned && (q.limits.LeaveEmpty > 0 || q.waits || !q.guests.empty()) {
			s.turn(q)
		}
		s.weigh(q)
	}
}

// recountPresent counts anew after a change of the policy.
func (s *State) recountPresent() {
	for _, q := range s.queueIDs {
		q.present, q.presentVIP = 0, 0
	}
	for _, x := range s.seatList {
		for _, q := range x.queues {
			if x.present && q.couldServe(x) {
				q.present++
				if x.vip {
					q.presentVIP++
				}
			}
		}
	}
	for _, q := range s.queueIDs {
		s.weigh(q)
	}
}

// maxWait is how long c may wait in its queue, by the shorter one of what queue and
// tier say; zero is for ever.
func (s *State) maxWait(c *call) Duration {
	ofQueue, ofTier := c.q.limits.MaxWait, s.maxWaits[c.facts.Tier]
	if ofQueue == 0 || ofTier > 0 && ofTier < ofQueue {
		return ofTier
	}
	return ofQueue
}

// leavesAt is when the waiting call c leaves its queue by a rule; ok is false when
// none says so.
func (s *State) leavesAt(c *call) (at Time, cause string, exit Exit, ok bool) {
	l := &c.q.limits
	if i := c.reach.leave; i > 0 {
		return 0, CauseOverflow, *c.q.plan[i-1].Leave, true
	}
	if limit := s.maxWait(c); limit > 0 {
		at, cause, exit, ok = c.entered.Add(limit), CauseWaitedTooLong, l.WhenTooLong, true
	}
	if l.LeaveEmpty > 0 && c.aloneSince != 0 {
		if end := c.aloneSince.Add(l.LeaveEmpty); !ok || end < at {
			at, cause, exit, ok = end, CauseNobodyThere, l.WhenEmpty, true
		}
	}
	return at, cause, exit, ok
}

// setAlone notes since when nobody is there for the waiting call c.
func (s *State) setAlone(c *call) {
	switch {
	case c.q.limits.LeaveEmpty == 0 || !s.alone(c):
		c.aloneSince = 0
	case c.aloneSince == 0:
		c.aloneSince = max(s.now, 1) // zero is not alone
	}
}

// leaveOverdue takes the calls whose time is over, and that no seat could be found
// for at this very moment, out of their queues.
func (s *State) leaveOverdue() bool {
	if len(s.overdue) == 0 {
		return false
	}
	slices.SortFunc(s.overdue, comparePlaces)
	for i := 0; i < len(s.overdue); i++ {
		c := s.overdue[i]
		if c.facts.Phase != PhaseWaiting {
			continue
		}
		if at, cause, exit, ok := s.leavesAt(c); ok && at <= s.now {
			s.unlink(c)
			c.facts.Phase = PhaseIVR // in no line for the moment
			s.leave(c, cause, exit)
		}
	}
	clear(s.overdue)
	s.overdue = s.overdue[:0]
	return true
}
