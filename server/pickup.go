package server

import (
	"slices"
	"sync"
	"time"

	"hotline/routing"
	"hotline/sip"
)

// pick is an agent's wish to take a call that rings elsewhere. Whoever owns the call
// says on ok whether the agent has it; then the leg is the call's.
type pick struct {
	agent string
	leg   *sip.Leg
	ok    chan bool
}

// pickWithin is how long the owner of a call may take to hear of a pick-up; while the
// call talks it doesn't listen.
const pickWithin = time.Second

// pickUp serves an agent who picks up: the call that rings longest at a seat of the
// agent's queues, or the one that rings at the seat named.
func (s *Server) pickUp(leg *sip.Leg, cfg *settings, whose string) {
	agent := leg.Incoming().Agent
	log := s.log.With("agent", agent, "sip_call_id", leg.CallID())
	if whose != "" {
		to, ok := cfg.resolve(whose)
		if !ok || to.agent == "" {
			_ = leg.Reject(404, "Not Found")
			return
		}
		whose = to.agent
	}
	id := s.ringing(seatOf(agent), seatOf(whose))
	c := s.waits.of(id)
	if c == nil {
		log.Info("nothing rings that could be picked up")
		_ = leg.Reject(480, "Nothing To Pick Up")
		return
	}
	p := &pick{agent: agent, leg: leg, ok: make(chan bool, 1)}
	limit := time.NewTimer(pickWithin)
	defer limit.Stop()
	select {
	case c.picks <- p:
		if <-p.ok {
			<-leg.Done()
			return
		}
	case <-leg.Done():
	case <-s.waits.gone(c):
	case <-limit.C: // the phone that rang has just been answered
	}
	_ = leg.Reject(480, "Nothing To Pick Up")
}

// ringing is the call that has been on offer longest to a seat that shares a queue with
// the agent's, or to the seat named; "" when there is none.
func (s *Server) ringing(agent, at routing.SeatID) (id routing.CallID) {
	var since routing.Time
	_ = s.core.view(s.ctx, func(st *routing.State) {
		own, _ := st.Seat(agent)
		for _, v := range st.Seats() {
			shared := slices.ContainsFunc(v.Queues, func(q routing.QueueID) bool { return slices.Contains(own.Queues, q) })
			if v.Offer == 0 || !shared || at != "" && v.ID != at || id != "" && v.Since >= since {
				continue
			}
			id, since = v.Call, v.Since
		}
	})
	return id
}

// picked lets an agent who picks up have the call; nil when that comes too late.
func (c *call) picked(p *pick) *party {
	b, err := c.answerPick(p)
	p.ok <- b != nil
	if err != nil {
		c.log.Warn("call not picked up", "agent", p.agent, "error", err)
	}
	return b
}

func (c *call) answerPick(p *pick) (*party, error) {
	audio, err := c.s.newAudio(string(c.id)+"/"+p.agent, p.leg.Listener())
	if err != nil {
		return nil, err
	}
	audio.Protect(c.cfg.protection(p.leg))
	sdp, err := firstSDP(audio, p.leg.Incoming())
	if err != nil {
		_ = audio.Close()
		return nil, err
	}
	if !c.s.core.tell(routing.CallTaken{Call: c.id, Seat: seatOf(p.agent)}) {
		_ = audio.Close()
		return nil, nil
	}
	c.log.Info("call picked up", "seat", p.agent)
	b := &party{seat: seatOf(p.agent), where: "agent " + p.agent, leg: p.leg, audio: audio}
	c.s.join(c.log, p.leg, audio, nil) // the ACK may bring its SDP before the talk has begun
	if err := p.leg.Answer(sdp); err != nil {
		return b, err // routing has it that they talk; talk gives the caller back
	}
	return b, nil
}

// waits are the calls that wait, by id.
type waits struct {
	mu sync.Mutex
	by map[routing.CallID]*waiting
}

type waiting struct {
	*call
	over chan struct{}
}

func (t *waits) enter(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[routing.CallID]*waiting)
	}
	t.by[c.id] = &waiting{c, make(chan struct{})}
}

func (t *waits) forget(c *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.by[c.id]; w != nil {
		close(w.over)
		delete(t.by, c.id)
	}
}

func (t *waits) of(id routing.CallID) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.by[id]; w != nil {
		return w.call
	}
	return nil
}

// gone is closed when the call waits no more.
func (t *waits) gone(c *call) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.by[c.id]; w != nil {
		return w.over
	}
	over := make(chan struct{})
	close(over)
	return over
}

// swap is an agent's other phone that takes a talk over (RFC 3891).
type swap struct {
	leg  *sip.Leg
	from *sip.Leg // whose place it takes
	ok   chan bool
}

// takeOver serves an INVITE that replaces the leg of a talk: an agent goes on on
// another phone. Nobody can take the talk of somebody else.
func (s *Server) takeOver(leg *sip.Leg, r *sip.Replaced) {
	in := leg.Incoming()
	t := s.talks.of(r.Leg)
	if t == nil || t.at != seatOf(in.Agent) {
		s.log.Warn("agent may not replace the call", "agent", in.Agent, "sip_call_id", leg.CallID())
		_ = leg.Reject(403, "Forbidden")
		return
	}
	w := &swap{leg: leg, from: r.Leg, ok: make(chan bool, 1)}
	select {
	case t.swaps <- w:
		if <-w.ok {
			<-leg.Done()
			return
		}
	case <-r.Leg.Done():
	case <-leg.Done():
	}
	_ = leg.Reject(481, "Call/Transaction Does Not Exist")
}

// swap lets the talk go on at another phone of the same agent.
func (t *talk) swap(w *swap) {
	b, err := t.swapped(w)
	w.ok <- b != nil
	if b == nil {
		t.log.Warn("phone can't take the talk over", "error", err)
		return
	}
	old := t.b
	t.leave(nil)
	if t.connect(b) {
		t.s.talks.enter(t, b.leg)
		t.recordTalk()
		t.log.Info("talk goes on at another phone", "seat", old.seat, "agent_sip_call_id", b.leg.CallID())
	}
}

func (t *talk) swapped(w *swap) (*party, error) {
	if t.b == nil || t.b.leg != w.from || t.moving != nil || t.handing != nil {
		return nil, nil
	}
	audio, err := t.s.newAudio(string(t.id)+"/"+string(t.b.seat), w.leg.Listener())
	if err != nil {
		return nil, err
	}
	audio.Protect(t.cfg.protection(w.leg))
	sdp, err := firstSDP(audio, w.leg.Incoming())
	if err == nil {
		t.s.join(t.log, w.leg, audio, nil)
		err = w.leg.Answer(sdp)
	}
	if err != nil {
		_ = audio.Close()
		return nil, err
	}
	return &party{seat: t.b.seat, where: t.b.where, leg: w.leg, audio: audio}, nil
}

// talks are the talks by the leg of the other side.
type talks struct {
	mu sync.Mutex
	by map[*sip.Leg]seated
}

type seated struct {
	*talk
	at routing.SeatID
}

func (s *talks) enter(t *talk, l *sip.Leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = make(map[*sip.Leg]seated)
	}
	s.by[l] = seated{t, t.b.seat}
}

func (s *talks) forget(l *sip.Leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, l)
}

func (s *talks) of(l *sip.Leg) *seated {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.by[l]; ok {
		return &t
	}
	return nil
}
