package server

import (
	"os"
	"path/filepath"
	"testing"

	"hotline/config"
	"hotline/routing"
)

// An emergency is switched by an agent's code and by the API, and is still on
// after a restart; callers of tiers that are shed hear the announcement and are
// gone; then all is as before.
func TestEmergency(t *testing.T) {
	// The caller's language is known, so that one announcement is enough.
	people := filepath.Join(t.TempDir(), "customers.csv")
	if err := os.WriteFile(people, []byte("number,tier,language\n+8613800000001,C,en\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flood := config.Emergency{Name: "flood", Code: "*9", Agents: []string{"alice"}, OpenAllSeats: true, Shed: []routing.Tier{routing.TierC}}
	h := start(t, func(c *config.Config) {
		c.Emergencies, c.Directory.File = []config.Emergency{flood}, people
	})
	alice, _ := h.desk("alice")
	if code, _ := h.get("POST", "/api/emergency/quake", ""); code != 404 || h.Emergency() != "" {
		t.Errorf("an unknown emergency: %d, %q", code, h.Emergency())
	}
	c, err := h.dial(alice, "*9")
	if err != nil {
		t.Fatal(err)
	}
	h.await("the confirmation to end", c.Done())
	if h.Emergency() != "flood" {
		t.Fatalf("the code switched on %q", h.Emergency())
	}
	h.await("the caller is turned away", h.call().Done())

	// The next process finds it on.
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, func(c *config.Config) {
		c.Emergencies = []config.Emergency{flood}
		c.Journal, c.Records = h.settings.Load().Journal, h.settings.Load().Records
	})
	if again.Emergency() != "flood" {
		t.Errorf("after a restart %q is on, want flood", again.Emergency())
	}
	if code, _ := again.get("DELETE", "/api/emergency", ""); code != 200 || again.Emergency() != "" {
		t.Errorf("switching off: %d, %q", code, again.Emergency())
	}
	rest := again.call()
	again.when("the caller waits", func(s *routing.State) bool {
		for _, v := range s.Calls() {
			if v.Phase == routing.PhaseWaiting {
				return true
			}
		}
		return false
	})
	rest.Hangup()
	_ = again.finish()
}

// Only the agents named may switch by code, and a config that no longer has the
// emergency that is on ends it.
func TestEmergencyRights(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Emergencies = []config.Emergency{{Name: "flood", Code: "*9", Agents: []string{"nobody"}}}
	})
	alice, _ := h.desk("alice")
	if _, err := h.dial(alice, "*9"); err == nil || h.Emergency() != "" {
		t.Errorf("alice may not switch, yet: %v, %q", err, h.Emergency())
	}
	if err := h.SetEmergency("flood"); err != nil || h.Emergency() != "flood" {
		t.Fatalf("%v, %q", err, h.Emergency())
	}
	if _, err := h.Reload(parse(t, h.dir, nil)); err != nil || h.Emergency() != "" {
		t.Errorf("after a reload without it: %v, %q", err, h.Emergency())
	}
	_ = h.finish()
}
