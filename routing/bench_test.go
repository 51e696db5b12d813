package routing_test

import (
	"fmt"
	"strconv"
	"testing"

	"hotline/routing"
)

// crowd returns a state with n calls of all tiers waiting in four queues and
// n/10 seats, all talking.
func crowd(b *testing.B, n int) (*routing.State, []routing.Offer) {
	p := routing.Policy{RingTime: 15 * routing.Second, OfferLease: 5 * routing.Second, ManagerTime: 20 * routing.Second, TeamTime: 20 * routing.Second, KeepIdle: 1}
	queues := []routing.QueueID{"inquiry", "complaint", "fault", "operator"}
	for _, q := range queues {
		p.Queues = append(p.Queues, routing.QueuePolicy{ID: q})
	}
	for i := range n / 10 {
		p.Seats = append(p.Seats, routing.SeatPolicy{ID: routing.SeatID(fmt.Sprintf("s%05d", i)), VIP: i%10 == 0, Team: "t" + strconv.Itoa(i%20), Queues: queues})
	}
	s := routing.New()
	apply(s, 1, routing.PolicyChanged{Policy: p})
	var talking []routing.Offer
	for i := range p.Seats {
		apply(s, 1, routing.SeatRegistered{Seat: p.Seats[i].ID})
		o := offers(arrive(s, 1, i, routing.TierA1))
		apply(s, 1, routing.TalkStarted{Call: o[0].Call, Seat: o[0].Seat, Offer: o[0].Offer})
		talking = append(talking, o[0])
	}
	for i := range n {
		arrive(s, routing.Time(2+i), len(p.Seats)+i, routing.Tiers()[i%5])
	}
	if err := s.Check(); err != nil {
		b.Fatal(err)
	}
	return s, talking
}

func arrive(s *routing.State, at routing.Time, i int, tier routing.Tier) []routing.Decision {
	id := routing.CallID("c" + strconv.Itoa(i))
	queue := []routing.QueueID{"inquiry", "complaint", "fault", "operator"}[i%4]
	return apply(s, at, routing.CallArrived{Call: id}, routing.CallAnswered{Call: id}, routing.CallIdentified{Call: id, Tier: tier}, routing.CallQueued{Call: id, Queue: queue})
}

func offers(ds []routing.Decision) (out []routing.Offer) {
	for _, d := range ds {
		if o, ok := d.(*routing.Offer); ok {
			out = append(out, *o)
		}
	}
	return out
}

// BenchmarkApplyCall takes one call through its whole way while others wait: a
// call arrives and is queued, a talk ends, its seat is offered the next call,
// and that talk starts. Six entries.
func BenchmarkApplyCall(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			s, talking := crowd(b, n)
			b.ReportAllocs()
			next, at := 10*n, routing.Time(100000)
			for b.Loop() {
				next, at = next+1, at+1
				arrive(s, at, next, routing.Tiers()[next%5])
				o := talking[next%len(talking)]
				won := offers(apply(s, at, routing.CallEnded{Call: o.Call, Cause: routing.CauseCallerHungUp}))[0]
				apply(s, at, routing.TalkStarted{Call: won.Call, Seat: won.Seat, Offer: won.Offer})
				talking[next%len(talking)] = won
			}
		})
	}
}

// BenchmarkApplyRefused has the first of the waiting calls refused again and
// again, the seat being freed from its rest at once.
func BenchmarkApplyRefused(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			s, talking := crowd(b, n)
			o := offers(apply(s, 100000, routing.CallEnded{Call: talking[0].Call, Cause: routing.CauseCallerHungUp}))[0]
			b.ReportAllocs()
			for b.Loop() {
				o = offers(apply(s, 100000, routing.OfferFailed{Call: o.Call, Seat: o.Seat, Offer: o.Offer, Cause: routing.OfferRefused}))[0]
			}
		})
	}
}

// BenchmarkApplyTick is what an entry costs at least.
func BenchmarkApplyTick(b *testing.B) {
	s, _ := crowd(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s.Apply(routing.Entry{At: 100000, Node: "n1", Event: routing.Tick{}})
	}
}

// BenchmarkHash and BenchmarkCheck are what comparing nodes and watching the
// invariants cost.
func BenchmarkHash(b *testing.B) {
	s, _ := crowd(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s.Hash()
	}
}

// BenchmarkCheck runs with all seats busy.
func BenchmarkCheck(b *testing.B) {
	s, _ := crowd(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
