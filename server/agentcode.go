package server

import (
	"net/url"
	"strings"
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// agentCall serves an agent's phone that calls: a feature code takes effect, a prompt
// confirms it, and the call ends; anybody else who is dialled is reached.
func (s *Server) agentCall(leg *sip.Leg) {
	defer leg.Hangup()
	in := leg.Incoming()
	cfg := s.settings.Load()
	dialled, err := url.PathUnescape(in.Dialled)
	if err != nil {
		dialled = in.Dialled
	}
	if in.Replaces != nil {
		s.takeOver(leg, in.Replaces)
		return
	}
	if in.Joins != nil {
		s.joinTalk(leg, cfg, in.Joins)
		return
	}
	log := s.log.With("agent", in.Agent, "sip_call_id", leg.CallID())
	say := "unknown-code"
	codes := cfg.FeatureCodes
	status := func(st routing.Status, reason, prompt string) {
		s.core.post(routing.AgentStatusChanged{Agent: routing.AgentID(in.Agent), Status: st, Reason: reason})
		say = prompt
		log.Info("agent chose status", "status", st)
	}
	switch dialled {
	case codes.Ready:
		status(routing.StatusReady, "", "you-are-ready")
	case codes.LogOut:
		status(routing.StatusLoggedOut, "", "logged-out")
	case codes.EndWrapUp:
		s.core.post(routing.WrapUpEnded{Seat: routing.SeatID(in.Agent)})
		say = "wrap-up-ended"
	case codes.ExtendWrapUp:
		say = "wrap-up-not-extended"
		if s.core.tell(routing.WrapUpExtended{Seat: routing.SeatID(in.Agent)}) {
			say = "wrap-up-extended"
		}
		log.Info("agent asked for a longer wrap-up", "answer", say)
	default:
		if reason, ok := codes.BreakReason(dialled); ok {
			status(routing.StatusBreak, reason, "on-break")
			break
		}
		prompt, ok := s.toggleEmergency(cfg, in.Agent, dialled)
		if !ok {
			s.agentReaches(leg, cfg, dialled)
			return
		}
		say = prompt
	}
	s.confirm(leg, cfg, say)
}

// agentReaches serves an agent who dials somebody, or picks a call up.
func (s *Server) agentReaches(leg *sip.Leg, cfg *settings, dialled string) {
	if whose, ok := strings.CutPrefix(dialled, cfg.FeatureCodes.PickUp); ok {
		s.pickUp(leg, cfg, whose)
		return
	}
	if whose, ok := strings.CutPrefix(dialled, cfg.FeatureCodes.Supervise); ok {
		s.supervise(leg, cfg, whose)
		return
	}
	to, ok := cfg.resolve(dialled)
	if !ok {
		s.log.Warn("agent dialled what leads nowhere", "agent", leg.Incoming().Agent, "sip_call_id", leg.CallID())
		_ = leg.Reject(404, "Not Found")
		return
	}
	to.phone = leg.Incoming().Instance
	s.agentDials(leg, cfg, to)
}

// confirm answers and plays one prompt, at most ten seconds.
func (s *Server) confirm(leg *sip.Leg, cfg *settings, prompt string) {
	audio, err := s.newAudio(leg.CallID(), leg.Listener())
	if err != nil {
		_ = leg.Reject(503, "Service Unavailable")
		return
	}
	defer audio.Close()
	audio.Protect(cfg.protection(leg))
	sdp, err := firstSDP(audio, leg.Incoming())
	if err != nil {
		_ = leg.Reject(488, "Not Acceptable Here")
		return
	}
	s.join(s.log, leg, audio, nil)
	if err := leg.Answer(sdp); err != nil {
		s.log.Warn("agent's code not confirmed", "sip_call_id", leg.CallID(), "error", err)
		return
	}
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-leg.Confirmed():
	case <-leg.Done():
		return
	case <-s.ctx.Done():
		return
	case <-limit.C:
		return
	}
	select {
	case <-audio.Play(cfg.prompts.Get(prompt, cfg.Directory.DefaultLanguage), media.PlayOptions{}).Done():
	case <-leg.Done():
	case <-s.ctx.Done():
	case <-limit.C:
	}
}
