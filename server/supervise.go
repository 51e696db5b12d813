package server

import (
	"log/slog"
	"slices"

	"hotline/routing"
	"hotline/sip"
)

// supervise serves an agent who listens to the talk at a seat. The keys 1, 2 and 3 of the supervisor's
// phone are: listen, whisper to the agent, join the talk.
func (s *Server) supervise(leg *sip.Leg, cfg *settings, whose string) {
	supervisor := leg.Incoming().Agent
	log := s.log.With("agent", supervisor, "sip_call_id", leg.CallID())
	to, _ := cfg.resolve(whose)
	if to.agent == "" || to.agent == supervisor {
		_ = leg.Reject(404, "Not Found")
		return
	}
	t := s.talks.at(seatOf(to.agent))
	if t == nil {
		log.Info("nobody to supervise talks there", "seat", to.agent)
		_ = leg.Reject(480, "Nobody Talks There")
		return
	}
	if !t.supervisedBy(leg, cfg) {
		log.Warn("agent may not supervise the talk", "seat", to.agent)
		_ = leg.Reject(403, "Forbidden")
		return
	}
	s.letIn(leg, cfg, t, listens, log)
}

// joinTalk serves an agent's INVITE that joins a call (RFC 3911): who may supervise the talk there
// is in it at once, heard by all, and may change that by key.
func (s *Server) joinTalk(leg *sip.Leg, cfg *settings, call *sip.Leg) {
	supervisor := leg.Incoming().Agent
	log := s.log.With("agent", supervisor, "sip_call_id", leg.CallID())
	a, _ := cfg.Agent(supervisor)
	t := s.talks.with(call)
	switch {
	case len(a.Supervises) == 0 || t != nil && (t.at == seatOf(supervisor) || !t.supervisedBy(leg, cfg)):
		log.Warn("agent may not join the call")
		_ = leg.Reject(403, "Forbidden")
	case t == nil:
		log.Info("nobody talks in the call that is to be joined")
		_ = leg.Reject(488, "Not Acceptable Here")
	default:
		s.letIn(leg, cfg, t.talk, joins, log)
	}
}

// supervisedBy tells whether the agent whose leg this is may supervise the talk in its queue of now.
func (t *talk) supervisedBy(leg *sip.Leg, cfg *settings) (may bool) {
	a, ok := cfg.Agent(leg.Incoming().Agent)
	return ok && t.visit(leg, func() { may = slices.Contains(a.Supervises, string(t.queue)) }) && may
}

// letIn answers a supervisor, who takes part in the talk until it or the supervisor's call is over.
func (s *Server) letIn(leg *sip.Leg, cfg *settings, t *talk, m mode, log *slog.Logger) {
	supervisor := leg.Incoming().Agent
	vacate, _ := s.occupy(seatOf(supervisor), false)
	if vacate != nil {
		defer vacate()
	}
	audio, err := s.newAudio(leg.CallID(), leg.Listener())
	if err != nil {
		_ = leg.Reject(503, "Service Unavailable")
		return
	}
	g := &guest{supervisor: true, mode: m, party: &party{seat: seatOf(supervisor), where: "agent " + supervisor, leg: leg, audio: audio}}
	defer s.leave(g.party, nil)
	audio.Protect(cfg.protection(leg))
	sdp, err := firstSDP(audio, leg.Incoming())
	if err != nil {
		_ = leg.Reject(488, "Not Acceptable Here")
		return
	}
	s.join(log, leg, audio, nil)
	if err := leg.Answer(sdp); err != nil {
		log.Warn("supervisor's call can't be answered", "error", err)
		return
	}
	if len(leg.Incoming().Offer) > 0 || s.acknowledged(leg) {
		t.attend(g, log)
	}
}

// acknowledged waits for the ACK to an answer of ours that was an offer: until then nobody knows where to send the
// first sound. False when the leg is over or we end.
func (s *Server) acknowledged(l *sip.Leg) bool {
	select {
	case <-l.Confirmed():
		return true
	case <-l.Done():
	case <-s.ctx.Done():
	}
	return false
}

// supervisorKeys are what a supervisor presses.
var supervisorKeys = map[byte]mode{'1': listens, '2': whispers, '3': joins}

// attend lets a guest take part until it hangs up or the talk is over.
func (t *talk) attend(g *guest, log *slog.Logger) {
	log = log.With("call", t.id)
	if !t.visit(g.leg, func() { t.welcome(g) }) {
		return
	}
	defer t.visit(nil, func() { t.seeOff(g) })
	digits := g.audio.Digits()
	for {
		select {
		case <-t.over:
			return
		case <-g.leg.Done():
			return
		case <-g.audio.Timeout():
			log.Warn("no sound from the guest any more")
			return
		case k, open := <-digits:
			if !open { // the media are closing
				return
			}
			m, ok := supervisorKeys[k.Key]
			if !ok || !g.supervisor {
				continue
			}
			if !t.visit(g.leg, func() { t.turn(g, m) }) {
				return
			}
		}
	}
}

// visit has f run by the talk's goroutine and waits for it; false when the talk is over, or the leg
// (if not nil).
func (t *talk) visit(leg *sip.Leg, f func()) bool {
	var gone <-chan struct{}
	if leg != nil {
		gone = leg.Done()
	}
	ran := make(chan struct{})
	select {
	case t.visits <- func() { defer close(ran); f() }:
		<-ran
		return true
	case <-t.over:
	case <-gone:
	}
	return false
}

func (t *talk) welcome(g *guest) {
	t.log.Info("guest in the talk", "who", g.where, "mode", g.mode)
	if err := t.company.admit(g); err != nil {
		t.log.Error("guest can't be let in", "error", err)
		g.leg.Hangup()
	}
}

func (t *talk) turn(g *guest, m mode) {
	t.log.Info("guest in the talk", "who", g.where, "mode", m)
	if err := t.company.let(g, m); err != nil {
		t.log.Error("guest can't take part otherwise", "error", err)
	}
}

func (t *talk) seeOff(g *guest) {
	t.log.Info("guest left the talk", "who", g.where)
	if err := t.company.dismiss(g); err != nil {
		t.log.Error("legs can't be bridged again", "error", err)
	}
}

// at is the talk at a seat, nil when there is none.
func (s *talks) at(seat routing.SeatID) *talk {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.by {
		if t.at == seat {
			return t.talk
		}
	}
	return nil
}

// with is the talk that a leg is in, the caller's or the other side's; nil when there is none.
func (s *talks) with(l *sip.Leg) *seated {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, t := range s.by {
		if b == l || t.a == l {
			return &t
		}
	}
	return nil
}

// ofAgent is the call of an agent's own, nil when there is none.
func (t *directs) ofAgent(agent string) *direct {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.by {
		if d.agent == agent {
			return d
		}
	}
	return nil
}

// confer brings the other side of the agent's own call, which has answered, into the talk: a conference
// of three. It ends with the talk; the third may leave before.
func (t *talk) confer() {
	d := t.s.directs.ofAgent(string(t.b.seat))
	if d == nil {
		t.log.Info("agent has nobody to bring into the talk", "seat", t.b.seat)
		return
	}
	h := d.handOver()
	if h.own != nil {
		t.s.leave(h.own, nil)
	}
	if h.b == nil {
		if h.far != nil {
			h.far.drop()
		}
		t.log.Info("third party has not answered yet", "seat", t.b.seat)
		return
	}
	third := h.b
	third.leg.JoinTrace(string(t.id))
	t.s.calls.Go(func() {
		t.attend(&guest{party: third, mode: joins}, t.log)
		t.s.leave(third, nil)
		if third.vacate != nil {
			third.vacate()
		}
	})
}
