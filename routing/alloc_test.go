package routing_test

import (
	"strconv"
	"testing"

	"hotline/routing"
)

// tape is traffic in a house that isn't still: for each of n rounds a call comes,
// rings and talks, perhaps after a refusal, and one ends with its wrap-up.
func tape(t *testing.T, n int) []routing.Entry {
	s := routing.New()
	var out []routing.Entry
	at := routing.Time(routing.Second)
	var offered []routing.Offer
	do := func(ev routing.Event) {
		e := routing.Entry{Seq: uint64(len(out) + 1), At: at, Node: "n1", Event: ev}
		out = append(out, e)
		for _, d := range s.Apply(e) {
			if o, ok := d.(*routing.Offer); ok {
				offered = append(offered, *o)
			}
		}
	}
	p := small()
	p.Queues[0].WrapUp, p.KeepIdle, p.ManagerTime = 2*routing.Second, 1, routing.Second
	p.Queues = append(p.Queues, routing.QueuePolicy{ID: "care"})
	for i := range 30 {
		p.Seats = append(p.Seats, routing.SeatPolicy{ID: routing.SeatID("v" + strconv.Itoa(i)), VIP: i%3 == 0, Team: "t" + strconv.Itoa(i%2), Queues: []routing.QueueID{"sales", "care"}})
	}
	do(routing.PolicyChanged{Policy: p})
	for _, x := range p.Seats {
		do(routing.SeatRegistered{Seat: x.ID})
	}
	var talking []routing.CallID
	for i := range n {
		at = at.Add(routing.Second)
		id := routing.CallID("c" + strconv.Itoa(i))
		do(routing.CallArrived{Call: id, Number: "+861380000" + strconv.Itoa(i)})
		do(routing.CallAnswered{Call: id})
		who := routing.CallIdentified{Call: id, Tier: routing.Tiers()[i%5]}
		if i%4 == 0 {
			who.Manager, who.Team = routing.AgentID("v"+strconv.Itoa(i%30)), "t1"
		}
		do(who)
		do(routing.CallQueued{Call: id, Queue: []routing.QueueID{"sales", "care"}[i%2]})
		if i%5 == 0 && len(offered) > 0 {
			o := offered[0]
			offered = offered[1:]
			do(routing.OfferFailed{Call: o.Call, Seat: o.Seat, Offer: o.Offer, Cause: routing.OfferRefused})
		}
		for len(offered) > 0 {
			o := offered[0]
			offered = offered[1:]
			do(routing.OfferRinging{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			do(routing.OfferAnswered{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			do(routing.TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			talking = append(talking, o.Call)
		}
		if len(talking) > 20 || i%100 > 90 && len(talking) > 0 { // now and then the lines run empty
			do(routing.HoldChanged{Call: talking[0], Held: true})
			do(routing.CallEnded{Call: talking[0], Cause: routing.CauseCallerHungUp})
			talking = talking[1:]
		}
	}
	if ignored, why := s.Ignored(); ignored > 0 {
		t.Fatal(why)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Once the state has grown to its size, calls come, are identified, wait, are
// offered, refused, answered, held, and end without a single allocation.
func TestApplyAllocatesNothingInSteadyState(t *testing.T) {
	entries := tape(t, 6000)
	s := routing.New()
	half := len(entries) / 2
	for _, e := range entries[:half] {
		s.Apply(e)
	}
	i, step := half, 1000
	allocs := testing.AllocsPerRun((len(entries)-half)/step-1, func() {
		for _, e := range entries[i : i+step] {
			s.Apply(e)
		}
		i += step
	})
	if allocs > 0 {
		t.Errorf("%v allocations per %d entries, want none", allocs, step)
	}
}
