package simulate

import (
	"slices"
	"sync"

	"hotline/routing"
)

const (
	// recentCalls and recentOffers bound what is remembered.
	recentCalls  = 4096
	recentOffers = 1024
	// rateWindow is the time over which arrivals are counted.
	rateWindow = 30 * routing.Minute
	// usualService and usualRing stand in, in seconds, until calls have been seen.
	usualService = 180
	usualRing    = 5
)

// Ringing is how an offer went: after Took seconds the agent answered, or it failed
// with Cause, one of those of routing.OfferFailed.
type Ringing struct {
	Took  float64
	Cause string
}

// Recent remembers the latest calls, to look ahead from. It may be used by several
// goroutines.
type Recent struct {
	mu     sync.Mutex
	calls  []recentCall // a ring
	next   int
	offers []Ringing // a ring
	nextOf int
	since  routing.Time // who came to a queue after this is known
}

type recentCall struct {
	first, queue  routing.QueueID // that it came to, and that it ended in
	tier          routing.Tier
	queued, ended routing.Time
	wait, service float64 // s
	answered      bool
	gaveUp        bool
}

// Observe takes a decision of the running server. It keeps nothing of it.
func (r *Recent) Observe(d routing.Decision) {
	e, ok := d.(*routing.Ended)
	if !ok || e.Call.Queued == 0 {
		return
	}
	v := &e.Call
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) == recentCalls { // who came after the end of the one that is forgotten stays
		r.since = max(r.since, r.calls[r.next].ended)
	} else if r.since == 0 || v.Queued < r.since {
		r.since = v.Queued
	}
	for i := range v.Talks {
		t := &v.Talks[i]
		put(&r.calls, &r.next, recentCalls, recentCall{
			queue: t.Queue, tier: v.Tier, queued: t.Queued, wait: float64(t.QueueWait) / second, service: float64(t.Talk+t.Hold) / second, answered: true,
		})
	}
	put(&r.calls, &r.next, recentCalls, recentCall{
		first: firstQueue(v), queue: v.Queue, tier: v.Tier, queued: v.Queued, ended: v.Ended, wait: float64(v.QueueWait) / second,
		service: float64(v.Talk+v.Hold) / second, answered: v.Connected != 0,
		gaveUp: v.Outcome == routing.OutcomeAbandoned,
	})
	for _, o := range v.Offers {
		if rung, told := ringing(&o); told {
			put(&r.offers, &r.nextOf, recentOffers, rung)
		}
	}
}

// ringing is how an offer that is over went; false when the agent had no say.
func ringing(o *routing.OfferView) (rung Ringing, told bool) {
	rung.Took = float64(o.Took) / second
	switch o.Outcome {
	case routing.OfferTaken:
	case routing.OfferWithdrawn:
		return rung, false
	default:
		rung.Cause = o.Outcome
	}
	return rung, true
}

// put adds v to a ring of at most size.
func put[T any](ring *[]T, next *int, size int, v T) {
	if len(*ring) < size {
		*ring = append(*ring, v)
		return
	}
	(*ring)[*next] = v
	*next = (*next + 1) % size
}

// model is what a look ahead draws from.
type model struct {
	classes []Class
	index   map[class]int
	byQueue map[routing.QueueID]behaviour
	all     behaviour
	offers  []Ringing
}

type class struct {
	queue routing.QueueID
	tier  routing.Tier
}

// behaviour is how long calls take and how long callers wait.
type behaviour struct{ service, patience *KaplanMeier }

func (m *model) of(q routing.QueueID) behaviour {
	if b, ok := m.byQueue[q]; ok {
		return b
	}
	return m.all
}

// class is the index of a class, 0 when it has no arrivals: the class of a call that
// is there already matters to nothing but redialling, which a look ahead hasn't.
func (m *model) class(q routing.QueueID, t routing.Tier) int { return m.index[class{q, t}] }

// firstQueue is the one that the caller asked for, whatever exits the call took.
func firstQueue(v *routing.CallView) routing.QueueID {
	if len(v.Moves) > 0 {
		return v.Moves[0].From
	}
	return v.Queue
}

// copied is what is remembered, for learn alone: the core must not wait for that.
func (r *Recent) copied() (calls []recentCall, offers []Ringing, since routing.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls), slices.Clone(r.offers), r.since
}

// learn makes a model of what was seen and of the calls that are there: those that
// talk or wait now tell how long calls and patience are at least.
func (r *Recent) learn(state *routing.State, there []routing.CallView, breathe func()) *model {
	calls, offers, since := r.copied()
	m := &model{index: map[class]int{}, byQueue: map[routing.QueueID]behaviour{}, offers: offers}
	now := state.Now()
	var live []*routing.CallView
	for i := range there {
		v := &there[i]
		if v.Queued == 0 || v.Ended != 0 {
			continue
		}
		live = append(live, v)
		if since == 0 || len(calls) < recentCalls && v.Queued < since {
			since = v.Queued
		}
	}
	since = max(since, now.Add(-rateWindow))
	services, patiences := map[routing.QueueID][]Wait{}, map[routing.QueueID][]Wait{}
	arrived := map[class]int{}
	see := func(first, q routing.QueueID, t routing.Tier, queued routing.Time, wait Wait, service Wait, talked bool) {
		patiences[q] = append(patiences[q], wait)
		if talked {
			services[q] = append(services[q], service)
		}
		if queued >= since {
			arrived[class{first, t}]++
		}
	}
	for _, c := range calls {
		see(c.first, c.queue, c.tier, c.queued, Wait{c.wait, c.gaveUp}, Wait{c.service, true}, c.answered)
	}
	breathe()
	for _, v := range live {
		see(firstQueue(v), v.Queue, v.Tier, v.Queued, Wait{float64(v.QueueWait) / second, false}, Wait{float64(now.Sub(v.Connected)) / second, false}, v.Connected != 0)
	}
	breathe()
	m.behave(services, patiences, breathe)
	m.arrive(state.Queues(), arrived, now.Sub(since))
	if len(m.offers) == 0 {
		m.offers = []Ringing{{Took: usualRing}}
	}
	return m
}

// enough is how many calls a queue needs to be known by its own.
const enough = 20

func (m *model) behave(services, patiences map[routing.QueueID][]Wait, breathe func()) {
	var all, everybody []Wait
	for q := range services {
		all = append(all, services[q]...)
	}
	for q := range patiences {
		everybody = append(everybody, patiences[q]...)
	}
	estimate := func(waits []Wait) *KaplanMeier {
		defer breathe()
		return NewKaplanMeier(waits)
	}
	m.all = behaviour{estimate(all), estimate(everybody)}
	if m.all.service.rate == 0 { // no talk has ended yet
		m.all.service = &KaplanMeier{rate: 1. / usualService}
	}
	for q, s := range services {
		if len(s) >= enough {
			if b := (behaviour{estimate(s), estimate(patiences[q])}); b.service.rate > 0 {
				m.byQueue[q] = b
			}
		}
	}
}

// arrive makes a class of each queue and tier that callers came to in the window.
func (m *model) arrive(queues []routing.QueueView, arrived map[class]int, window routing.Duration) {
	window = max(window, routing.Minute)
	for _, q := range queues {
		for _, t := range routing.Tiers() {
			k := class{q.ID, t}
			b := m.of(q.ID)
			m.index[k] = len(m.classes)
			m.classes = append(m.classes, Class{
				Name: string(q.ID) + " " + t.String(), Tier: t, Queue: q.ID, Service: b.service, Patience: b.patience,
				PerHour: float64(arrived[k]) * float64(routing.Hour) / float64(window),
			})
		}
	}
}
