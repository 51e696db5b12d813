package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hotline/config"
	"hotline/media"
	"hotline/routing"
)

// emergencyFile keeps the name of the emergency that is on beside the journal: it
// stays on when the server starts anew.
const emergencyFile = "emergency"

// Emergency is the name of the emergency that is on, "" when none is.
func (s *Server) Emergency() string {
	name, _ := s.emergency.Load().(string)
	return name
}

// SetEmergency switches to the named emergency, or back to normal with "". It
// counts for callers who come from now on; routing gets the policy by one entry
// of its journal. An unknown name is an error and changes nothing.
func (s *Server) SetEmergency(name string) error {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	cfg := s.settings.Load().Config
	if _, ok := cfg.Emergency(name); name != "" && !ok {
		return fmt.Errorf("there is no emergency %q in the config; there are: %s", name, emergencyNames(cfg))
	}
	file := filepath.Join(cfg.Journal.Dir, emergencyFile)
	if err := keepEmergency(file, name); err != nil {
		// What is done now matters more than what a restart will find.
		s.log.Error("emergency not kept over a restart", "file", file, "error", err)
	}
	s.emergency.Store(name)
	s.postPolicy(cfg, name)
	s.log.Warn("emergency switched", "emergency", name, "on", name != "")
	return nil
}

func emergencyNames(cfg *config.Config) string {
	var names []string
	for _, e := range cfg.Emergencies {
		names = append(names, e.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func keepEmergency(file, name string) error {
	if name == "" {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return os.WriteFile(file, []byte(name+"\n"), 0o600)
}

// keptEmergency is the emergency that was on when the last process ended, as far
// as the config still has it.
func keptEmergency(cfg *config.Config) string {
	data, err := os.ReadFile(filepath.Join(cfg.Journal.Dir, emergencyFile))
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(data))
	if _, ok := cfg.Emergency(name); !ok {
		return ""
	}
	return name
}

// toggleEmergency serves an agent's code; false when it is nobody's or the agent
// may not.
func (s *Server) toggleEmergency(cfg *settings, agent, code string) (prompt string, ok bool) {
	for _, e := range cfg.Emergencies {
		if e.Code == "" || e.Code != code || !slices.Contains(e.Agents, agent) {
			continue
		}
		name, prompt := e.Name, "emergency-on"
		if s.Emergency() == e.Name {
			name, prompt = "", "emergency-off"
		}
		if err := s.SetEmergency(name); err != nil {
			return "", false
		}
		return prompt, true
	}
	return "", false
}

// bear tells the caller of the emergency, and turns those away whose tier is shed;
// false when the call is over.
func (c *call) bear() bool {
	e, on := c.cfg.Emergency(c.s.Emergency())
	if !on {
		return true
	}
	shed := slices.Contains(e.Shed, c.customer.Tier)
	say := e.Announce
	if shed {
		say = append(slices.Clip(say), "emergency-shed")
	}
	for _, name := range say {
		if !c.hear(name) {
			return false
		}
	}
	if shed {
		c.log.Warn("caller turned away in an emergency", "emergency", e.Name, "tier", c.customer.Tier)
		c.cause = routing.CauseFlowEnded
	}
	return !shed
}

// hear plays a prompt to its end, in the caller's language or in both; false when
// the caller has gone.
func (c *call) hear(name string) bool {
	languages := []string{c.language}
	if c.language == "" {
		languages = []string{"zh", "en"}
	}
	for _, l := range languages {
		p := c.play(c.cfg.prompts.Get(name, l), media.PlayOptions{})
		select {
		case <-p.Done():
		case <-c.a.Done():
			c.cause = routing.CauseCallerHungUp
			return false
		case <-c.audio.Timeout():
			c.cause = silence(c.audio)
			return false
		case <-c.s.ctx.Done():
			c.drained()
			return false
		}
	}
	return true
}
