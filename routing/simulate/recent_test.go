package simulate

import (
	"math"
	"testing"

	"hotline/routing"
)

// observed has seen n calls of a queue, one each gap, each of which was answered after
// 10 s and talked for a minute.
func observed(n int, gap routing.Duration) (*Recent, *routing.State) {
	r, at := &Recent{}, start
	for range n {
		at = at.Add(gap)
		r.Observe(&routing.Ended{Call: routing.CallView{Queue: "q", Queued: at, Connected: at.Add(10 * routing.Second),
			Ended: at.Add(70 * routing.Second), QueueWait: 10 * routing.Second, Talk: routing.Minute}})
	}
	s := routing.New()
	p := routing.Policy{RingTime: routing.Minute, Queues: []routing.QueuePolicy{{ID: "q"}, {ID: "help"}}}
	s.Apply(routing.Entry{At: at.Add(70 * routing.Second), Event: routing.PolicyChanged{Policy: p}})
	return r, s
}

func (m *model) rate(q routing.QueueID, t routing.Tier) float64 {
	return m.classes[m.index[class{q, t}]].PerHour
}

// The rate of callers is right whether the last half hour had more calls than are
// remembered, or the server is younger than that.
func TestRatesOfArrivals(t *testing.T) {
	for n, gap := range map[int]routing.Duration{100: 4 * routing.Second, recentCalls: routing.Second / 2, 4 * recentCalls: routing.Second / 10} {
		r, s := observed(n, gap)
		got, want := r.learn(s, s.Calls(), func() {}).rate("q", routing.TierC), float64(routing.Hour)/float64(gap)
		if math.Abs(got/want-1) > 0.2 {
			t.Errorf("%d calls, one each %s: %.0f an hour, want %.0f", n, gap, got, want)
		}
	}
}

// A caller who was sent on came to the queue before, and will come there again.
func TestArrivalsCountForTheFirstQueue(t *testing.T) {
	r, s := observed(100, 4*routing.Second)
	for i := range 100 {
		at := start.Add(routing.Duration(i) * 4 * routing.Second)
		r.Observe(&routing.Ended{Call: routing.CallView{Queue: "help", Moves: []routing.Move{{From: "q"}}, Queued: at, Ended: at.Add(routing.Minute)}})
	}
	m := r.learn(s, s.Calls(), func() {})
	if q, help := m.rate("q", routing.TierC), m.rate("help", routing.TierC); math.Abs(q/1800-1) > 0.2 || help != 0 {
		t.Errorf("%.0f an hour come to q and %.0f to help, want 1800 and none", q, help)
	}
}
