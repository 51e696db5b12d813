package routing_test

import (
	"slices"
	"strings"

	"hotline/routing"
)

// statement changes the policy that the next timed line applies.
func (p *player) statement(w []string) {
	p.t.Helper()
	opts := map[string]string{}
	for _, o := range w[1:] {
		k, v, _ := strings.Cut(o, "=")
		opts[k] = v
	}
	switch w[0] {
	case "policy":
		p.settings(opts)
	case "queue":
		p.policy.Queues = append(p.policy.Queues, p.queue(w[1], opts))
	case "seat":
		_, vip := opts["vip"]
		x := routing.SeatPolicy{ID: routing.SeatID(w[1]), VIP: vip, Team: opts["team"], Languages: list(opts["languages"]), Agent: routing.AgentID(opts["agent"])}
		if w, ok := opts["weight"]; ok {
			x.Weight = p.num(w)
		}
		for _, k := range list(opts["skills"]) {
			name, level, _ := strings.Cut(k, ":")
			x.Skills = append(x.Skills, routing.Skill{Name: name, Level: p.num(level)})
		}
		for _, q := range list(opts["queues"]) { // sales,care:2
			name, rank, ranked := strings.Cut(q, ":")
			x.Queues = append(x.Queues, routing.QueueID(name))
			if ranked {
				x.Ranks = append(x.Ranks, routing.QueueRank{Queue: routing.QueueID(name), Rank: p.num(rank)})
			}
		}
		p.policy.Seats = append(p.policy.Seats, x)
	case "step": // of the plan of the queue before
		q := &p.policy.Queues[len(p.policy.Queues)-1]
		q.Plan = append(q.Plan, p.step(opts))
	case "nothing": // start the next policy from scratch, settings excepted
		p.policy.Queues, p.policy.Seats = nil, nil
	default:
		p.fatalf("unknown statement")
	}
}

func (p *player) queue(id string, opts map[string]string) routing.QueuePolicy {
	p.t.Helper()
	q := routing.QueuePolicy{ID: routing.QueueID(id)}
	for k, v := range opts {
		switch k {
		case id:
		case "wrap_up":
			q.WrapUp = p.span(v)
		case "strategy":
			q.Strategy = v
		case "ring_group":
			q.RingGroup = p.num(v)
		case "skill":
			name, level, _ := strings.Cut(v, ":")
			q.Skill, q.MinLevel = name, p.num(level)
		case "extension": // 30s:2
			d, n, _ := strings.Cut(v, ":")
			q.WrapUpExtension, q.MaxExtensions = p.span(d), p.num(n)
		case "relax_after":
			q.RelaxAfter = p.span(v)
		case "max_waiting":
			q.MaxWaiting = p.num(v)
		case "max_wait":
			q.MaxWait = p.span(v)
		case "refuse_empty":
			q.RefuseEmpty = true
		case "leave_empty":
			q.LeaveEmpty = p.span(v)
		case "when_full":
			q.WhenFull = exit(v)
		case "when_too_long":
			q.WhenTooLong = exit(v)
		case "when_empty":
			q.WhenEmpty = exit(v)
		default:
			p.fatalf("unknown setting %q of a queue", k)
		}
	}
	return q
}

func (p *player) step(opts map[string]string) (st routing.PlanStep) {
	p.t.Helper()
	for k, v := range opts {
		switch k {
		case "ring":
			st.Ring = routing.Step(v)
		case "of":
			st.Of = routing.QueueID(v)
		case "for":
			st.For = p.span(v)
		case "after":
			st.After = p.span(v)
		case "leave":
			e := exit(v)
			st.Leave = &e
		case "tiers":
			for _, name := range list(v) {
				st.When.Tiers = append(st.When.Tiers, *tierOf(name))
			}
		case "waiting":
			st.When.Waiting = p.num(v)
		case "waiting_per_seat": // in thousandths
			st.When.WaitingPerSeat = p.num(v)
		case "expected_wait":
			st.When.ExpectedWait = p.span(v)
		case "hours": // minutes of the week
			from, to, _ := strings.Cut(v, "-")
			st.When.Hours = append(st.When.Hours, routing.Window{From: p.num(from), To: p.num(to)})
		default:
			p.fatalf("unknown setting %q of a step", k)
		}
	}
	return st
}

// exit reads "queue:operator" or "prompt:all-busy".
func exit(s string) routing.Exit {
	kind, name, _ := strings.Cut(s, ":")
	if kind == "queue" {
		return routing.Exit{Queue: routing.QueueID(name)}
	}
	return routing.Exit{Prompt: name}
}

func (p *player) settings(opts map[string]string) {
	p.t.Helper()
	for k, v := range opts {
		pol := &p.policy
		fields := map[string]*routing.Duration{
			"manager_time": &pol.ManagerTime, "team_time": &pol.TeamTime, "ring_time": &pol.RingTime,
			"reject_delay": &pol.RejectDelay, "busy_delay": &pol.BusyDelay, "no_answer_delay": &pol.NoAnswerDelay,
			"unreachable_delay": &pol.UnreachableDelay, "offer_lease": &pol.OfferLease, "resume_within": &pol.ResumeWithin,
		}
		switch f := fields[k]; {
		case f != nil:
			*f = p.span(v)
		case k == "order":
			pol.Order = v
		case k == "strategy":
			pol.Strategy = v
		case tierOf(k) != nil:
			p.tier(*tierOf(k), v)
		case k == "keep_idle":
			pol.KeepIdle = p.num(v)
		case k == "max_misses":
			pol.MaxMisses = p.num(v)
		case k == "targets":
			for i, ms := range list(v) {
				pol.Tiers = append(pol.Tiers, routing.TierPolicy{Tier: routing.Tiers()[i], TargetMS: int64(p.num(ms))})
			}
		default:
			p.fatalf("unknown setting %q", k)
		}
	}
}

// tier reads a target and a longest wait: "10s", "10s:60s".
func (p *player) tier(t routing.Tier, v string) {
	p.t.Helper()
	target, maxWait, _ := strings.Cut(v, ":")
	p.policy.Tiers = slices.DeleteFunc(slices.Clone(p.policy.Tiers), func(o routing.TierPolicy) bool { return o.Tier == t })
	p.policy.Tiers = append(p.policy.Tiers, routing.TierPolicy{Tier: t, TargetMS: int64(p.span(target) / routing.Millisecond), MaxWait: p.span(maxWait)})
}
