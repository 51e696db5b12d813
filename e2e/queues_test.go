package e2e

import "testing"

// twoQueues is the trunk with a number for each of two queues: 1 sales, 2 operator.
const twoQueues = `
trunks: [{name: carrier, addresses: [127.0.0.1], dids: [{number: "1", flow: sales}, {number: "2", flow: operator}]}]
flows: {sales: {start: q, steps: {q: {queue: sales}}}, operator: {start: q, steps: {q: {queue: operator}}}}
agents: [{user: carol, queues: [sales]}, {user: olga, queues: [operator]}, {user: dave, queues: [sales]}]
`

// What a queue doesn't take or keep goes where the queue says, and keeps its place
// on the way.
func TestLimitsOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "full, and the next one full", config: twoQueues + `
queues:
  - {name: sales, max_waiting: 2, when_full: {queue: operator}}
  - {name: operator, max_waiting: 1, when_full: {hang_up: goodbye}}
`, script: `
			ann calls
			bo calls
			cy calls
			cy moves to operator: queue_full
			dee calls
			dee goes: queue_full
			olga comes
			olga talks to cy
			carol comes
			carol talks to ann
		`, why: `
			cy: moved from queue sales to operator: queue_full; the place stays
			dee: turned away from queue operator: queue_full`},
		{name: "waited too long, and stands before those who came later", config: twoQueues + `
queues: [{name: sales, max_wait: 1s, when_too_long: {queue: operator}}, {name: operator, wrap_up: 0s}]
`, script: `
			ann calls
			bo calls 2
			ann moves to operator: waited_too_long
			olga comes
			olga talks to ann
			olga hangs up
			olga talks to bo
		`, why: "ann: waited_too_long; the place stays"},
		{name: "a tier's callers have waited too long, another's not", config: twoQueues + `
queues: [{name: sales, max_wait: 1h, when_too_long: {queue: operator}}, {name: operator}]
tiers: {C: {target: 30s, percent: 90, max_wait: 700ms}}
`, customers: "ann A1 - - -", script: `
			olga comes
			ann calls
			cy calls
			cy moves to operator: waited_too_long
			cy rings at olga after 700ms
			olga talks to cy
			carol comes # of sales alone: ann has stayed
			carol talks to ann
		`, why: `
			cy: moved from queue sales to operator: waited_too_long; the place stays
			ann: OFFERED to carol`},
		{name: "waited too long, but rings", config: twoQueues + `
queues: [{name: sales, max_wait: 1s}, {name: operator}]
`, script: `
			dave comes by hand
			ann calls
			ann rings at dave
			bo calls
			bo goes: waited_too_long # so ann's time is over too
			dave picks up
			dave talks to ann
		`, why: "bo: turned away from queue sales: waited_too_long"},
		{name: "waited too long, rings in vain, and there is another seat", config: twoQueues + `
queues: [{name: sales, max_wait: 1s}, {name: operator}]
routing: {busy_delay: 1h}
`, script: `
			dave comes by hand
			ann calls
			bo calls
			bo goes: waited_too_long
			carol comes
			dave declines
			carol talks to ann
		`, why: "ann: not dave: resting after a failed offer"},
		{name: "nobody there any more", config: twoQueues + `
queues: [{name: sales, wrap_up: 0s, join_empty: false, leave_empty: 500ms, when_empty: {queue: operator}}, {name: operator, wrap_up: 0s}]
`, script: `
			carol comes
			first calls
			carol talks to first
			ann calls
			carol dials *2
			ann moves to operator: nobody_there
			bo calls # isn't let in
			bo moves to operator: nobody_there
			carol hangs up
			carol is idle break feature_code
			olga comes
			olga talks to ann
			olga hangs up
			olga talks to bo
		`, why: `
			ann: moved from queue sales to operator: nobody_there; the place stays
			bo: moved from queue sales to operator: nobody_there; the place stays`},
	} {
		t.Run(sc.name, sc.play)
	}
}

// Who gave up has the old place when calling again; who was sent away has not.
func TestCallingAgainOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "gave up", config: twoQueues + "queues: [{name: sales, wrap_up: 0s}, {name: operator}]\nrouting: {resume_within: 1m}\n", script: `
			ann calls for 500ms
			bo calls
			ann gives up
			ann calls
			carol comes
			carol talks to ann
			carol hangs up
			carol talks to bo
		`, why: "ann: OFFERED to carol"},
		{name: "was sent away", config: twoQueues + "queues: [{name: sales, wrap_up: 0s, join_empty: false}, {name: operator}]\nrouting: {resume_within: 1m}\n", script: `
			ann calls
			ann goes: nobody_there
			carol comes
			first calls
			carol talks to first
			bo calls
			ann calls
			carol hangs up
			carol talks to bo
			carol hangs up
			carol talks to ann
		`, why: "bo: before call"},
	} {
		t.Run(sc.name, sc.play)
	}
}
