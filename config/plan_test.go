package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotline/routing"
)

const planned = `
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: t, addresses: [127.0.0.1], dids: [{number: "*", flow: main}]}]
routing: {time_zone: Europe/Berlin}
queues:
  - name: sales
    skill: sales
    min_level: 5
    plan:
      - {ring: manager, for: 20s}
      - {ring: vip, for: 10s, when: {tiers: [A1, A2]}}
      - {ring: queue}
      - {ring: queue, of: desk, after: 1m, when: {waiting_per_seat: 1.5, waiting: 3}}
      - {ring: relaxed, after: 90s}
      - leave: {queue: desk}
        after: 2m
        when: {expected_wait: 10m, hours: ["Mon-Tue 09:00-18:00", "Sun 22:00-06:00", "Wed"]}
      - {leave: {}, after: 5m}
  - name: desk
agents: [{user: a, password: secret-a, queues: [sales, desk], vip: true, skills: [{name: sales}]}, {user: b, password: secret-b, queues: [sales, desk]}]
flows: {main: {start: q, steps: {q: {queue: sales}}}}
emergencies: [{name: flood, open_all_seats: true}]
`

// A plan that relaxes the level asks for no agent who has it.
func TestPlanRelaxesALevelThatNobodyHas(t *testing.T) {
	if _, err := Parse("relaxed", []byte(strings.Replace(planned, "skills: [{name: sales}]", "skills: []", 1))); err != nil {
		t.Error(err)
	}
}

// What a file says of a plan is what routing is told.
func TestPolicyOfPlan(t *testing.T) {
	cfg, err := Parse("planned", []byte(planned))
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * 60
	want := []routing.PlanStep{
		{Ring: routing.StepManager, For: 20 * routing.Second},
		{Ring: routing.StepVIP, For: 10 * routing.Second, When: routing.Condition{Tiers: []routing.Tier{routing.TierA1, routing.TierA2}}},
		{Ring: routing.StepQueue},
		{Ring: routing.StepQueue, Of: "desk", After: routing.Minute, When: routing.Condition{WaitingPerSeat: 1500, Waiting: 3}},
		{Ring: routing.StepRelaxed, After: 90 * routing.Second},
		{Leave: &routing.Exit{Queue: "desk"}, After: 2 * routing.Minute, When: routing.Condition{ExpectedWait: 10 * routing.Minute, Hours: []routing.Window{
			{From: 9 * 60, To: 18 * 60}, {From: day + 9*60, To: day + 18*60}, {From: 6*day + 22*60, To: 6 * 60}, {From: 2 * day, To: 3 * day},
		}}},
		{Leave: &routing.Exit{}, After: 5 * routing.Minute},
	}
	p := cfg.Policy()
	if d := cmp.Diff(want, p.Queues[0].Plan); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	e := cfg.EmergencyPolicy("flood")
	if plan := e.Queues[0].Plan; len(plan) != 3 || plan[0].Ring != routing.StepQueue || plan[1].Leave == nil {
		t.Errorf("in an emergency %+v", plan)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
}

// The clocks go forward in Berlin on the last Sunday of March: the policy is
// another one from that hour on.
func TestNextPolicyIsWhenTheClocksChange(t *testing.T) {
	cfg, err := Parse("planned", []byte(planned))
	if err != nil {
		t.Fatal(err)
	}
	winter := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	at, ok := cfg.NextPolicy(winter)
	if want := time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC); !ok || !at.Equal(want) {
		t.Errorf("next policy at %v, %t, want %v", at, ok, want)
	}
	if before, after := cfg.Routing.offset(at.Add(-time.Second)), cfg.Routing.offset(at); before != 60 || after != 120 {
		t.Errorf("offsets %d and %d", before, after)
	}
	cfg, err = Parse("limited", []byte(strings.Replace(limited, "strategy: round_robin", "time_zone: Europe/Berlin", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := cfg.NextPolicy(winter); ok {
		t.Errorf("without hours in a plan the policy changes at %v", at)
	}
}

// The longest plan that the file may have is taken by routing, in an emergency, too.
func TestLongestPlan(t *testing.T) {
	text := planned[:strings.Index(planned, "    plan:")] + "    plan:\n"
	for range maxSteps - 1 {
		text += "      - {leave: {queue: desk}, when: {waiting: 2}}\n"
	}
	text += "      - {leave: {}, after: 5m}\n" + planned[strings.Index(planned, "  - name: desk"):]
	cfg, err := Parse("planned", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []routing.Policy{cfg.Policy(), cfg.EmergencyPolicy("flood")} {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestHoursThatAreNone(t *testing.T) {
	for _, s := range []string{"", "mon", "Mon-Fri 9:00-18:00", "Mon 24:00-25:00", "Mon 09:60-10:00", "Mon 09:00-09:00", "Mon 08:00", "Mon-Fri 08:00-24:01"} {
		if w, err := Hours(s).windows(); err == nil {
			t.Errorf("%q gives %v", s, w)
		}
	}
}
