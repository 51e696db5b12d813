package e2e

import "testing"

// Amy, the more skilled one, talks for a while; then ben comes, and two callers
// one after the other. Each strategy gives these two to other agents: amy has been
// idle for longer at the first, ben at the second; ben has talked less; each has a
// turn; amy can do it best.
func TestStrategiesOnLiveCalls(t *testing.T) {
	const agents = "agents: [{user: amy, queues: [sales], skills: [{name: loans, level: 9}]}, {user: ben, queues: [sales], skills: [{name: loans, level: 3}]}]\n"
	for _, tc := range []struct{ strategy, queue, first, second string }{
		{"longest_idle", "", "amy", "ben"},
		{"least_occupied", "", "ben", "ben"},
		{"round_robin", "", "ben", "amy"},
		{"most_skilled", "", "amy", "amy"},
		{"round_robin", ", strategy: most_skilled", "amy", "amy"}, // the queue's own counts
	} {
		t.Run(tc.strategy+tc.queue, func(t *testing.T) {
			queue := "{name: sales, wrap_up: 0s, skill: loans" + tc.queue + "}"
			scene{
				config: agents + "routing: {strategy: " + tc.strategy + "}\nqueues: [" + queue + "]\n",
				script: `
					amy comes
					long calls for 600ms
					amy talks to long
					long leaves
					ben comes
					one calls
					` + tc.first + ` talks to one
					` + tc.first + ` hangs up
					two calls
					` + tc.second + ` talks to two`,
				why: `
					two: OFFERED to ` + tc.second + ` by rule queue
					two: 1. ` + tc.second,
			}.play(t)
		})
	}
}
