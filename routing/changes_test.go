package routing

import (
	"slices"
	"strings"
	"testing"
)

// What an operator reads after a reload.
func TestChanges(t *testing.T) {
	old := Policy{
		RingTime: 20 * Second, Order: OrderStrict, Tiers: []TierPolicy{{Tier: TierA1, TargetMS: 10000}},
		Queues: []QueuePolicy{{ID: "sales", WrapUp: 10 * Second, Plan: []PlanStep{{Ring: StepManager, For: 20 * Second}, {Ring: StepQueue}}}, {ID: "gone"}},
		Seats:  []SeatPolicy{{ID: "s1", Queues: []QueueID{"sales"}, Skills: []Skill{{"loans", 3}}, Ranks: []QueueRank{{"sales", 2}}}, {ID: "s2"}},
	}
	now := old.clone()
	now.Order, now.KeepIdle, now.RingTime = OrderRatio, 2, 90*Second
	now.Tiers[0].TargetMS = 5000
	now.Queues = []QueuePolicy{{ID: "new"}, now.Queues[0]}
	now.Queues[1].WrapUp = 1500 * Millisecond
	now.Queues[1].MaxWait = Hour
	now.Queues[1].Plan[0].For = Minute
	now.Queues[1].Plan = append(now.Queues[1].Plan, PlanStep{Leave: &Exit{Queue: "new"}})
	now.Seats[0].VIP, now.Seats[0].Queues, now.Seats[0].Skills = true, []QueueID{"sales", "new"}, []Skill{{"loans", 7}}
	now.Seats[0].Ranks = []QueueRank{{"sales", 3}, {"new", 2}}
	now.Seats[1].Team = "east"
	want := []string{
		"tiers.A1.target_ms: 10000 → 5000", "order: strict → ratio", "keep_idle: 0 → 2", "ring_time: 20s → 1m30s",
		"queues.gone removed", "queues.new added", "queues.sales.wrap_up: 10s → 1.5s",
		"queues.sales.plan.1.for: 20s → 1m", "queues.sales.plan.3 added", "queues.sales.max_wait: 0s → 1h",
		"seats.s1.vip: false → true", "seats.s1.queues: [sales] → [sales new]", "seats.s1.skills.loans.level: 3 → 7",
		"seats.s1.ranks.new added", "seats.s1.ranks.sales.rank: 2 → 3",
		"seats.s2.team: none → east",
	}
	if got := now.Changes(&old); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	now = old.clone()
	now.Seats[1].Languages = []string{} // as a file may say it, and a journal doesn't
	for _, p := range []Policy{old, now} {
		if got := p.Changes(&old); len(got) != 0 {
			t.Errorf("nothing has changed: %q", got)
		}
	}
}

// A config of another world tells no more than fits a log line.
func TestChangesAreBounded(t *testing.T) {
	var p Policy
	for i := range 1000 {
		p.Seats = append(p.Seats, SeatPolicy{ID: SeatID(strings.Repeat("x", i+1))})
	}
	got := p.Changes(&Policy{})
	if n := len(got); n != maxChanges+1 || got[n-1] != "and 800 more" {
		t.Errorf("%d lines, the last one %q", n, got[n-1])
	}
}
