package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hotline/routing"
)

// RecordedCall is one call that entered a queue, as it happened.
type RecordedCall struct {
	ID       string
	At       routing.Time // of entering the queue, or where the record begins
	Tier     routing.Tier
	Queue    routing.QueueID
	Manager  routing.AgentID
	Team     string
	Language string
	// Wait from At until the talk, or until the caller gave up. Before is what the
	// caller had waited when the record begins.
	Wait     time.Duration
	Before   time.Duration
	Answered bool
	// Service is the talk with its holds; of a call that wasn't answered nobody
	// knows it.
	Service time.Duration
	// Offers are how agents took the call, in order; the last one was answered if any
	// was.
	Offers []Ringing

	line int // see underway
}

// SeatEvent is a change of a seat's presence, or an estimate of waits, as it happened.
type SeatEvent struct {
	At    routing.Time
	Event routing.Event // SeatRegistered, SeatUnregistered, AgentStatusChanged or Estimated
}

// PolicyFrom is a policy and since when it was in force.
type PolicyFrom struct {
	At     routing.Time
	Policy routing.Policy
}

// Recorded is traffic as it happened, the matter of a replay.
type Recorded struct {
	From, To routing.Time
	Calls    []RecordedCall // by At
	Seats    []SeatEvent    // by At
	Policy   routing.Policy // the last one in force
	Policies []PolicyFrom   // all of them
	Rings    []float64      // s, from offer to answer
}

// FromJournal reads traffic out of the entries of a journal. state is the one before
// the first of them: a new one, or that of a snapshot, whose calls, seats and policy
// are taken over. It is used up. read calls its argument with each entry in order.
func FromJournal(state *routing.State, read func(func(routing.Entry) error) error) (*Recorded, error) {
	rec := &Recorded{}
	before := rec.begin(state)
	err := read(func(e routing.Entry) error {
		if rec.From == 0 {
			rec.From = e.At
		}
		rec.event(before, e)
		for _, d := range state.Apply(e) {
			switch d := d.(type) {
			case *routing.Ended:
				if !before.talking[d.Call.ID] {
					rec.add(&d.Call, before.line[d.Call.ID])
				}
			case *routing.Closed:
				rec.free(before, state, d.Call.Seat)
			}
		}
		rec.To = max(rec.To, state.Now())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	rec.sort()
	return rec, nil
}

// event keeps what a replay is told of policy and seats. Of a seat that was busy
// from before on, free tells it.
func (rec *Recorded) event(before underway, e routing.Entry) {
	switch ev := e.Event.(type) {
	case routing.PolicyChanged:
		rec.Policy = ev.Policy
		rec.Policies = append(rec.Policies, PolicyFrom{e.At, ev.Policy})
	case routing.SeatRegistered:
		if !before.busy[ev.Seat] {
			rec.Seats = append(rec.Seats, SeatEvent{e.At, ev})
		}
	case routing.SeatUnregistered:
		if !before.busy[ev.Seat] {
			rec.Seats = append(rec.Seats, SeatEvent{e.At, ev})
		}
	case routing.AgentStatusChanged, routing.Estimated:
		rec.Seats = append(rec.Seats, SeatEvent{e.At, ev})
	}
}

// addTalks makes a call of its own of each wait and talk before a transfer.
func (rec *Recorded) addTalks(v *routing.CallView) {
	for i := range v.Talks {
		t := &v.Talks[i]
		if at := max(t.Queued, rec.From); t.Connected >= at {
			rec.Calls = append(rec.Calls, RecordedCall{
				ID: fmt.Sprintf("%s talk %d", v.ID, i+1), At: at, Tier: v.Tier, Queue: t.Queue, Manager: v.Manager, Team: v.Team, Language: v.Language,
				Wait: micro(t.Connected.Sub(at)), Before: micro(at.Sub(t.Queued)), Answered: true, Service: micro(t.Talk + t.Hold),
				Offers: ringings(v.Offers, at, t.Connected),
			})
		}
	}
}

func (rec *Recorded) add(v *routing.CallView, line int) {
	rec.addTalks(v)
	if v.Queued == 0 || v.Outcome != routing.OutcomeAnswered && v.Outcome != routing.OutcomeAbandoned {
		return // never in a queue, or ended by something that isn't the caller's wish
	}
	at := max(v.Queued, rec.From)
	before := at.Sub(v.Queued)
	rec.Calls = append(rec.Calls, RecordedCall{
		ID: string(v.ID), At: at, Tier: v.Tier, Queue: v.Queue, Manager: v.Manager, Team: v.Team, Language: v.Language,
		Wait: micro(v.QueueWait - before), Before: micro(before), Answered: v.Outcome == routing.OutcomeAnswered, Service: micro(v.Talk + v.Hold), line: line,
		Offers: ringings(v.Offers, at, v.Ended),
	})
	for _, rung := range ringings(v.Offers, 0, v.Ended) {
		if rung.Cause == "" {
			rec.Rings = append(rec.Rings, rung.Took)
		}
	}
}

// ringings are how the offers went that were made in a span of time.
func ringings(offers []routing.OfferView, from, to routing.Time) (out []Ringing) {
	for i := range offers {
		if rung, told := ringing(&offers[i]); told && offers[i].At >= from && offers[i].At <= to {
			out = append(out, rung)
		}
	}
	return out
}

func micro(d routing.Duration) time.Duration { return time.Duration(d) * time.Microsecond }

// PolicyAt is the policy in force at a time.
func (rec *Recorded) PolicyAt(t routing.Time) routing.Policy {
	p := rec.Policy
	for i := len(rec.Policies) - 1; i >= 0; i-- {
		if p = rec.Policies[i].Policy; rec.Policies[i].At <= t {
			break
		}
	}
	return p
}

// FromCalls is traffic of which only the calls are known: seats are as the policy and
// the scenario have them.
func FromCalls(calls []RecordedCall) *Recorded {
	rec := &Recorded{Calls: calls}
	rec.sort()
	for i := range rec.Calls {
		c := &rec.Calls[i]
		if i == 0 {
			rec.From = c.At
		}
		rec.To = max(rec.To, c.At.Add(routing.Duration((c.Wait+c.Service)/time.Microsecond)))
	}
	return rec
}

func (rec *Recorded) sort() {
	slices.SortStableFunc(rec.Calls, func(a, b RecordedCall) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.line, b.line), cmp.Compare(b.Before, a.Before), cmp.Compare(a.ID, b.ID))
	})
	slices.SortStableFunc(rec.Seats, func(a, b SeatEvent) int { return cmp.Compare(a.At, b.At) })
}

// Scenario puts the recorded callers before a policy. What is recorded: when each
// call came, who called, how long those answered talked, when those who gave up
// did, what waits were estimated, how agents took the first, second ... offer of each call, and when seats were
// present. What is modelled: further offers (one of the recorded ringings), how long those answered
// would have waited (Kaplan–Meier by tier, given what they did wait), and how
// long those who gave up would have talked (one of the recorded talks of their
// tier). The same seed models the same for each policy.
func (rec *Recorded) Scenario(policy routing.Policy, seed uint64, replications int) (Scenario, error) {
	if len(rec.Calls) == 0 {
		return Scenario{}, fmt.Errorf("no call entered a queue: nothing to replay")
	}
	sc := Scenario{Policy: policy, Seed: seed, Replications: replications, Recorded: rec,
		Length: micro(rec.To.Sub(rec.From)) + time.Hour}
	if len(rec.Rings) > 0 {
		ring, err := NewEmpirical(rec.Rings)
		if err != nil {
			return Scenario{}, err
		}
		sc.Ring = ring
	}
	patience, service := rec.models()
	classes := map[classKey]int{}
	for i := range rec.Calls {
		c := &rec.Calls[i]
		key := classKey{c.Tier, c.Queue, c.Manager, c.Team, c.Language}
		k, ok := classes[key]
		if !ok {
			k = len(sc.Classes)
			classes[key] = k
			sc.Classes = append(sc.Classes, Class{Name: fmt.Sprintf("%s %s", c.Tier, c.Queue), Tier: c.Tier, Queue: c.Queue,
				Manager: c.Manager, Team: c.Team, Language: c.Language})
		}
		a := Arrival{At: micro(c.At.Sub(rec.From)), Class: k, Offers: c.Offers}
		wait, before, talk := c.Wait.Seconds(), c.Before.Seconds(), c.Service.Seconds()
		if p := patience[c.Tier]; c.Answered {
			a.Model = func(r *rand.Rand) (float64, float64) { return talk, p.After(before+wait, r) - before }
		} else {
			d := service[c.Tier]
			a.Model = func(r *rand.Rand) (float64, float64) { return d.Draw(r), wait }
		}
		sc.Calls = append(sc.Calls, a)
	}
	return sc, nil
}

// classKey is what two calls of one class have in common.
type classKey struct {
	tier     routing.Tier
	queue    routing.QueueID
	manager  routing.AgentID
	team     string
	language string
}

// models estimates patience and talk by tier; a tier with too few calls takes
// those of all.
func (rec *Recorded) models() (patience map[routing.Tier]*KaplanMeier, service map[routing.Tier]Dist) {
	waits, talks := map[routing.Tier][]Wait{}, map[routing.Tier][]float64{}
	var allWaits []Wait
	var allTalks []float64
	for i := range rec.Calls {
		c := &rec.Calls[i]
		w := Wait{Seconds: c.Waited().Seconds(), GaveUp: !c.Answered}
		waits[c.Tier], allWaits = append(waits[c.Tier], w), append(allWaits, w)
		if c.Answered {
			talks[c.Tier], allTalks = append(talks[c.Tier], c.Service.Seconds()), append(allTalks, c.Service.Seconds())
		}
	}
	const few = 20
	if len(allTalks) == 0 {
		allTalks = []float64{0}
	}
	patience, service = map[routing.Tier]*KaplanMeier{}, map[routing.Tier]Dist{}
	for _, t := range routing.Tiers() {
		if len(waits[t]) < few {
			waits[t] = allWaits
		}
		if len(talks[t]) < few {
			talks[t] = allTalks
		}
		patience[t] = NewKaplanMeier(waits[t])
		service[t], _ = NewEmpirical(talks[t])
	}
	return patience, service
}
