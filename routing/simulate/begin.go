package simulate

import (
	"time"

	"hotline/routing"
)

// underway is what was going on before the first entry that is read.
type underway struct {
	// talking are the calls whose wait was over: they are no matter of a replay.
	talking map[routing.CallID]bool
	// line are the calls that wait, with less than 0: they enter the replay one by
	// one, in the order of these numbers, as the first one takes a seat that is idle.
	line map[routing.CallID]int
	// busy are the seats of those calls and of their wrap-ups. They join the replay
	// when they come free. Until then they count as away, which matters only to
	// limits and steps that ask whether somebody is there.
	busy map[routing.SeatID]bool
}

// begin takes over policy, seats and calls from a state that isn't new.
func (rec *Recorded) begin(state *routing.State) underway {
	u := underway{talking: map[routing.CallID]bool{}, line: map[routing.CallID]int{}, busy: map[routing.SeatID]bool{}}
	if state.Now() == 0 {
		return u
	}
	rec.From, rec.To = state.Now(), state.Now()
	if p, ok := state.Policy(); ok {
		rec.Policy, rec.Policies = p, []PolicyFrom{{rec.From, p}}
	}
	for _, c := range state.Calls() {
		switch c.Phase {
		case routing.PhaseOnOffer: // it has a seat, if the agent answers
			u.line[c.ID] = int(routing.BandA) - int(routing.BandC) - 2
		case routing.PhaseWaiting:
			u.line[c.ID] = int(c.Tier.Band()) - int(routing.BandC) - 1
		case routing.PhaseTalking:
			u.talking[c.ID], u.busy[c.Seat] = true, true
		case routing.PhaseWrapUp:
			u.busy[c.Seat] = true
		}
	}
	for _, x := range state.Seats() {
		// The status comes first, so that nobody on break is rung.
		if x.Status != routing.StatusReady {
			rec.Seats = append(rec.Seats, SeatEvent{rec.From, routing.AgentStatusChanged{Agent: x.Agent, Status: x.Status, Reason: x.Reason}})
		}
		if x.Node != "" && !u.busy[x.ID] {
			rec.Seats = append(rec.Seats, SeatEvent{rec.From, routing.SeatRegistered{Seat: x.ID}})
		}
	}
	return u
}

// free lets a seat join when the call that it was busy with is closed, if its
// phone is still there.
func (rec *Recorded) free(u underway, state *routing.State, id routing.SeatID) {
	if !u.busy[id] {
		return
	}
	delete(u.busy, id)
	if x, _ := state.Seat(id); x.Node != "" {
		rec.Seats = append(rec.Seats, SeatEvent{state.Now(), routing.SeatRegistered{Seat: id}})
	}
}

// Waiting is how many calls were waiting when the recorded traffic begins.
func (rec *Recorded) Waiting() int {
	n := 0
	for i := range rec.Calls {
		if rec.Calls[i].line < 0 {
			n++
		}
	}
	return n
}

// Waited is the call's whole wait.
func (c *RecordedCall) Waited() time.Duration { return c.Before + c.Wait }
