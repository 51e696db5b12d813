package routing

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// weighing is a queue that goes by weights, in which each call is over before the
// next one comes: all seats are idle whenever one is chosen.
type weighing struct {
	s     *State
	p     Policy
	calls int
}

func newWeighing(weights ...int) *weighing {
	w := &weighing{s: New(), p: Policy{RingTime: Minute, Queues: []QueuePolicy{{ID: "q", Strategy: StrategyWeighted}}}}
	for i, n := range weights {
		w.p.Seats = append(w.p.Seats, SeatPolicy{ID: SeatID(fmt.Sprintf("s%d", i+1)), Queues: []QueueID{"q"}, Weight: n})
	}
	w.do(PolicyChanged{w.p})
	for _, x := range w.p.Seats {
		w.do(SeatRegistered{x.ID})
	}
	return w
}

func (w *weighing) do(ev Event) []Decision {
	return Clones(w.s.Apply(Entry{At: w.s.now.Add(Second), Node: "n1", Event: ev}))
}

// offers returns how many of the next n calls each seat is offered.
func (w *weighing) offers(n int) map[SeatID]int {
	got := map[SeatID]int{}
	for range n {
		w.calls++
		id := CallID(fmt.Sprintf("c%d", w.calls))
		w.do(CallArrived{Call: id})
		for _, d := range w.do(CallQueued{Call: id, Queue: "q"}) {
			o, ok := d.(*Offer)
			if !ok {
				continue
			}
			got[o.Seat]++
			if w.calls%3 == 0 { // taken or not
				w.do(CallEnded{Call: id, Cause: CauseCallerHungUp})
				continue
			}
			w.do(TalkStarted{Call: id, Seat: o.Seat, Offer: o.Offer})
			w.do(CallEnded{Call: id, Cause: CauseAgentHungUp})
		}
	}
	return got
}

func (w *weighing) want(t interface {
	Helper()
	Errorf(string, ...any)
}, n int, want map[SeatID]int) {
	t.Helper()
	if got := w.offers(n); !maps.Equal(got, want) {
		t.Errorf("%d calls went to %v, want %v", n, got, want)
	}
	if err := w.s.Check(); err != nil {
		t.Errorf("%v", err)
	}
}

func TestWeightedShares(t *testing.T) {
	newWeighing(1, 2, 3).want(t, 600, map[SeatID]int{"s1": 100, "s2": 200, "s3": 300})
	newWeighing(0, 1).want(t, 50, map[SeatID]int{"s1": 25, "s2": 25})
	newWeighing(100, 1).want(t, 303, map[SeatID]int{"s1": 300, "s2": 3})
}

// Whatever the weights: after as many calls as they make up together, and again and
// again, each seat has had exactly its share.
func TestWeightedSharesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 6).Draw(t, "weights")
		w, want, sum := newWeighing(weights...), map[SeatID]int{}, 0
		for i, n := range weights {
			want[w.p.Seats[i].ID] = n
			sum += n
		}
		for range 3 {
			w.want(t, sum, want)
		}
	})
}

// Who wasn't there begins at the level of the others instead of being rung alone
// until it is reached.
func TestWhoComesIsLevel(t *testing.T) {
	third := func(change func(*weighing)) func(*weighing) {
		return func(w *weighing) {
			w.p.Seats = append(w.p.Seats, SeatPolicy{ID: "s3", Queues: []QueueID{"q"}, Weight: 3})
			w.do(PolicyChanged{w.p})
			change(w)
		}
	}
	for name, come := range map[string]func(*weighing){
		"late": third(func(w *weighing) { w.do(SeatRegistered{"s3"}) }),
		"late and on a break": third(func(w *weighing) {
			w.do(AgentStatusChanged{Agent: "s3", Status: StatusBreak})
			w.do(SeatRegistered{"s3"})
			w.offers(30)
			w.do(AgentStatusChanged{Agent: "s3", Status: StatusReady})
		}),
		"back from a break": third(func(w *weighing) {
			w.do(SeatRegistered{"s3"})
			w.offers(60)
			w.do(AgentStatusChanged{Agent: "s3", Status: StatusBreak})
			w.offers(300)
			w.do(AgentStatusChanged{Agent: "s3", Status: StatusReady})
		}),
		"with a phone that was gone": third(func(w *weighing) {
			w.do(SeatRegistered{"s3"})
			w.offers(60)
			w.do(SeatUnregistered{"s3"})
			w.offers(3)
			w.do(SeatRegistered{"s3"})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeighing(1, 2)
			w.want(t, 300, map[SeatID]int{"s1": 100, "s2": 200})
			come(w)
			w.want(t, 60, map[SeatID]int{"s1": 10, "s2": 20, "s3": 30})
		})
	}
}

// Who has had more than the others keeps it over a break: a break is no way to calls.
func TestBreakGivesNothingBack(t *testing.T) {
	w := newWeighing(1, 1)
	w.do(AgentStatusChanged{Agent: "s2", Status: StatusBreak})
	w.offers(10)
	w.do(AgentStatusChanged{Agent: "s1", Status: StatusBreak})
	w.do(AgentStatusChanged{Agent: "s2", Status: StatusReady})
	w.do(AgentStatusChanged{Agent: "s1", Status: StatusReady})
	w.want(t, 10, map[SeatID]int{"s2": 10})
}

// VIP seats are rung for other calls, seats of a higher rank for those that nobody
// else could take: what they have had says nothing of the others.
func TestKindsOfSeatsAreLevelApart(t *testing.T) {
	w := newWeighing(1)
	w.offers(50)
	w.p.Seats = append(w.p.Seats, SeatPolicy{ID: "vip", VIP: true, Queues: []QueueID{"q"}},
		SeatPolicy{ID: "backup", Queues: []QueueID{"q"}, Ranks: []QueueRank{{"q", 2}}}, SeatPolicy{ID: "other", Queues: []QueueID{"q"}})
	w.do(PolicyChanged{w.p})
	for id, want := range map[SeatID]int64{"vip": 0, "backup": 0, "other": 50} {
		w.do(SeatRegistered{id})
		if x, _ := w.s.Seat(id); x.Turns != want || x.Weight != 1 {
			t.Errorf("%s begins at %d with the weight %d, want %d and 1", id, x.Turns, x.Weight, want)
		}
	}
}

// A reload that changes weights counts from then on; one that begins to go by weights
// forgets what was before.
func TestWeightsAreReloaded(t *testing.T) {
	w := newWeighing(1, 2)
	w.want(t, 30, map[SeatID]int{"s1": 10, "s2": 20})
	w.p.Seats[0].Weight, w.p.Seats[1].Weight = 4, 1
	w.do(PolicyChanged{w.p})
	w.want(t, 50, map[SeatID]int{"s1": 40, "s2": 10})

	w.p.Queues[0].Strategy = StrategyMostSkilled
	w.p.Queues[0].Skill, w.p.Seats[0].Skills = "k", []Skill{{"k", 9}}
	w.do(PolicyChanged{w.p})
	w.want(t, 20, map[SeatID]int{"s1": 20})
	w.p.Queues[0].Strategy = StrategyWeighted
	w.do(PolicyChanged{w.p})
	w.want(t, 50, map[SeatID]int{"s1": 40, "s2": 10})
}

// Registering begins a new account: yesterday's calls say nothing of today's.
func TestRegistrationBeginsAnew(t *testing.T) {
	w := newWeighing(1, 1)
	w.do(SeatUnregistered{"s2"})
	w.want(t, 50, map[SeatID]int{"s1": 50})
	w.do(SeatUnregistered{"s1"})
	w.do(SeatRegistered{"s2"})
	w.do(SeatRegistered{"s1"})
	w.want(t, 10, map[SeatID]int{"s1": 5, "s2": 5})
}

func TestHashSeesTurnsAndWeight(t *testing.T) {
	w := newWeighing(1, 2)
	x, seen := w.s.seats["s1"], map[uint64]bool{w.s.Hash(): true}
	x.turns++
	seen[w.s.Hash()] = true
	x.weight++
	seen[w.s.Hash()] = true
	if len(seen) != 3 {
		t.Errorf("%d hashes of three states", len(seen))
	}
}
