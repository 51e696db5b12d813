package e2e

import "testing"

// Calls widen their circles with time. Zed gets the agent of the level, though the
// one below it has been idle for longer. The manager has ann, so bo gets the team
// after a second, cy any agent of the queue after another one, and dee, once her
// level is relaxed, the one below it. Manager and team serve another queue and have
// no skill.
func TestStepsOnLiveCalls(t *testing.T) {
	scene{
		config: `
queues: [{name: sales, wrap_up: 0s, skill: loans, min_level: 5, relax_after: 700ms}, {name: other}]
agents:
  - {user: mei, team: gov, queues: [other]}
  - {user: tom, team: gov, queues: [other]}
  - {user: sue, queues: [sales], skills: [{name: loans, level: 7}]}
  - {user: low, queues: [sales]}
routing: {manager_time: 1s, team_time: 1s}
`,
		customers: `
ann A1 mei gov
bo A1 mei gov
cy A1 mei gov`,
		script: `
			low comes
			mei comes
			tom comes
			sue comes
			zed calls
			zed rings at sue by queue
			sue talks to zed
			sue hangs up
			ann calls
			ann rings at mei by manager
			bo calls
			cy calls
			bo rings at tom by team after 1s
			cy rings at sue by queue after 2s
			dee calls
			dee rings at low by skill_relaxed after 700ms
			low talks to dee
		`,
		why: `
			zed: not low: below the level that the queue asks for
			ann: by rule manager (order strict, step manager)
			bo: by rule team (order strict, step team)
			cy: not mei, tom: on offer, talking or in wrap-up
			dee: by rule skill_relaxed (order strict, step relaxed)`,
	}.play(t)
}

// Manager and team on a break are not waited for. The manager who comes back takes
// the customer's call whatever step it has come to.
func TestStepsPassThoseWhoAreNotThere(t *testing.T) {
	scene{
		config: `
agents: [{user: mei, team: gov}, {user: tom, team: gov}, {user: sue, queues: [sales]}]
routing: {manager_time: 1h, team_time: 1h}
`,
		customers: "ann A1 mei gov\nbo A1 mei gov\ncy A1 mei gov",
		script: `
			mei comes
			tom comes
			sue comes
			mei dials *2
			mei is idle break feature_code
			ann calls
			ann rings at tom by team
			tom talks to ann
			tom hangs up
			tom dials *3
			tom is idle logged_out
			bo calls
			bo rings at sue by queue
			sue talks to bo
			cy calls
			mei dials *1
			cy rings at mei by manager
		`,
		why: `
			bo: not mei, tom: agent on break or logged out
			cy: by rule manager (order strict, step queue)`,
	}.play(t)
}

// Without relax_after a call waits for the level for as long as it takes.
func TestLevelThatIsNeverRelaxed(t *testing.T) {
	scene{
		config: `
queues: [{name: sales, skill: loans, min_level: 5}]
agents: [{user: sue, queues: [sales], skills: [{name: loans, level: 7}]}, {user: low, queues: [sales], skills: [{name: loans, level: 4}]}]
`,
		script: `
			low comes
			ann calls
			clock calls for 500ms
			clock gives up
			low is idle ready
			sue comes
			sue talks to ann
		`,
		why: "ann: not low: below the level that the queue asks for",
	}.play(t)
}

// C gets a VIP seat only while another one is idle for A and B, and an ordinary
// seat first; A and B get a VIP seat first.
func TestReservedSeatsOnLiveCalls(t *testing.T) {
	const agents = "agents: [{user: vip, vip: true, queues: [sales]}, {user: vic, vip: true, queues: [sales]}, {user: carol, queues: [sales]}]\n"
	for _, sc := range []scene{
		{name: "keep one idle", config: agents + "routing: {keep_idle: 1}\n", customers: "ann A2\nbo B2", script: `
			vip comes
			vic comes
			carol comes
			cy calls
			carol talks to cy
			carol hangs up
			ann calls
			vip talks to ann
			vip hangs up
			cy calls
			carol talks to cy
			dee calls
			dee rings at vic by vip_seat
			vic talks to dee
			eve calls # vip is the last one idle
			bo calls
			vip talks to bo
			carol hangs up
			carol talks to eve
		`, why: `
			cy: 1. carol
			dee: not carol: on offer, talking or in wrap-up
			eve: OFFERED to carol by rule queue`},
		{name: "not while A waits", config: agents + "routing: {order: ratio}\ntiers: {A1: {target: 10m}}\n", customers: "ann A1", script: `
			cy calls
			ann calls # cy has waited for the larger share
			vip comes
			vip talks to ann
			vip hangs up
			vip talks to cy
		`, why: `
			cy: by rule vip_seat (order ratio`},
	} {
		t.Run(sc.name, sc.play)
	}
}

// Who speaks another language waits for an agent who speaks it, and is in nobody's
// way.
func TestLanguagesOnLiveCalls(t *testing.T) {
	scene{
		config:    "agents: [{user: zoe, queues: [sales], languages: [zh]}, {user: eli, queues: [sales], languages: [zh, en]}]\n",
		customers: "eve C - - en\nann C - - zh",
		script: `
			eve calls
			ann calls
			zoe comes
			zoe talks to ann
			zoe hangs up
			zoe is idle ready
			eli comes
			eli talks to eve
		`,
		why: "eve: not zoe: doesn't speak the caller's language",
	}.play(t)
}
