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

// Who rings when several agents are idle: so many at once, each as often as the
// weights say, those who are there for other queues last.
func TestGroupsWeightsAndRanksOnLiveCalls(t *testing.T) {
	const amyAndBen = "agents: [{user: amy, queues: [sales]}, {user: ben, queues: [sales], weight: 2}]\n"
	for _, sc := range []scene{
		{name: "ring group", config: amyAndBen + `
queues: [{name: sales, wrap_up: 0s, ring_group: 2}]
routing: {busy_delay: 700ms, max_misses: 0}
`, script: `
			amy comes by hand
			ben comes by hand
			ann calls
			ann rings at amy
			ann rings at ben
			amy is ringing ready
			ben is ringing ready
			ben picks up
			ben talks to ann
			amy stops ringing
			amy is idle ready
			bo calls
			bo rings at amy
			amy picks up
			amy talks to bo
			ben hangs up
			ben is idle ready
			amy hangs up
			amy is idle ready
			cy calls
			cy rings at ben # idle for longer
			cy rings at amy
			dee calls
			amy declines
			amy misses cy: busy
			ben is ringing ready
			ben declines
			ben misses cy: busy
			amy rests 700ms
			amy picks up
			amy talks to cy # and not to dee: the place is kept
			dee rings at ben
		`, why: `
			ann: offer to amy withdrawn: taken
			bo: OFFERED to amy
			cy: ben: busy; the call goes back to its place`},
		{name: "weighted", config: amyAndBen + "routing: {strategy: weighted}\n", script: `
			amy comes
			ben comes
			one calls
			amy talks to one
			amy hangs up
			amy is idle ready
			two calls
			ben talks to two
			ben hangs up
			ben is idle ready
			three calls
			ben talks to three # amy has been idle for longer, but ben has twice the weight
			ben hangs up
			ben is idle ready
			four calls
			amy talks to four
		`, why: `
			three: 1. ben
			three: 2. amy
			four: 1. amy`},
		{name: "ranks", config: `
agents: [{user: pat, queues: [sales]}, {user: bea, queues: [sales, support], preferences: [{queue: sales, rank: 2}]}]
queues: [{name: sales, wrap_up: 0s}, {name: support}]
`, script: `
			bea comes
			pat comes
			one calls
			pat talks to one # though bea has been idle for longer
			two calls
			bea talks to two # no primary is idle
			bea hangs up
			bea is idle ready
			pat hangs up
			pat is idle ready
			three calls
			pat talks to three
		`, why: `
			one: 2. bea of rank 2
			two: 1. bea of rank 2
			two: not pat: on offer, talking or in wrap-up
			three: 1. pat`},
	} {
		t.Run(sc.name, sc.play)
	}
}
