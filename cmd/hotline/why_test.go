package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"hotline/routing"
	"hotline/routing/journal"
)

// oneDay writes a journal: a C call holds the only ordinary seat, a second one
// waits because the one VIP seat is kept, and is answered when the first is over.
func oneDay(t *testing.T) (dir string, policy routing.Policy) {
	t.Helper()
	dir = t.TempDir()
	f, err := journal.OpenFile(journal.FileOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	policy = routing.Policy{Order: routing.OrderStrict, KeepIdle: 1, RingTime: 20 * routing.Second, OfferLease: routing.Second,
		Queues: []routing.QueuePolicy{{ID: "sales"}},
		Seats:  []routing.SeatPolicy{{ID: "carol", Queues: []routing.QueueID{"sales"}}, {ID: "vip", VIP: true, Queues: []routing.QueueID{"sales"}}}}
	for _, tier := range routing.Tiers() {
		policy.Tiers = append(policy.Tiers, routing.TierPolicy{Tier: tier, TargetMS: 20000})
	}
	s := routing.New()
	do := func(sec int, ev routing.Event) {
		e := routing.Entry{At: routing.Time(sec+1) * routing.Time(routing.Second), Node: "n", Event: ev}
		seq, err := f.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Seq = seq
		var talks []routing.TalkStarted
		for _, d := range s.Apply(e) {
			if o, ok := d.(*routing.Offer); ok {
				talks = append(talks, routing.TalkStarted{Call: o.Call, Seat: o.Seat, Offer: o.Offer})
			}
		}
		for _, ev := range talks {
			talk := routing.Entry{At: e.At, Node: "n", Event: ev}
			if talk.Seq, err = f.Append(talk); err != nil {
				t.Fatal(err)
			}
			s.Apply(talk)
		}
	}
	do(0, routing.PolicyChanged{Policy: policy})
	do(0, routing.SeatRegistered{Seat: "carol"})
	do(0, routing.SeatRegistered{Seat: "vip"})
	for i, id := range []routing.CallID{"first", "second"} {
		do(10+i, routing.CallArrived{Call: id, Trunk: "carrier", DID: "1", Attestation: "B", Diversions: []routing.Diversion{{Number: "+8613900000000", Reason: "no-answer"}}})
		do(10+i, routing.CallIdentified{Call: id, Tier: routing.TierC, Source: "default"})
		do(10+i, routing.CallQueued{Call: id, Queue: "sales"})
	}
	do(42, routing.CallEnded{Call: "first", Cause: routing.CauseCallerHungUp})
	do(60, routing.CallEnded{Call: "second", Cause: routing.CauseCallerHungUp})
	return dir, policy
}

func TestWhyTellsTheCallsStory(t *testing.T) {
	dir, _ := oneDay(t)
	var out bytes.Buffer
	if err := why(context.Background(), &out, dir, "second"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"arrived by trunk carrier for 1", "attested: B", "diverted: no-answer",
		"identified: tier C, customer none",
		"+  0.000s  entered queue sales",
		"+ 31.000s  OFFERED to carol by rule queue (order strict, step queue), after 31s",
		"1. carol, idle for 0s",
		"not vip: VIP seat kept for A and B",
		"talks to carol after 31s in the queue",
		"ended: answered, caller_hung_up; talk 18s",
		"without a change   answered after 31.0s",
		"with keep_idle: 0       answered 31s earlier",
		"with no seat is vip     answered 31s earlier",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if err := why(context.Background(), &out, dir, "nobody"); err == nil || !strings.Contains(err.Error(), "no call nobody") {
		t.Errorf("an unknown call: %v", err)
	}
}

// The rank of a seat is told where it isn't the usual one.
func TestWhyTellsRanks(t *testing.T) {
	s := &story{call: "c"}
	s.choice(routing.Choice{Seat: "bob", Seats: []routing.Candidate{{Seat: "bob"}, {Seat: "eve", Rank: 3, Idle: routing.Minute}}})
	if got := strings.Join(s.lines, "\n"); !strings.Contains(got, "1. bob, idle for 0s") || !strings.Contains(got, "2. eve of rank 3, idle for 1m0s") {
		t.Error(got)
	}
}

func TestReplayUnderANewPolicy(t *testing.T) {
	dir, policy := oneDay(t)
	r := replaying{replications: 2, seed: 1, tolerance: 1, worst: 5}
	same, err := r.run(context.Background(), dir, policy)
	if err != nil {
		t.Fatal(err)
	}
	if !same.Passed || len(same.Worse) != 0 || same.Calls != 2 || same.Tiers[0].Recorded.Level != 0.5 || same.Tiers[0].Old != same.Tiers[0].New {
		t.Errorf("the same policy: %+v", same)
	}
	open := policy
	open.KeepIdle = 0
	better, err := r.run(context.Background(), dir, open)
	if err != nil {
		t.Fatal(err)
	}
	if !better.Passed || better.Tiers[0].New.Level != 1 || better.Tiers[0].New.ASA != 0 {
		t.Errorf("with keep_idle 0: %+v", better.Tiers)
	}
	// The other way round: what the open policy made good gets worse again.
	closed := policy
	closed.Seats = policy.Seats[1:]
	worse, err := r.run(context.Background(), dir, closed)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	worse.print(&out)
	if worse.Passed || !strings.Contains(out.String(), "modelled:") {
		t.Errorf("without carol: %+v\n%s", worse, &out)
	}
}
