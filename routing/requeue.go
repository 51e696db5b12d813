package routing

// TalkView is a talk that ended by a transfer: the call went on without this agent.
type TalkView struct {
	Queue     QueueID  `json:"queue"`
	Seat      SeatID   `json:"seat"`
	Agent     AgentID  `json:"agent"`
	Queued    Time     `json:"queued"`
	Connected Time     `json:"connected"`
	Ended     Time     `json:"ended"`
	QueueWait Duration `json:"queue_wait"`
	Talk      Duration `json:"talk"` // without Hold
	Hold      Duration `json:"hold"`
	// WrapUp is known when it is over, if the call isn't closed by then.
	WrapUp Duration `json:"wrap_up"`
}

// callRequeued sends a call that talks, or that was forwarded, back into a queue; the
// agent wraps up.
func (s *State) callRequeued(node string, ev CallRequeued) {
	c := s.owned(node, ev.Call, ev.Kind())
	if c == nil {
		return
	}
	q := s.queues[ev.Queue]
	forwarded := c.facts.Phase == PhaseForwarded
	switch {
	case c.facts.Phase != PhaseTalking && !forwarded:
		s.outOfState(ev.Kind(), c)
		return
	case q == nil || q.removed:
		s.ignore("call_requeued: queue %q does not exist", ev.Queue)
		return
	}
	f := &c.facts
	from := c.q
	emit(s, &s.arenas.transferred, Transferred{Call: f.ID, Seat: f.Seat, Queue: q.id})
	if forwarded {
		c.noteTalk(f.Forwarded)
	} else {
		x := c.seat
		s.closeTalk(c)
		from.totals.left(OutcomeAnswered)
		s.leaveSeat(c, x)
		c.forgetTalk()
	}
	f.Queued, f.Expected, c.extended = s.now, q.estimate(f.Tier, s.now), 0
	if ev.KeepPlace {
		f.Place = c.placeAt
	} else {
		s.places++
		c.placeAt, c.placeSeq = s.now, s.places
	}
	f.Phase = PhaseIVR // in no line for the moment
	c.reach = reach{since: s.now}
	s.enter(c, q)
	if from != nil {
		s.dropEmpty(from)
	}
}

// closeTalk ends and writes down a talk after which the call goes on.
func (s *State) closeTalk(c *call) {
	s.endTalk(c)
	c.addTalk(s.now)
}

func (c *call) addTalk(ended Time) {
	f := &c.facts
	f.Talks = append(f.Talks, TalkView{
		Queue: f.Queue, Seat: f.Seat, Agent: f.Agent, Queued: f.Queued, Connected: f.Connected, Ended: ended,
		QueueWait: f.QueueWait, Talk: f.Talk, Hold: f.Hold, WrapUp: f.WrapUp,
	})
}

// noteTalk writes down the talk of a call that was forwarded and comes back.
func (c *call) noteTalk(ended Time) {
	c.addTalk(ended)
	c.forgetTalk()
}

// forgetTalk takes what is told of the last talk, which is among the others now, off
// the call.
func (c *call) forgetTalk() {
	f := &c.facts
	f.Seat, f.Agent, f.Connected, f.Talk, f.Hold, f.WrapUp, f.Place = "", "", 0, 0, 0, 0, 0
	f.Forwarded, f.ForwardedTo = 0, ""
	f.Moves = f.Moves[:0]
}

// leaveSeat lets the agent at x wrap up the talk with c, which goes on. What the seat
// wraps up is a part of the call, with the same id.
func (s *State) leaveSeat(c *call, x *seat) {
	part := &call{part: true, q: c.q, seat: x, facts: CallView{ID: c.facts.ID, Phase: PhaseWrapUp, Queue: c.facts.Queue, Connected: c.facts.Connected, Ended: s.now}}
	c.seat = nil
	s.release(x, part, true)
}

// closePart notes how long the agent at x took for the part, if the call is still there.
func (s *State) closePart(part *call, x *seat) {
	c := s.calls[part.facts.ID]
	if c == nil {
		return
	}
	if f := &c.facts; f.Forwarded == part.facts.Ended && f.Forwarded != 0 && f.Seat == x.id {
		f.WrapUp = part.facts.WrapUp
		return
	}
	for i := range c.facts.Talks {
		if t := &c.facts.Talks[i]; t.Seat == x.id && t.Ended == part.facts.Ended {
			t.WrapUp = part.facts.WrapUp
		}
	}
}
