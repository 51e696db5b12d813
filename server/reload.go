package server

import (
	"fmt"
	"time"

	"hotline/config"
	"hotline/routing"
)

// Reload takes over a new config: trunks, agents, queues, tiers, flows and
// prompts at once, for calls that begin from now on; routing by one entry of the
// journal. It returns the names of the fields that differ from what was started
// with and need a restart; those keep their old effect. On an error the old config stays whole.
func (s *Server) Reload(cfg *config.Config) (restart []string, err error) {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	// Against the config that was started with: a change is owed until then.
	restart = config.NeedsRestart(s.started, cfg)
	set, err := newSettings(cfg)
	if err != nil {
		s.metrics.ReloadFailed()
		return nil, fmt.Errorf("reload: %w", err)
	}
	who, err := openDirectory(cfg, s.log, s.metrics)
	if err != nil {
		s.metrics.ReloadFailed()
		return nil, fmt.Errorf("reload: %w", err)
	}
	s.who.replace(who)
	if err := s.openRecorder(cfg); err != nil {
		s.log.Error("nothing is recorded until this is put right and the config reloaded", "error", err)
	}
	// Routing first: a seat must exist before its agent can register.
	if _, still := cfg.Emergency(s.Emergency()); !still {
		s.emergency.Store("")
	}
	s.postPolicy(cfg, s.Emergency())
	s.sip.SetAccess(cfg.SIPAccess())
	_ = s.sip.ReloadCertificates() // those that are wrong are logged and counted there
	s.settings.Store(set)
	s.log.Info("config reloaded", "needs_restart", restart)
	return restart, nil
}

// postPolicy gives routing the config's policy as it is now; the caller holds
// reloadMu once the server is open.
func (s *Server) postPolicy(cfg *config.Config, emergency string) {
	s.nextPolicy, _ = cfg.NextPolicy(time.Now())
	s.core.post(routing.PolicyChanged{Policy: cfg.EmergencyPolicy(emergency)})
}

// followClock gives routing the policy anew when the clocks of its time zone have
// changed.
func (s *Server) followClock() {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if !s.nextPolicy.IsZero() && !time.Now().Before(s.nextPolicy) {
		s.postPolicy(s.settings.Load().Config, s.Emergency())
	}
}
