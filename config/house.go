package config

import (
	"time"

	"hotline/sip"
)

// Tiers are what is promised to each service class.
type Tiers struct {
	// A1 are high-value customers. Target 10s by default.
	A1 Tier `yaml:"A1"`
	// A2 are strategic customers. Target 10s by default.
	A2 Tier `yaml:"A2"`
	// B1 are leaders of their trade. Target 20s by default.
	B1 Tier `yaml:"B1"`
	// B2 are customers with a future. Target 20s by default.
	B2 Tier `yaml:"B2"`
	// C are all others. Target 30s by default.
	C Tier `yaml:"C"`
}

// Tier is what is promised to one service class.
type Tier struct {
	// Target is the wait within which calls should be answered. It is also a
	// bucket of the histograms. 100ms to 1h.
	Target time.Duration `yaml:"target" min:"100ms" max:"1h" restart:"yes"`
	// Percent of the calls that should be answered within Target. 1 to 100,
	// default 90.
	Percent int `yaml:"percent" default:"90" min:"1" max:"100"`
	// MaxWait is how long a caller may wait in any one queue, then goes where its
	// when_too_long leads. The shorter one of this and the queue's max_wait counts.
	// 0s to 24h, default 0s: for ever.
	MaxWait time.Duration `yaml:"max_wait" default:"0s" min:"0s" max:"24h"`
}

// Queue is where callers wait.
type Queue struct {
	// Name of the queue in flows, agents, records and metrics.
	Name string `yaml:"name" required:"yes" word:"yes"`
	// WrapUp is the agent's time for work after a call of this queue. 0s to
	// 24h, default 10s.
	WrapUp time.Duration `yaml:"wrap_up" default:"10s" min:"0s" max:"24h"`
	// WrapUpExtension is what the code extend_wrap_up adds to it. 0s to 24h, default
	// 30s; 0s: it can't be extended.
	WrapUpExtension time.Duration `yaml:"wrap_up_extension" default:"30s" min:"0s" max:"24h"`
	// MaxExtensions is how often, for one call. 0 to 100, default 1; 0: never.
	MaxExtensions int `yaml:"max_extensions" default:"1" min:"0" max:"100"`
	// Music is the name of the prompt that is played in a loop to those who
	// wait, such as "ring-back". Default "hold-music", the built-in music.
	Music string `yaml:"music"`
	// Announce tells those who wait how they stand.
	Announce Announce `yaml:"announce"`
	// Strategy says which idle agent is rung first, as in routing. Default: that
	// of routing.
	Strategy string `yaml:"strategy" oneof:"longest_idle|least_occupied|most_skilled|round_robin|weighted"`
	// RingGroup is how many agents ring at once for a caller, the first ones by the
	// strategy; who answers first has the call. 1 to 16, default 1.
	RingGroup int `yaml:"ring_group" default:"1" min:"1" max:"16"`
	// Skill is what the callers of this queue need. Default: none.
	Skill string `yaml:"skill" word:"yes"`
	// MinLevel is the level of Skill that an agent of the queue needs to be rung.
	// 0 to 10, default 0: any.
	MinLevel int `yaml:"min_level" default:"0" min:"0" max:"10"`
	// RelaxAfter is how long a caller waits for that level; then any agent of the
	// queue is rung. 0s to 24h, default 0s: for ever.
	RelaxAfter time.Duration `yaml:"relax_after" default:"0s" min:"0s" max:"24h"`
	// Plan says in at most 15 steps who is rung and when callers leave. Default: the
	// manager for routing.manager_time, the team for routing.team_time, then the
	// queue, and after relax_after those below the level.
	Plan []Step `yaml:"plan"`
	// MaxWaiting is how many callers may wait here; one more isn't let in. 0 to
	// 100000, default 0: any number.
	MaxWaiting int `yaml:"max_waiting" default:"0" min:"0" max:"100000"`
	// WhenFull is where that one goes. Default: hung up.
	WhenFull Exit `yaml:"when_full"`
	// MaxWait is how long a caller may wait here, of whatever tier; see Tier.MaxWait.
	// 0s to 24h, default 0s: for ever.
	MaxWait time.Duration `yaml:"max_wait" default:"0s" min:"0s" max:"24h"`
	// WhenTooLong is where the caller then goes. Default: hung up.
	WhenTooLong Exit `yaml:"when_too_long"`
	// JoinEmpty lets callers in while nobody is there: no agent of the queue who
	// could take its calls has a phone registered and is ready or busy. Default
	// true.
	JoinEmpty bool `yaml:"join_empty" default:"true"`
	// LeaveEmpty is how long callers wait on while nobody is there. 0s to 24h,
	// default 0s: for ever.
	LeaveEmpty time.Duration `yaml:"leave_empty" default:"0s" min:"0s" max:"24h"`
	// WhenEmpty is where callers go who aren't let in, or leave, because nobody is
	// there. Default: hung up.
	WhenEmpty Exit `yaml:"when_empty"`
}

// Announce tells those who wait how they stand.
type Announce struct {
	// Every is how often; one that lasts longer is told to its end. 5s to 1h, default
	// 0s: never.
	Every time.Duration `yaml:"every" default:"0s" min:"0s" max:"1h"`
	// Position tells the place in the line of the queue. Default true.
	Position bool `yaml:"position" default:"true"`
	// ExpectedWait tells within which time four of five are answered, rounded up, by
	// the last estimate. Default true.
	ExpectedWait bool `yaml:"expected_wait" default:"true"`
}

// Exit is where a caller goes whom a queue doesn't take or keep: into another
// queue, at the old place, or out.
type Exit struct {
	// Queue to wait in. Exits may not lead in a circle. Default: none.
	Queue string `yaml:"queue"`
	// HangUp is the prompt that is played before the caller is hung up. Default:
	// none, at once.
	HangUp string `yaml:"hang_up"`
}

// Agent is a person who answers calls, at a seat of the same name.
type Agent struct {
	// User is the name the phone registers with, and that of agent and seat.
	User string `yaml:"user" required:"yes" word:"yes"`
	// Password of the phone.
	Password Secret `yaml:"password" required:"yes"`
	// Algorithm of the digest: "md5", "sha-256" or "both". Default "md5", which
	// is all that many phones know.
	Algorithm sip.Algorithm `yaml:"algorithm" default:"md5" oneof:"md5|sha-256|both"`
	// Name of the person, for people. Default: the user.
	Name string `yaml:"name"`
	// Queues the agent serves. An account manager may serve none.
	Queues []string `yaml:"queues" unique:"yes"`
	// Preferences are the queues that the agent isn't there for first of all. Default:
	// rank 1 in each.
	Preferences []Preference `yaml:"preferences"`
	// Team of the agent; customers name their manager's team. Default: none.
	Team string `yaml:"team" word:"yes"`
	// Languages the agent speaks, ISO 639 codes. Default: any.
	Languages []string `yaml:"languages" language:"yes" unique:"yes"`
	// VIP reserves the seat for customers of the tiers A and B. Default false.
	VIP bool `yaml:"vip"`
	// Skills of the agent, for queues that ask for one. Default: none.
	Skills []Skill `yaml:"skills"`
	// AutoAnswer asks the phone to pick up by itself, as agents with a headset want it
	// (Answer-Mode, RFC 5373; Call-Info and Alert-Info for phones that know these).
	// Default false.
	AutoAnswer bool `yaml:"auto_answer"`
	// SRTP is how sound with the agent's phones is encrypted, as in media.srtp.
	// Default: that.
	SRTP string `yaml:"srtp" oneof:"off|accepted|preferred|required"`
	// Weight is the agent's share of the calls where the strategy is "weighted": with
	// 2 twice as many as with 1. 1 to 100, default 1.
	Weight int `yaml:"weight" default:"1" min:"1" max:"100"`
	// Supervises are the queues whose talks the agent may listen to, whisper into and
	// join. Default: none.
	Supervises []string `yaml:"supervises" unique:"yes"`
	// Outbound names the right that says what the agent may dial outside, one of
	// outbound.rights. Default: none, nothing may be dialled.
	Outbound string `yaml:"outbound"`
}

// Preference is how far back an agent stands in one queue.
type Preference struct {
	// Queue that the agent serves.
	Queue string `yaml:"queue" required:"yes"`
	// Rank of the agent there, 1 to 9: idle agents of rank 1 are rung first, those of
	// rank 2 when none of rank 1 is idle, and so on. Default 1.
	Rank int `yaml:"rank" default:"1" min:"1" max:"9"`
}

// Skill is what an agent can do, and how well.
type Skill struct {
	// Name of the skill, as queues name it.
	Name string `yaml:"name" required:"yes" word:"yes"`
	// Level of the agent, 1 to 10. Default 5.
	Level int `yaml:"level" default:"5" min:"1" max:"10"`
}

// Routing says who is rung, when and how long.
type Routing struct {
	// Order of the calls that wait: "strict" serves A before B before C, first
	// come first served within; "deadline" serves first whose target ends first;
	// "ratio" whose wait is the largest share of the target. Default "strict".
	Order string `yaml:"order" default:"strict" oneof:"strict|deadline|ratio"`
	// Strategy says which idle agent of a queue is rung first: "longest_idle";
	// "least_occupied", with the least time in calls and wrap-ups since the phone
	// registered; "most_skilled", with the highest level of the queue's skill;
	// "round_robin", whose last call on offer is the longest ago; "weighted", with the
	// fewest calls on offer for the agent's weight. Default "longest_idle".
	Strategy string `yaml:"strategy" default:"longest_idle" oneof:"longest_idle|least_occupied|most_skilled|round_robin|weighted"`
	// KeepIdle is how many idle VIP seats of a queue are kept from C callers. 0
	// to 10000, default 0.
	KeepIdle int `yaml:"keep_idle" default:"0" min:"0" max:"10000"`
	// ManagerTime is how long a caller waits for the account manager only. 0s
	// to 1h, default 20s.
	ManagerTime time.Duration `yaml:"manager_time" default:"20s" min:"0s" max:"1h"`
	// TeamTime is how long a caller then waits for manager and team only. 0s to
	// 1h, default 20s.
	TeamTime time.Duration `yaml:"team_time" default:"20s" min:"0s" max:"1h"`
	// RingTime is how long an agent's phone rings. 1s to 10m, default 20s.
	RingTime time.Duration `yaml:"ring_time" default:"20s" min:"1s" max:"10m"`
	// RejectDelay is how long a seat rests after its agent refused a call. 0s
	// to 1h, default 5s.
	RejectDelay time.Duration `yaml:"reject_delay" default:"5s" min:"0s" max:"1h"`
	// BusyDelay is how long a seat rests after its phone was busy. 0s to 1h,
	// default 5s.
	BusyDelay time.Duration `yaml:"busy_delay" default:"5s" min:"0s" max:"1h"`
	// NoAnswerDelay is how long a seat rests after nobody answered. 0s to 1h,
	// default 10s.
	NoAnswerDelay time.Duration `yaml:"no_answer_delay" default:"10s" min:"0s" max:"1h"`
	// UnreachableDelay is how long a seat rests after its phone couldn't be
	// reached. 0s to 1h, default 10s.
	UnreachableDelay time.Duration `yaml:"unreachable_delay" default:"10s" min:"0s" max:"1h"`
	// ResumeWithin is how soon a caller who left a queue without an answer must
	// call again, from the same number and for the same queue, to have the old
	// place back. 0s to 1h, default 0s: never.
	ResumeWithin time.Duration `yaml:"resume_within" default:"0s" min:"0s" max:"1h"`
	// MaxMisses is how many unanswered calls in a row send an agent on a break;
	// 0 never does. 0 to 100, default 3.
	MaxMisses int `yaml:"max_misses" default:"3" min:"0" max:"100"`
	// OfferLease is how long a seat stays reserved when a server says nothing
	// more about a call on offer. 1s to 10m, default 10s.
	OfferLease time.Duration `yaml:"offer_lease" default:"10s" min:"1s" max:"10m"`
	// TimeZone of the hours in plans, such as "Asia/Shanghai". Default "Local", that
	// of the machine.
	TimeZone string `yaml:"time_zone" default:"Local"`
	// EstimateEvery is how often the wait to be expected is estimated, for
	// announcements, conditions and metrics. 1s to 2m, default 10s; 0s never.
	EstimateEvery time.Duration `yaml:"estimate_every" default:"10s" min:"0s" max:"2m"`
}
