package routing

import "slices"

// reach is how far the plan of its queue has been read for a call.
type reach struct {
	// opened holds the steps that count, passed those whose time is over; bits are
	// the indexes of the steps.
	opened, passed uint16
	// since is when the reading came to the step whose time runs.
	since Time
	// done holds the kinds of step that need not be tried again in another queue.
	done uint8
	// leave is the step by which the call leaves, counted from 1.
	leave uint8
}

const (
	doneManager = 1 << iota
	doneTeam
)

// kind is the step's bit in reach.done, 0 for steps that each queue has anew.
func (st *PlanStep) kind() uint8 {
	switch st.Ring {
	case StepManager:
		return doneManager
	case StepTeam:
		return doneTeam
	}
	return 0
}

// timed says that the reading may wait at the step.
func (st *PlanStep) timed() bool { return st.For > 0 || st.kind() != 0 }

// read reads the plan of its queue for the waiting call c, from top to bottom, as
// far as it goes now:
//
//   - a step whose conditions don't hold (yet) is passed over;
//   - a step that rings stays open once it is, whatever its conditions become;
//   - a step with a time ends the reading until that is over, or none of those it
//     rings is there;
//   - a step that leaves is asked once, when After has come.
//
// wake is when to read again if nothing happens before.
func (s *State) read(c *call) (r reach, wake Time, ok bool) {
	r = c.reach
	sooner := func(at Time) {
		if !ok || at < wake {
			wake, ok = at, true
		}
	}
	for i := range c.q.plan {
		st, bit := &c.q.plan[i], uint16(1)<<i
		if r.opened&bit == 0 {
			if at := c.entered.Add(st.After); at > s.now {
				sooner(at)
				continue
			}
			if !s.opens(c, i) {
				if st.Leave != nil {
					r.opened |= bit // asked
				}
				continue
			}
			r.opened |= bit
			if st.Leave != nil {
				r.leave = uint8(i + 1)
				return r, wake, ok
			}
			if r.done&st.kind() != 0 {
				r.passed |= bit
			} else if st.timed() && (!st.When.empty() || st.After > 0) {
				r.since = s.now
			}
		}
		if !st.timed() || r.passed&bit != 0 {
			continue
		}
		if end := r.since.Add(st.For); end > s.now && s.somebody(c, i) {
			sooner(end)
			return r, wake, ok
		}
		r.passed |= bit
		r.done |= st.kind()
		r.since = s.now
	}
	return r, wake, ok
}

// opens says whether the conditions of step i hold for c.
func (s *State) opens(c *call, i int) bool {
	w := &c.q.plan[i].When
	return c.q.holds[i] && w.allows(c.facts.Tier) &&
		(w.ExpectedWait == 0 || c.q.expects(c.facts.Tier, w.ExpectedWait, s.now))
}

// somebody says whether one of those is there whom step i of c rings.
func (s *State) somebody(c *call, i int) bool {
	st := &c.q.plan[i]
	switch st.Ring {
	case StepManager:
		return s.managerPresent(c)
	case StepTeam:
		return s.teamPresent(c)
	case StepVIP:
		return c.q.presentVIP > 0
	default:
		q := c.q.source(i)
		return q != nil && q.present > 0
	}
}

// source is the queue whose seats step i rings, nil when it has gone.
func (q *queue) source(i int) *queue {
	if q.plan[i].Of != "" {
		return q.of[i]
	}
	return q
}

// reaches says whether step i of c rings x at all.
func (c *call) reaches(i int, x *seat) bool {
	switch c.q.plan[i].Ring {
	case StepManager:
		return c.facts.Manager != "" && x.person.id == c.facts.Manager
	case StepTeam:
		return c.facts.Team != "" && x.team == c.facts.Team
	case StepVIP:
		return x.vip && c.q.fits(x) && slices.Contains(x.queues, c.q)
	case StepQueue:
		q := c.q.source(i)
		return q != nil && q.fits(x) && slices.Contains(x.queues, q)
	case StepRelaxed:
		return slices.Contains(x.queues, c.q)
	}
	return false
}

// never is the circle of a seat that no open step rings.
const never = MaxSteps

// circle returns the first open step of c that rings x, or never.
func (c *call) circle(x *seat) int {
	for i := range c.q.plan {
		if c.reach.opened&(1<<i) != 0 && c.reaches(i, x) {
			return i
		}
	}
	return never
}

// advance reads the plan for the waiting call and files the call where the steps
// that open lead.
func (s *State) advance(c *call) {
	r, wake, ok := s.read(c)
	if fresh := r.opened &^ c.reach.opened; fresh != 0 {
		s.open(c, c.reach.opened, fresh)
		s.callsDirty = append(s.callsDirty, c)
	}
	c.reach = r
	s.setAlone(c)
	if at, _, _, leaves := s.leavesAt(c); leaves && (!ok || at < wake) {
		wake, ok = at, true
	}
	switch {
	case r.leave > 0 || ok && wake <= s.now:
		s.overdue = append(s.overdue, c)
		s.deadlines.stop(&c.timer)
	case ok:
		s.deadlines.set(&c.timer, wake)
	default:
		s.deadlines.stop(&c.timer)
	}
}

// open files c for the steps that are fresh; it is filed for those of before.
func (s *State) open(c *call, before, fresh uint16) {
	for i := range c.q.plan {
		if fresh&(1<<i) == 0 || c.q.plan[i].kind() != 0 {
			continue
		}
		switch q := c.q.source(i); {
		case q == nil || c.q.plan[i].Leave != nil:
		case q == c.q && !c.inLine:
			c.inLine = true
			q.lines.file(c)
		case q != c.q && !c.guest(i, before|fresh&(1<<i-1)):
			q.guests.file(c)
		}
	}
	for i := range c.q.plan {
		if (before|fresh)&(1<<i) != 0 && c.q.plan[i].Leave == nil {
			c.facts.Step = c.q.plan[i].name()
		}
	}
}

// guest says that one of the opened steps makes c a guest of the same queue as step i.
func (c *call) guest(i int, opened uint16) bool {
	for k := range c.q.plan {
		if opened&(1<<k) != 0 && c.q.plan[k].Of == c.q.plan[i].Of {
			return true
		}
	}
	return false
}

// shut takes c out of where open has filed it.
func (s *State) shut(c *call) {
	for i := range c.q.plan {
		st := &c.q.plan[i]
		if q := c.q.source(i); st.Of != "" && q != nil && c.reach.opened&(1<<i) != 0 && !c.guest(i, c.reach.opened&(1<<i-1)) {
			q.guests.unfile(c)
		}
	}
	if c.inLine {
		c.inLine = false
		c.q.lines.unfile(c)
	}
}

// asked are the steps that leave: their bits in reach.opened say that they were asked.
func (q *queue) asked() (bits uint16) {
	for i := range q.plan {
		if q.plan[i].Leave != nil {
			bits |= 1 << i
		}
	}
	return bits
}

// name is the step in records.
func (st *PlanStep) name() Step {
	if st.Of != "" {
		return StepOther
	}
	return st.Ring
}

// weigh asks anew which conditions hold that are the same for all calls of the
// queue. When one has come to hold, the waiting calls are read again.
func (s *State) weigh(q *queue) {
	if !q.weighs {
		return
	}
	minute := s.policy.minuteOfWeek(s.now)
	for i := range q.plan {
		w := &q.plan[i].When
		was := q.holds[i]
		q.holds[i] = q.waiting >= uint64(w.Waiting) && within(w.Hours, minute) &&
			(w.WaitingPerSeat == 0 || q.waiting > 0 && q.waiting*1000 >= uint64(w.WaitingPerSeat)*uint64(q.present))
		if q.holds[i] && !was {
			s.turn(q)
		}
	}
}

// turn has the waiting calls of q, and its guests, read again.
func (s *State) turn(q *queue) {
	if !slices.Contains(s.turned, q) {
		s.turned = append(s.turned, q)
	}
}

// readTurned reads the plans of those again for whom something has changed that is
// the same for all calls of their queue.
func (s *State) readTurned() {
	for i := 0; i < len(s.turned); i++ {
		q := s.turned[i]
		for _, c := range q.members {
			s.advance(c)
		}
		for t := range q.guests {
			for _, c := range q.guests[t].list() {
				s.advance(c)
			}
		}
	}
	clear(s.turned)
	s.turned = s.turned[:0]
}

// setPlan gives q the plan that its policy says; its calls stand in no line.
func (s *State) setPlan(q *queue) {
	plan := s.policy.plan(&QueuePolicy{Plan: q.own, MinLevel: q.minLevel, RelaxAfter: q.relaxAfter})
	if !samePlan(q.plan, plan) {
		for _, c := range s.calls { // each on its own
			if c.q == q {
				c.reach = reach{since: c.reach.since, done: c.reach.done}
			}
		}
	}
	q.plan, q.of, q.holds, q.weighs, q.waits = plan, make([]*queue, len(plan)), make([]bool, len(plan)), false, false
	for i := range plan {
		q.of[i] = s.queues[plan[i].Of]
		q.holds[i] = true
		q.weighs = q.weighs || !plan[i].When.empty()
		q.waits = q.waits || plan[i].For > 0 && plan[i].kind() == 0
	}
	s.armHours(q)
	s.weigh(q)
}

// armHours sets the queue's timer to the next time an hour of its plan begins or
// ends.
func (s *State) armHours(q *queue) {
	if at, ok := s.policy.nextHour(q.plan, s.now); ok {
		s.deadlines.set(&q.timer, at)
	} else {
		s.deadlines.stop(&q.timer)
	}
}
