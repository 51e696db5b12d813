package routing_test

import (
	"fmt"
	"testing"

	"hotline/routing"
)

// BenchmarkDecision measures one decision in a full house: a talk ends, and of as
// many waiting calls as there are seats, over 50 queues and all tiers, one is
// chosen for the seat. Each iteration also brings a new caller and starts the
// talk, so that the house stays full: six entries, of which one decides.
func BenchmarkDecision(b *testing.B) {
	for _, order := range []string{"strict", "deadline", "ratio"} {
		for _, n := range []int{100, 1000, 10000, 100000} {
			b.Run(fmt.Sprintf("%s/%d", order, n), func(b *testing.B) { fullHouse(b, order, n) })
		}
	}
}

// house is a state that is kept full.
type house struct {
	s       *routing.State
	at      routing.Time
	calls   int
	offered routing.Offer
}

const houseQueues = 50

func houseQueue(i int) routing.QueueID { return routing.QueueID(fmt.Sprintf("q%02d", i%houseQueues)) }

func housePolicy(order string, n int) routing.Policy {
	p := routing.Policy{Order: order, RingTime: routing.Minute}
	for _, t := range routing.Tiers() {
		p.Tiers = append(p.Tiers, routing.TierPolicy{Tier: t, TargetMS: 10000 + 5000*int64(t)})
	}
	for i := range houseQueues {
		p.Queues = append(p.Queues, routing.QueuePolicy{ID: houseQueue(i)})
	}
	for i := range n {
		p.Seats = append(p.Seats, routing.SeatPolicy{ID: routing.SeatID(fmt.Sprintf("s%06d", i)), VIP: i%10 == 0,
			Queues: []routing.QueueID{houseQueue(i), houseQueue(i + 7), houseQueue(i + 23)}})
	}
	return p
}

func (h *house) apply(ev routing.Event) {
	h.at += 100
	for _, d := range h.s.Apply(routing.Entry{At: h.at, Node: "n", Event: ev}) {
		if o, ok := d.(*routing.Offer); ok {
			h.offered = *o
		}
	}
}

func (h *house) arrive() {
	id := routing.CallID(fmt.Sprintf("c%08d", h.calls))
	h.apply(routing.CallArrived{Call: id})
	h.apply(routing.CallIdentified{Call: id, Tier: routing.Tiers()[h.calls%5]})
	h.apply(routing.CallQueued{Call: id, Queue: houseQueue(h.calls * 7)})
	h.calls++
}

func fullHouse(b *testing.B, order string, n int) {
	h := &house{s: routing.New(), at: 1}
	p := housePolicy(order, n)
	h.apply(routing.PolicyChanged{Policy: p})
	for i := range p.Seats {
		h.apply(routing.SeatRegistered{Seat: p.Seats[i].ID})
	}
	var talking []routing.CallID
	for len(talking) < n && h.calls < 4*n { // fill the seats
		h.offered = routing.Offer{}
		if h.arrive(); h.offered.Call != "" {
			h.apply(routing.TalkStarted{Call: h.offered.Call, Seat: h.offered.Seat, Offer: h.offered.Offer})
			talking = append(talking, h.offered.Call)
		}
	}
	for range n { // and the lines
		h.arrive()
	}
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		h.offered = routing.Offer{}
		h.apply(routing.CallEnded{Call: talking[next], Cause: routing.CauseCallerHungUp})
		for h.offered.Call == "" { // nobody waits for this seat: the next who does gets it
			h.arrive()
		}
		h.apply(routing.TalkStarted{Call: h.offered.Call, Seat: h.offered.Seat, Offer: h.offered.Offer})
		talking[next] = h.offered.Call
		next = (next + 1) % len(talking)
		h.arrive()
	}
}
