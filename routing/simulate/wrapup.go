package simulate

import (
	"slices"

	"hotline/routing"
)

// noWrapUpIsLonger stands for the queues' wrap-up when the classes say how long each
// one is.
const noWrapUpIsLonger = 30 * 24 * routing.Hour

// policy is the scenario's. When classes have wrap-ups of their own it lets them last,
// and each is ended in its time, as an agent does who dials the code.
func (r *replication) policy() routing.Policy {
	p := r.sc.Policy
	if !slices.ContainsFunc(r.sc.Classes, func(c Class) bool { return c.WrapUp != nil }) {
		return p
	}
	usual := map[routing.QueueID]Dist{}
	p.Queues = slices.Clone(p.Queues)
	for i := range p.Queues {
		q := &p.Queues[i]
		usual[q.ID] = Constant(float64(q.WrapUp) / second)
		q.WrapUp = noWrapUpIsLonger
	}
	for _, c := range r.sc.Classes {
		if c.WrapUp == nil {
			c.WrapUp = usual[c.Queue]
		}
		r.wrapUps = append(r.wrapUps, c.WrapUp)
	}
	r.seatNo = make(map[routing.SeatID]int, len(p.Seats))
	for i := range p.Seats {
		r.seatNo[p.Seats[i].ID] = i
	}
	return p
}
