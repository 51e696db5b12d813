package config

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// micro turns a span into routing's unit.
func micro(d time.Duration) routing.Duration { return routing.Duration(d.Microseconds()) }

// Policy is what routing needs to know now: see NextPolicy. Each agent has one seat
// of the same name.
func (c *Config) Policy() routing.Policy {
	r := c.Routing
	p := routing.Policy{
		Order: r.Order, Strategy: r.Strategy, KeepIdle: r.KeepIdle,
		ManagerTime: micro(r.ManagerTime), TeamTime: micro(r.TeamTime), RingTime: micro(r.RingTime),
		RejectDelay: micro(r.RejectDelay), BusyDelay: micro(r.BusyDelay),
		NoAnswerDelay: micro(r.NoAnswerDelay), UnreachableDelay: micro(r.UnreachableDelay),
		ResumeWithin: micro(r.ResumeWithin), MaxMisses: r.MaxMisses, OfferLease: micro(r.OfferLease),
	}
	if c.plansHours() {
		p.UTCOffset = c.Routing.offset(time.Now())
	}
	for _, t := range routing.Tiers() {
		of := c.Tiers.Of(t)
		p.Tiers = append(p.Tiers, routing.TierPolicy{Tier: t, TargetMS: of.Target.Milliseconds(), MaxWait: micro(of.MaxWait)})
	}
	for _, q := range c.Queues {
		p.Queues = append(p.Queues, q.policy())
	}
	for _, a := range c.Agents {
		seat := routing.SeatPolicy{
			ID: routing.SeatID(a.User), Agent: routing.AgentID(a.User),
			VIP: a.VIP, Team: a.Team, Languages: a.Languages, Weight: a.Weight,
		}
		for _, q := range a.Queues {
			seat.Queues = append(seat.Queues, routing.QueueID(q))
		}
		for _, f := range a.Preferences {
			seat.Ranks = append(seat.Ranks, routing.QueueRank{Queue: routing.QueueID(f.Queue), Rank: f.Rank})
		}
		for _, k := range a.Skills {
			seat.Skills = append(seat.Skills, routing.Skill{Name: k.Name, Level: k.Level})
		}
		p.Seats = append(p.Seats, seat)
	}
	return p
}

func (q *Queue) policy() routing.QueuePolicy {
	p := routing.QueuePolicy{
		ID: routing.QueueID(q.Name), WrapUp: micro(q.WrapUp), Strategy: q.Strategy, RingGroup: q.RingGroup,
		Extension: routing.Extension{WrapUpExtension: micro(q.WrapUpExtension), MaxExtensions: q.MaxExtensions},
		Skill:     q.Skill, MinLevel: q.MinLevel, RelaxAfter: micro(q.RelaxAfter),
		Limits: routing.Limits{
			MaxWaiting: q.MaxWaiting, WhenFull: q.WhenFull.exit(),
			MaxWait: micro(q.MaxWait), WhenTooLong: q.WhenTooLong.exit(),
			RefuseEmpty: !q.JoinEmpty, LeaveEmpty: micro(q.LeaveEmpty), WhenEmpty: q.WhenEmpty.exit(),
		},
	}
	for i := range q.Plan {
		p.Plan = append(p.Plan, q.Plan[i].policy())
	}
	return p
}

// plansHours says whether the policy depends on the time zone.
func (c *Config) plansHours() bool {
	return slices.ContainsFunc(c.Queues, func(q Queue) bool {
		return slices.ContainsFunc(q.Plan, func(st Step) bool { return len(st.When.Hours) > 0 })
	})
}

// offset is the time zone's from UTC at t, in minutes.
func (r *Routing) offset(t time.Time) int {
	zone, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		zone = time.Local // check has refused it
	}
	_, seconds := t.In(zone).Zone()
	return seconds / 60
}

// NextPolicy is when Policy gives another one though the config is the same: the
// clocks of the time zone change. It is false when that never happens.
func (c *Config) NextPolicy(t time.Time) (time.Time, bool) {
	zone, err := time.LoadLocation(c.Routing.TimeZone)
	if err != nil || !c.plansHours() {
		return time.Time{}, false
	}
	_, end := t.In(zone).ZoneBounds()
	return end, !end.IsZero()
}

func (e Exit) exit() routing.Exit {
	return routing.Exit{Queue: routing.QueueID(e.Queue), Prompt: e.HangUp}
}

// Of is what is promised to tier t.
func (t *Tiers) Of(tier routing.Tier) Tier {
	switch tier {
	case routing.TierA1:
		return t.A1
	case routing.TierA2:
		return t.A2
	case routing.TierB1:
		return t.B1
	case routing.TierB2:
		return t.B2
	default:
		return t.C
	}
}

// maxWait is how long a caller of tier t may wait in q, 0 for ever.
func (c *Config) maxWait(q *Queue, t routing.Tier) time.Duration {
	of := c.Tiers.Of(t).MaxWait
	if q.MaxWait == 0 || of > 0 && of < q.MaxWait {
		return of
	}
	return q.MaxWait
}

// leaveSomeTime says that callers of some tier may wait in q only so long.
func (c *Config) leaveSomeTime(q *Queue) bool {
	return slices.ContainsFunc(routing.Tiers(), func(t routing.Tier) bool { return c.maxWait(q, t) > 0 })
}

// SIPAccess says who may call and register.
func (c *Config) SIPAccess() sip.Access {
	var access sip.Access
	for _, t := range c.Trunks {
		trunk := sip.Trunk{
			Name: t.Name, Addresses: t.Addresses, Region: t.Region,
			TrustIdentity: t.TrustIdentity, Symmetric: t.Symmetric, TLSName: t.TLSName, Numbers: rules(t.NumbersIn),
			Limits: sip.TrunkLimits{MaxCalls: t.MaxCalls, MaxRate: float64(t.MaxRate)}, SoleUpstream: t.SoleUpstream, VIP: t.VIP, VerifyIdentity: t.VerifyIdentity,
			Outbound: t.outbound(),
		}
		if t.User != "" {
			trunk.Credentials = &sip.Credentials{User: t.User, Password: string(t.Password), Algorithm: t.Algorithm}
		}
		access.Trunks = append(access.Trunks, trunk)
	}
	for _, a := range c.Agents {
		access.Accounts = append(access.Accounts, sip.Account{Credentials: sip.Credentials{
			User: a.User, Password: string(a.Password), Algorithm: a.Algorithm,
		}})
	}
	return access
}

// SIPListen are the addresses to receive SIP on.
func (c *Config) SIPListen() []sip.Listener {
	var listeners []sip.Listener
	for _, l := range c.SIP.Listen {
		listeners = append(listeners, sip.Listener{
			Network: l.Network, Addr: l.Address, Advertise: l.Advertise, Origins: l.Origins,
			TLS: sip.TLSFiles{Certificate: l.Certificate, Key: l.Key, CA: l.ClientCA, Require: l.ClientCA != "" && l.ClientCertificate == "require"},
		})
	}
	return listeners
}

// SIPOptions are the options of the SIP front end; handlers, logger and observer
// are the caller's to add.
func (c *Config) SIPOptions() sip.Options {
	s := c.SIP
	retry := s.RetryAfter
	if retry == 0 {
		retry = -1
	}
	delay, rate := s.MaxDelay, s.MaxRatePerSource
	if delay == 0 {
		delay = -1
	}
	if rate == 0 {
		rate = -1
	}
	callers := s.FavouredCallers
	if callers == 0 {
		callers = -1
	}
	traces := s.TraceCalls
	if traces == 0 {
		traces = -1
	}
	session := s.SessionExpires
	if session == 0 {
		session = -1
	}
	var stir *sip.STIR
	if s.STIR.Roots != "" {
		stir = &sip.STIR{Certificates: s.STIR.Certificates, Roots: s.STIR.Roots}
	}
	return sip.Options{
		STIR: stir, Listen: c.SIPListen(), Access: c.SIPAccess(), UserAgent: s.UserAgent, Realm: s.Realm,
		MaxCalls: s.MaxCalls, MaxPending: s.MaxPending, MaxConnections: s.MaxConnections,
		MaxDelay: delay, FavouredCallers: callers, MaxSourceRate: rate, TraceCalls: traces, HEP: s.HEP.options(), MaxPerSource: s.MaxConnectionsPerSource, TLS: sip.TLSFiles{Certificate: s.TLS.Certificate, Key: s.TLS.Key, CA: s.TLS.CA},
		IdleTimeout: s.IdleTimeout, RetryAfter: retry, Unreachable: s.UnreachableAfter,
		SessionExpires: session, MinSession: s.MinSession,
		MinExpires: s.Register.MinExpires, MaxExpires: s.Register.MaxExpires,
		MaxContacts: s.Register.MaxContacts, Registrations: s.Register.File, NonceTTL: s.NonceTTL, DNS: s.DNS,
		MaxSubscriptions: s.Subscriptions.Max, MaxPerAgent: s.Subscriptions.MaxPerAgent, MaxSubscribed: s.Subscriptions.MaxExpires,
	}
}

// MediaConfig sets the media engine up; the logger is the caller's to add.
func (c *Config) MediaConfig() media.Config {
	m := c.Media
	rest := m.PortRest
	if rest == 0 {
		rest = -1
	}
	cfg := media.Config{
		Bind: m.Address, Advertise: m.Advertise, Others: c.mediaOthers(),
		PortMin: m.Ports.Min, PortMax: m.Ports.Max, PortRest: rest,
		RTPTimeout: m.RTPTimeout, HoldTimeout: m.HoldTimeout, Kernel: m.Kernel == "on",
	}
	cfg.Codecs = codecs(m.Codecs)
	return cfg
}

func codecs(names []string) []media.Codec {
	var out []media.Codec
	for _, name := range names {
		out = append(out, map[string]media.Codec{"pcma": media.PCMA, "pcmu": media.PCMU, "g722": media.G722}[name])
	}
	return out
}

// TakesRefer says that callers of the trunk who are transferred outside are handed back
// to it.
func (c *Config) TakesRefer(trunk string) bool {
	return slices.ContainsFunc(c.Trunks, func(t Trunk) bool { return t.Name == trunk && t.Refer })
}

// TrunkCodecs are those preferred with the trunk's callers; none for the engine's.
func (c *Config) TrunkCodecs(trunk string) []media.Codec {
	for _, t := range c.Trunks {
		if t.Name == trunk {
			return codecs(t.Codecs)
		}
	}
	return nil
}

// The values of Trunk.DTMF.
const (
	KeysAny    = "any"
	KeysEvents = "rfc4733"
	KeysInfo   = "info"
)

// TrunkKeys is the Trunk.DTMF that trunks have in common; KeysAny where they differ, and
// for none.
func (c *Config) TrunkKeys(trunks ...string) string {
	way := ""
	for _, t := range c.Trunks {
		switch own := cmp.Or(t.DTMF, KeysAny); {
		case !slices.Contains(trunks, t.Name):
		case way == "" || way == own:
			way = own
		default:
			return KeysAny
		}
	}
	return cmp.Or(way, KeysAny)
}

// FlowFor is the name of the flow that answers what was dialled on a trunk: the
// number as it is written, else the same number in E.164, else "*". It is false
// when nothing answers there.
func (c *Config) FlowFor(trunk, dialled string) (flow string, ok bool) {
	for _, t := range c.Trunks {
		if t.Name == trunk {
			return t.flowFor(dialled)
		}
	}
	return "", false
}

// Incomplete tells whether nothing answers to what was dialled on a trunk because digits
// are missing: some number of the trunk begins with it.
func (c *Config) Incomplete(trunk, dialled string) bool {
	i := slices.IndexFunc(c.Trunks, func(t Trunk) bool { return t.Name == trunk })
	return i >= 0 && slices.ContainsFunc(c.Trunks[i].DIDs, func(d DID) bool {
		return len(dialled) < len(d.Number) && strings.HasPrefix(d.Number, dialled)
	})
}

func (t *Trunk) flowFor(dialled string) (flow string, ok bool) {
	for _, d := range t.DIDs {
		switch d.Number {
		case dialled:
			return d.Flow, true
		case "*":
			flow, ok = d.Flow, true
		}
	}
	whole := sip.E164(dialled, t.Region)
	for _, d := range t.DIDs {
		if whole != "" && wholeDID(d.Number, t.Region) == whole {
			return d.Flow, true
		}
	}
	return flow, ok
}

// wholeDIDs are the configured numbers in E.164, each reckoned once: that takes some twenty microseconds, and a call may
// have to be compared with all of them.
var wholeDIDs sync.Map // didIn: string

type didIn struct{ number, region string }

func wholeDID(number, region string) string {
	if whole, ok := wholeDIDs.Load(didIn{number, region}); ok {
		return whole.(string)
	}
	whole := sip.E164(number, region)
	wholeDIDs.Store(didIn{number, region}, whole)
	return whole
}

// Queue returns the queue of that name.
func (c *Config) Queue(name string) (Queue, bool) {
	i := slices.IndexFunc(c.Queues, func(q Queue) bool { return q.Name == name })
	if i < 0 {
		return Queue{}, false
	}
	return c.Queues[i], true
}

// Agent returns the agent of that user name.
func (c *Config) Agent(user string) (Agent, bool) {
	for _, a := range c.Agents {
		if a.User == user {
			return a, true
		}
	}
	return Agent{}, false
}
