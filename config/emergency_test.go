package config

import (
	"strings"
	"testing"
)

func TestEmergencyPolicyOpensAllSeats(t *testing.T) {
	cfg, err := Load("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.EmergencyPolicy("flood")
	for _, x := range p.Seats {
		if x.VIP || len(x.Queues) != len(cfg.Queues) {
			t.Errorf("seat %s is not open to all: %+v", x.ID, x)
		}
	}
	if p.KeepIdle != 0 || p.Validate() != nil {
		t.Errorf("keep_idle %d, %v", p.KeepIdle, p.Validate())
	}
	for _, name := range []string{"", "unknown"} {
		if q := cfg.EmergencyPolicy(name); q.KeepIdle != 1 || !q.Seats[0].VIP {
			t.Errorf("emergency %q changes the policy", name)
		}
	}
}

func TestBrokenEmergencies(t *testing.T) {
	good := "sip: {listen: [{address: \"127.0.0.1:5060\"}]}\ntrunks: [{name: t, addresses: [192.0.2.1], dids: [{number: \"1\", flow: f}]}]\n" +
		"queues: [{name: q}]\nagents: [{user: a, password: secret, queues: [q]}]\nflows: {f: {start: s, steps: {s: {queue: q}}}}\n"
	for text, want := range map[string]string{
		"{name: x, shed: [B2]}":                "tier B2 would be turned away, but C not; shed from the bottom: C, B2, B1, A2, A1",
		"{name: x, announce: [fire]}":          `prompt "fire" doesn't exist`,
		"{name: x, code: \"*9\"}":              "nobody may dial code *9; add agents: [...]",
		"{name: x, code: \"*1\", agents: [a]}": "code *1 is taken already",
		"{name: x, agents: [z]}":               "there is no agent z",
		"{name: x}, {name: x}":                 "emergency x is there twice",
		"{announce: [emergency]}":              "has no name",
	} {
		_, err := Parse("f", []byte(good+"emergencies: ["+text+"]\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s:\n%v\nwant one problem: %s", text, err, want)
		}
	}
	if _, err := Parse("f", []byte(good+"emergencies: [{name: x, code: \"*9\", agents: [a], announce: [emergency], open_all_seats: true, shed: [C, B2]}]\n")); err != nil {
		t.Error(err)
	}
}
