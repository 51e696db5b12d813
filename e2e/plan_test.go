package e2e

import (
	"fmt"
	"testing"
	"time"
)

// What a plan says aloud is what happens: who is rung from when on, and who leaves.
func TestPlansOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "A waits for the VIP seat, C doesn't", config: `
queues: [{name: sales, wrap_up: 0s, plan: [{ring: vip, for: 2s, when: {tiers: [A1, A2]}}, {ring: queue}]}]
agents: [{user: vip, vip: true, queues: [sales]}, {user: sue, queues: [sales]}]
`, customers: "zed A1\nann A1\nbo A2", script: `
			sue comes
			vip comes
			zed calls
			zed rings at vip by vip_seat # though sue has been idle for longer
			vip talks to zed
			ann calls
			cy calls # sue is idle
			cy rings at sue by queue
			sue talks to cy
			sue hangs up
			ann rings at sue by queue after 2s
			sue talks to ann
			bo calls
			vip hangs up
			vip talks to bo
		`, why: `
			zed: by rule vip_seat (order strict, step vip)
			cy: not vip: on offer, talking or in wrap-up
			ann: by rule queue (order strict, step queue)`},
		{name: "the circle widens, then the call leaves", config: `
queues:
  - name: sales
    skill: loans
    min_level: 5
    plan: [{ring: queue}, {ring: queue, of: support, after: 600ms}, {ring: relaxed, after: 1200ms}, {leave: {queue: operator}, after: 1800ms}]
  - {name: support}
  - {name: operator}
agents: [{user: low, queues: [sales]}, {user: hal, queues: [support]}, {user: olga, queues: [operator]}]
`, script: `
			olga comes
			low comes
			hal comes
			ann calls
			ann rings at hal by other_queue after 600ms
			hal talks to ann
			bo calls
			bo rings at low by skill_relaxed after 1200ms
			low talks to bo
			cy calls
			cy moves to operator: overflow
			cy rings at olga by queue after 1800ms
			olga talks to cy
		`, why: `
			ann: not low: below the level that the queue asks for
			bo: by rule skill_relaxed (order strict, step relaxed)
			cy: moved from queue sales to operator: overflow; the place stays`},
		{name: "a long queue sends the newcomer away", config: `
queues: [{name: sales, wrap_up: 0s, plan: [{leave: {hang_up: goodbye}, when: {waiting: 3}}, {ring: queue}]}]
agents: [{user: carol, queues: [sales]}]
`, script: `
			ann calls
			bo calls
			cy calls
			cy goes: overflow
			carol comes
			carol talks to ann
			carol hangs up
			carol talks to bo
		`, why: "cy: turned away from queue sales: overflow"},
		{name: "hours", config: hoursNow() + `
agents: [{user: sue, queues: [sales]}, {user: nina, queues: [night]}, {user: dora, queues: [day]}]
`, script: `
			nina comes
			dora comes
			ann calls
			ann rings at dora by other_queue
			dora talks to ann
		`, why: "ann: not nina: the call had not reached that step"},
	} {
		t.Run(sc.name, sc.play)
	}
}

// hoursNow has sales ring the seats of day at this hour, those of night at another
// one, by the clock of a zone of its own.
func hoursNow() string {
	now := time.Now().In(time.FixedZone("China", 8*60*60))
	hours := func(from time.Time) string {
		return from.Format("Mon 15:04") + from.Add(2*time.Hour).Format("-15:04")
	}
	return fmt.Sprintf(`
queues:
  - name: sales
    plan: [{ring: queue}, {ring: queue, of: night, when: {hours: [%q]}}, {ring: queue, of: day, when: {hours: [%q]}}]
  - {name: night}
  - {name: day}
routing: {time_zone: Asia/Shanghai}`, hours(now.Add(6*time.Hour)), hours(now.Add(-time.Hour)))
}

// A plan that changes while a call waits is read anew, from its first step on: ann,
// who waits for the VIP seat though sue is idle, leaves, for she has waited so long.
func TestPlanReloadedWhileACallWaits(t *testing.T) {
	const agents = "agents: [{user: vip, vip: true, queues: [sales]}, {user: sue, queues: [sales]}, {user: hal, queues: [support]}]\n"
	scene{
		config:    "queues: [{name: sales, plan: [{ring: vip, for: 1h}, {ring: queue}]}, {name: support}]\n" + agents,
		customers: "zed A1\nann A1",
		script: `
			vip comes
			sue comes
			hal comes
			zed calls
			vip talks to zed
			ann calls
			clock calls for 700ms
			clock gives up
			sue is idle ready
			reload queues: [{name: sales, plan: [{leave: {queue: support}, after: 500ms}, {ring: vip}]}, {name: support}]
			changes [queues.sales.plan.1.ring: vip → none queues.sales.plan.1.for: 1h → 0s queues.sales.plan.1.leave: none → queue support queues.sales.plan.1.after: 0s → 0.5s queues.sales.plan.2.ring: queue → vip]
			ann moves to support: overflow
			ann rings at hal by queue after 700ms
			hal talks to ann
		`,
		why: `
			ann: policy changed: queues.sales.plan.1.ring: vip → none; queues.sales.plan.1.for: 1h → 0s; queues.sales.plan.1.leave: none → queue support; queues.sales.plan.1.after: 0s → 0.5s;
			ann: moved from queue sales to support: overflow`,
	}.play(t)
}

// Ann waits in front of bo for the agent who talks. She hears hold music, now and
// then her place and how long it may take, in her language, and is put through while
// an announcement is being played.
func TestAnnouncementsOnLiveCalls(t *testing.T) {
	scene{
		config: `
queues: [{name: sales, wrap_up: 0s, announce: {every: 5s}}]
agents: [{user: carol, queues: [sales]}]
routing: {estimate_every: 1s}
`,
		customers: "ann A1 - - en",
		script: `
			carol comes
			zed calls
			carol talks to zed
			ann listens
			bo calls
			bo learns 2
			ann learns 1 and a wait
			ann learns 1 and a wait # the one before was played to its end
			carol hangs up
			carol talks to ann
			clock calls for 500ms
			clock gives up
			carol hangs up
			ann heard all that
		`,
		why: "ann: OFFERED to carol",
	}.play(t)
}

// What callers have to expect is estimated while they wait, and acts on the plan: the
// operator is rung for bo, who waits, and dan, who comes then, moves there. Ann is
// told what to expect, waits less, and that is counted.
func TestEstimatesOnLiveCalls(t *testing.T) {
	scene{
		config: `
queues:
  - name: sales
    wrap_up: 0s
    plan:
      - {leave: {queue: operator}, when: {expected_wait: 10s, tiers: [A1]}}
      - {ring: queue}
      - {ring: queue, of: operator, when: {expected_wait: 10s, tiers: [B1]}}
  - {name: operator}
agents: [{user: carol, queues: [sales]}, {user: olga, queues: [operator]}]
routing: {estimate_every: 1s}
`,
		customers: "ann A2\nbo B1\ndan A1",
		script: `
			carol comes
			olga comes
			zed calls
			carol talks to zed
			bo calls # olga is idle
			bo rings at olga by other_queue
			olga talks to bo
			metric hotline_expected_wait_seconds{quantile="0.5",queue="sales",tier="A2"} at least 10
			dan calls
			dan moves to operator: overflow
			ann calls
			carol hangs up
			carol talks to ann
			carol hangs up
			metric hotline_expected_wait_judged_total{quantile="0.5",queue="sales",tier="A2"} at least 1
			metric hotline_expected_wait_within_total{quantile="0.8",queue="sales",tier="A2"} at least 1
		`,
		why: "bo: by rule other_queue (order strict, step other_queue)",
		record: func(t *testing.T, of func(string) record) {
			for _, who := range []string{"ann", "dan"} {
				e, _ := of(who)["expected_s"].(map[string]any)
				p50, _ := e["p50"].(float64)
				if p80, _ := e["p80"].(float64); p50 < 10 || p80 < p50 {
					t.Errorf("%s's record says that %v was expected", who, e)
				}
			}
		},
	}.play(t)
}
