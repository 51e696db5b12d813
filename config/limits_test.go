package config

import (
	"reflect"
	"strings"
	"testing"

	"hotline/routing"
)

const limited = `
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: t, addresses: [127.0.0.1], dids: [{number: "*", flow: main}]}]
routing: {strategy: round_robin, resume_within: 5m}
queues:
  - name: loans
    wrap_up_extension: 20s
    max_extensions: 2
    strategy: most_skilled
    skill: loans
    min_level: 6
    relax_after: 30s
    max_waiting: 9
    when_full: {queue: desk}
    max_wait: 2m
    when_too_long: {hang_up: goodbye}
    join_empty: false
    leave_empty: 1m
    when_empty: {hang_up: all-busy}
  - name: desk
agents: [{user: a, password: secret-a, queues: [loans, desk], preferences: [{queue: desk, rank: 2}], skills: [{name: loans, level: 7}, {name: cards}], weight: 3}]
flows: {main: {start: q, steps: {q: {queue: loans}}}}
`

// TestPolicyOfQueues compares what a file says about queues and skills with what
// routing is told.
func TestPolicyOfQueues(t *testing.T) {
	cfg, err := Parse("limited", []byte(limited))
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.Policy()
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	want := routing.QueuePolicy{
		ID: "loans", WrapUp: 10 * routing.Second, Strategy: routing.StrategyMostSkilled, RingGroup: 1,
		Extension: routing.Extension{WrapUpExtension: 20 * routing.Second, MaxExtensions: 2},
		Skill:     "loans", MinLevel: 6, RelaxAfter: 30 * routing.Second,
		Limits: routing.Limits{
			MaxWaiting: 9, WhenFull: routing.Exit{Queue: "desk"},
			MaxWait: 2 * routing.Minute, WhenTooLong: routing.Exit{Prompt: "goodbye"},
			RefuseEmpty: true, LeaveEmpty: routing.Minute, WhenEmpty: routing.Exit{Prompt: "all-busy"},
		},
	}
	if !reflect.DeepEqual(p.Queues[0], want) {
		t.Errorf("got  %+v\nwant %+v", p.Queues[0], want)
	}
	usual := routing.Extension{WrapUpExtension: 30 * routing.Second, MaxExtensions: 1}
	if desk := (routing.QueuePolicy{ID: "desk", WrapUp: 10 * routing.Second, RingGroup: 1, Extension: usual}); !reflect.DeepEqual(p.Queues[1], desk) {
		t.Errorf("by default %+v", p.Queues[1])
	}
	skills := p.Seats[0].Skills
	if len(skills) != 2 || skills[0] != (routing.Skill{Name: "loans", Level: 7}) || skills[1].Level != 5 {
		t.Errorf("skills %+v", skills)
	}
	if r := p.Seats[0].Ranks; len(r) != 1 || r[0] != (routing.QueueRank{Queue: "desk", Rank: 2}) {
		t.Errorf("ranks %+v", r)
	}
	if p.Seats[0].Weight != 3 {
		t.Errorf("weight %d", p.Seats[0].Weight)
	}
	if p.Strategy != routing.StrategyRoundRobin || p.ResumeWithin != 5*routing.Minute {
		t.Errorf("strategy %s, resume within %d", p.Strategy, p.ResumeWithin)
	}
}

// TestEmergencyLiftsLevels: a seat that is open to all serves whatever its level, and
// is as near as all others.
func TestEmergencyLiftsLevels(t *testing.T) {
	cfg, err := Parse("limited", []byte(strings.Replace(limited, "agents:", "emergencies: [{name: flood, open_all_seats: true}]\nagents:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.EmergencyPolicy("flood")
	if p.Queues[0].MinLevel != 0 || p.Seats[0].Ranks != nil || p.Validate() != nil {
		t.Errorf("queue %+v, %v", p.Queues[0], p.Validate())
	}
	if cfg.Policy().Queues[0].MinLevel != 6 {
		t.Error("the normal policy has changed")
	}
}

// TestTierMaxWait: a tier's limit is told to routing, leads to when_too_long where the
// queue has none of its own, and ends a plan that otherwise wouldn't.
func TestTierMaxWait(t *testing.T) {
	const tiers = "tiers: {A1: {max_wait: 1m}, A2: {max_wait: 1m}, B1: {max_wait: 1m}, B2: {max_wait: 1m}, C: {max_wait: 90s}}\n"
	text := strings.Replace(minimal, "{name: q}", "{name: q, when_too_long: {hang_up: goodbye}, plan: [{ring: manager, for: 20s}]}", 1)
	cfg, err := Parse("tiers", []byte(text+tiers))
	if err != nil {
		t.Fatal(err)
	}
	for _, tier := range cfg.Policy().Tiers {
		want := routing.Minute
		if tier.Tier == routing.TierC {
			want = 90 * routing.Second
		}
		if tier.MaxWait != want {
			t.Errorf("%s may wait %s, want %s", tier.Tier, tier.MaxWait, want)
		}
	}
	for old, want := range map[string]string{
		"C: {max_wait: 90s}": "the plan of queue q never ends for callers of tier C",
		"max_wait: 1m":       "the plan of queue q never ends for callers of tier A1",
	} {
		if _, err := Parse("tiers", []byte(text+strings.Replace(tiers, old, strings.Replace(old, "max_wait", "target", 1), 1))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v, want %s", old, err, want)
		}
	}
}
