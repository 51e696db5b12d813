package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A rank that isn't the usual one is told, of the queue whose seat is rung; who is
// rung as the account manager has none.
func TestRanksAreExplained(t *testing.T) {
	p := Policy{RingTime: 20 * Second, Queues: []QueuePolicy{{ID: "q", Plan: []PlanStep{{Ring: StepManager}, {Ring: StepQueue, Of: "other"}, {Ring: StepQueue}}}, {ID: "other"}}}
	ranked := func(id SeatID, queue QueueID, rank int) SeatPolicy {
		return SeatPolicy{ID: id, Queues: []QueueID{queue}, Ranks: []QueueRank{{queue, rank}}}
	}
	p.Seats = []SeatPolicy{ranked("manager", "q", 9), ranked("first", "q", 1), ranked("second", "q", 2), ranked("helper", "other", 4)}
	s := New()
	var got string
	s.Watch(func(c Choice) {
		for _, x := range c.Seats {
			got += fmt.Sprintf("%s:%d ", x.Seat, x.Rank)
		}
	})
	at := Time(0)
	do := func(ev Event) (ranks []int) {
		at += Time(Second)
		for _, d := range s.Apply(Entry{At: at, Node: "n", Event: ev}) {
			if o, ok := d.(*Offer); ok {
				ranks = append(ranks, o.Reasons.Rank)
			}
		}
		return ranks
	}
	do(PolicyChanged{p})
	for _, x := range p.Seats {
		do(SeatRegistered{x.ID})
	}
	var ranks []int
	for i := range p.Seats {
		id := CallID(fmt.Sprintf("c%d", i))
		do(CallArrived{Call: id})
		do(CallIdentified{Call: id, Manager: "manager"})
		ranks = append(ranks, do(CallQueued{Call: id, Queue: "q"})...)
	}
	if want := []int{0, 4, 0, 2}; !slices.Equal(ranks, want) {
		t.Errorf("offers by ranks %v, want %v", ranks, want)
	}
	if want := "manager:0 helper:4 first:0 second:2 helper:4 first:0 second:2 manager:0 "; !strings.HasPrefix(got, want) {
		t.Errorf("seats\n%s, want first\n%s", got, want)
	}
}

// Each rule that excludes a seat is named, and those that could be rung come
// first, in the order in which they would be.
func TestEverySeatIsExplained(t *testing.T) {
	p := Policy{RingTime: 20 * Second, OfferLease: Second, KeepIdle: 1, ManagerTime: 10 * Second, RejectDelay: 30 * Second,
		Queues: []QueuePolicy{{ID: "q", WrapUp: Second}, {ID: "other"}}}
	p.Seats = []SeatPolicy{
		{ID: "offline", Queues: []QueueID{"q"}}, {ID: "break", Queues: []QueueID{"q"}}, {ID: "busy", Queues: []QueueID{"q"}},
		{ID: "resting", Queues: []QueueID{"q"}}, {ID: "elsewhere", Queues: []QueueID{"other"}},
		{ID: "english", Queues: []QueueID{"q"}, Languages: []string{"en"}}, {ID: "vip", VIP: true, Queues: []QueueID{"q"}},
		{ID: "idle", Queues: []QueueID{"q"}}, {ID: "idle2", Queues: []QueueID{"q"}},
	}
	s := New()
	at := Time(0)
	do := func(ev Event) { at += Time(Second); s.Apply(Entry{At: at, Node: "n", Event: ev}) }
	var choices []Choice
	do(PolicyChanged{p})
	for _, id := range []SeatID{"busy", "resting"} { // each gets a call
		do(SeatRegistered{Seat: id})
		do(CallArrived{Call: CallID("for " + id)})
		do(CallQueued{Call: CallID("for " + id), Queue: "q"})
	}
	do(TalkStarted{Call: "for busy", Seat: "busy", Offer: 1})
	do(OfferFailed{Call: "for resting", Seat: "resting", Offer: 2, Cause: OfferRefused})
	do(CallEnded{Call: "for resting", Cause: CauseCallerHungUp})
	for _, id := range []SeatID{"break", "elsewhere", "english", "vip", "idle", "idle2"} {
		do(SeatRegistered{Seat: id})
	}
	do(AgentStatusChanged{Agent: "break", Status: StatusBreak})
	s.Watch(func(c Choice) { choices = append(choices, c) })
	do(CallArrived{Call: "c"})
	do(CallIdentified{Call: "c", Tier: TierC, Language: "zh"})
	do(CallQueued{Call: "c", Queue: "q"})
	if len(choices) != 1 || choices[0].Seat != "idle" {
		t.Fatalf("choices %+v, want one, of the seat that idles longest", choices)
	}
	got := ""
	for _, c := range choices[0].Seats {
		got += fmt.Sprintf("%s:%s ", c.Seat, c.Excluded)
	}
	want := "idle: idle2: break:not_ready busy:busy elsewhere:queue english:language offline:offline resting:resting vip:reserved "
	if got != want {
		t.Errorf("seats\n%s, want\n%s", got, want)
	}
	if s.Candidates("c") != nil || s.Candidates("nobody") != nil {
		t.Error("candidates of a call that doesn't wait")
	}
}

// Each offer of a ring group is explained, not only the first one.
func TestWatchOfARingGroup(t *testing.T) {
	s := New()
	q := []QueueID{"q"}
	p := Policy{RingTime: Minute, Queues: []QueuePolicy{{ID: "q", RingGroup: 2}}, Seats: []SeatPolicy{{ID: "s1", Queues: q}, {ID: "s2", Queues: q}}}
	events := []Event{PolicyChanged{p}, SeatRegistered{"s1"}, SeatRegistered{"s2"}, CallArrived{Call: "c"}, CallQueued{Call: "c", Queue: "q"}}
	excluded := map[SeatID]string{}
	s.Watch(func(c Choice) {
		for _, x := range c.Seats {
			excluded[c.Seat+" "+x.Seat] = x.Excluded
		}
	})
	for _, ev := range events {
		s.Apply(Entry{At: 1, Event: ev})
	}
	want := map[SeatID]string{"s1 s1": "", "s1 s2": "", "s2 s1": ExcludedBusy, "s2 s2": ""}
	if !maps.Equal(excluded, want) {
		t.Errorf("got %v, want %v", excluded, want)
	}
}
