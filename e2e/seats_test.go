package e2e

import "testing"

const carolAndDave = "agents: [{user: carol, queues: [sales]}, {user: dave, queues: [sales]}]\n"

// A seat whose offer failed rests for as long as its cause says, and the call, which
// kept its place, rings there before one that came later. The other delays are
// longer than the test is patient.
func TestRestsOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "busy", config: "busy_delay: 700ms, reject_delay: 1h, no_answer_delay: 1h, unreachable_delay: 1h", script: `
			dave comes by hand
			ann calls
			ann rings at dave
			bo calls
			dave declines
			dave misses ann: busy`},
		{name: "refused", config: "busy_delay: 1h, reject_delay: 700ms, no_answer_delay: 1h, unreachable_delay: 1h", script: `
			dave comes at a desk
			ann calls
			ann rings at dave
			bo calls
			dave declines
			dave misses ann: refused`},
		{name: "no answer", config: "busy_delay: 1h, reject_delay: 1h, no_answer_delay: 700ms, unreachable_delay: 1h, ring_time: 1s", script: `
			dave comes by hand
			ann calls
			ann rings at dave
			bo calls
			dave misses ann: no_answer`},
		{name: "unreachable", config: "busy_delay: 1h, reject_delay: 1h, no_answer_delay: 1h, unreachable_delay: 700ms", script: `
			dave comes by hand
			dave vanishes
			ann calls
			ann rings at dave
			bo calls
			dave misses ann: unreachable`},
	} {
		t.Run(sc.name, func(t *testing.T) {
			sc.config = carolAndDave + "routing: {" + sc.config + "}\n"
			sc.script += `
				dave rests 700ms
				carol comes
				carol talks to bo
			`
			sc.why = "ann: the call goes back to its place\nbo: OFFERED to carol"
			sc.play(t)
		})
	}
}

// What agents do, and don't do, with their seats.
func TestSeatsOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "two missed calls are a break", config: carolAndDave + "routing: {max_misses: 2, ring_time: 1s, no_answer_delay: 0s}\n", script: `
			dave comes by hand
			ann calls
			dave misses ann: no_answer
			bo calls
			dave misses ann: no_answer
			dave is idle break missed_calls
			carol comes
			carol talks to ann # and not to bo: the place is kept
			dave dials *1
			bo rings at dave
		`, why: `
			ann: not dave: agent on break or logged out
			bo: OFFERED to dave`},
		{name: "wrap-up", config: carolAndDave + "queues: [{name: sales, wrap_up: 700ms}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			bo calls
			carol hangs up
			carol is wrap_up ready
			carol rests 700ms
			carol talks to bo
		`, why: "ann: wrap-up over after"},
		{name: "wrap-up ended early", config: carolAndDave + "queues: [{name: sales, wrap_up: 1h}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			bo calls
			carol hangs up
			carol is wrap_up ready
			carol dials *4
			carol talks to bo
		`, why: "bo: OFFERED to carol"},
		{name: "wrap-up extended, once", config: carolAndDave + "queues: [{name: sales, wrap_up: 1s, wrap_up_extension: 1500ms, max_extensions: 1}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			bo calls
			carol hangs up
			carol is wrap_up ready
			carol extends the wrap-up
			carol extends the wrap-up in vain
			carol is wrap_up ready
			carol rests 2500ms
			carol talks to bo
		`, why: "ann: wrap-up over after", record: func(t *testing.T, of func(string) record) {
			if w, _ := of("ann")["wrap_up_s"].(float64); w < 2.5 {
				t.Errorf("ann's record has a wrap-up of %v s, want 2.5 at least", w)
			}
		}},
		{name: "a break with a reason", config: carolAndDave + `
feature_codes: {breaks: [{code: "*21", reason: lunch}, {code: "*22", reason: training}]}
`, script: `
			carol comes
			carol dials *22
			carol is idle break training
			carol dials *21
			carol is idle break lunch
			ann calls
			dave comes
			dave talks to ann
			carol dials *1
			carol is idle ready
			bo calls
			carol talks to bo
		`, why: "ann: not carol: agent on break or logged out"},
		{name: "a break during the talk counts after it", config: carolAndDave + "queues: [{name: sales, wrap_up: 0s}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			carol dials *2
			carol is talking break feature_code
			bo calls
			carol hangs up
			carol is idle break feature_code
			dave comes
			dave talks to bo
		`, why: "bo: not carol: agent on break or logged out"},
		{name: "freed by hand", config: carolAndDave + "queues: [{name: sales, wrap_up: 1h}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			bo calls
			hotline seats free carol
			carol talks to bo # without wrap-up
		`, why: "ann: ended: answered, seat_freed"},
		{name: "a seat that a reload takes away finishes its call", config: carolAndDave + "queues: [{name: sales, wrap_up: 0s}]\n", script: `
			carol comes
			ann calls
			carol talks to ann
			bo calls
			reload agents: [{user: dave, queues: [sales]}]
			carol is talking ready
			carol hangs up
			carol is gone
			dave comes
			dave talks to bo
		`, why: "bo: OFFERED to dave"},
	} {
		t.Run(sc.name, sc.play)
	}
}

// In an emergency every seat takes every call, and the tiers that are shed are
// turned away; then the VIP seat is kept again.
func TestEmergencyOnLiveCalls(t *testing.T) {
	scene{
		config: `
agents: [{user: vip, vip: true, queues: [sales]}, {user: carol, queues: [sales]}]
routing: {keep_idle: 1}
emergencies: [{name: flood, open_all_seats: true, shed: [C]}]
`,
		customers: "bo C - - en\nann A1 - - en",
		script: `
			vip comes
			cy calls # the one VIP seat that is there is not for C
			hotline emergency on flood
			vip talks to cy
			bo tries
			bo hears that only others are served
			hotline emergency off
			vip hangs up
			dee calls
			ann calls
			vip talks to ann
		`,
		why: "cy: OFFERED to vip",
	}.play(t)
}
