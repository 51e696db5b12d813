package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hotline/routing"
)

// Change is a policy that differs in one thing.
type Change struct {
	// Name says what is different, in the words of the config: "keep_idle: 0".
	Name   string
	Policy routing.Policy
}

// Changes are the policies that differ from p in one setting that could have
// changed a decision.
func Changes(p routing.Policy) []Change {
	var out []Change
	add := func(name string, change func(*routing.Policy)) {
		q := p
		q.Seats = slices.Clone(p.Seats)
		change(&q)
		if q.Validate() == nil {
			out = append(out, Change{name, q})
		}
	}
	for _, k := range []int{0, p.KeepIdle - 1, p.KeepIdle + 1} {
		if k >= 0 && k != p.KeepIdle && !slices.ContainsFunc(out, func(c Change) bool { return c.Policy.KeepIdle == k }) {
			add(fmt.Sprintf("keep_idle: %d", k), func(q *routing.Policy) { q.KeepIdle = k })
		}
	}
	for _, t := range []struct {
		name  string
		value routing.Duration
		set   func(*routing.Policy, routing.Duration)
	}{
		{"manager_time", p.ManagerTime, func(q *routing.Policy, d routing.Duration) { q.ManagerTime = d }},
		{"team_time", p.TeamTime, func(q *routing.Policy, d routing.Duration) { q.TeamTime = d }},
	} {
		for _, d := range []routing.Duration{0, t.value / 2} {
			if d != t.value {
				add(fmt.Sprintf("%s: %v", t.name, micro(d)), func(q *routing.Policy) { t.set(q, d) })
			}
		}
	}
	current := p.Order
	if current == "" {
		current = routing.OrderStrict
	}
	for _, order := range []string{routing.OrderStrict, routing.OrderDeadline, routing.OrderRatio} {
		if order != current {
			add("order: "+order, func(q *routing.Policy) { q.Order = order })
		}
	}
	if slices.ContainsFunc(p.Seats, func(x routing.SeatPolicy) bool { return x.VIP }) {
		add("no seat is vip", func(q *routing.Policy) {
			for i := range q.Seats {
				q.Seats[i].VIP = false
			}
		})
	}
	return out
}

// Effect is what a change would have meant to one call.
type Effect struct {
	Change string
	// Answered and Wait with the change; BaseAnswered and BaseWait are those of
	// the same simulation without it.
	Answered, BaseAnswered bool
	Wait, BaseWait         time.Duration
}

// Earlier is how much sooner the wait would have been over; negative is later.
func (e Effect) Earlier() time.Duration { return e.BaseWait - e.Wait }

// WhatIf plays the recorded traffic under p and under each of its changes. base is
// what becomes of the i-th call without a change, which differs from the record as
// far as callers and agents are modelled; effects are the changes that make a
// difference of more than a second, or of an answer, to it.
func (rec *Recorded) WhatIf(ctx context.Context, i int, p routing.Policy) (base Outcome, effects []Effect, err error) {
	play := func(q routing.Policy) (bool, time.Duration, error) {
		sc, err := rec.Scenario(q, 1, 1)
		if err != nil {
			return false, 0, err
		}
		rep, err := Run(ctx, sc, nil)
		if err != nil {
			return false, 0, err
		}
		answered, wait := rep.Call(i)
		return answered.Mean == 1, time.Duration(wait.Mean * float64(time.Second)), nil
	}
	baseAnswered, baseWait, err := play(p)
	if err != nil {
		return base, nil, err
	}
	base = Outcome{Answered: baseAnswered, Wait: baseWait.Seconds()}
	var out []Effect
	for _, c := range Changes(p) {
		answered, wait, err := play(c.Policy)
		if err != nil {
			return base, nil, fmt.Errorf("with %s: %w", c.Name, err)
		}
		e := Effect{Change: c.Name, Answered: answered, Wait: wait, BaseAnswered: baseAnswered, BaseWait: baseWait}
		if answered != baseAnswered || e.Earlier().Abs() > time.Second {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Effect) int { return int(b.Earlier().Milliseconds() - a.Earlier().Milliseconds()) })
	return base, out, nil
}
