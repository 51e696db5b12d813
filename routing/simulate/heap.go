package simulate

import "hotline/routing"

// kind of a simulated event.
type kind uint8

const (
	arrives kind = iota // a new call of a class
	gives               // a caller loses patience
	answers             // an agent picks up, or doesn't
	leaves              // a talk is over
	begins              // a shift begins
	stops               // a shift ends
	seats               // a recorded change of a seat
	wraps               // a wrap-up is over
)

// event is something that will happen.
type event struct {
	at   routing.Time
	seq  uint64 // ties are served in the order of their making
	kind kind
	// call is an index in replication.calls; for arrives the class, or -1-class for
	// one who calls again; for begins and stops the shift, for
	// wraps the seat in the policy.
	call int
	gen  uint64 // of the caller; for answers the number of the offer
}

// push and pop keep the events in a heap by time and order of making.
func (r *replication) push(e event) {
	r.seq++
	e.seq = r.seq
	r.heap = append(r.heap, e)
	i := len(r.heap) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !less(&r.heap[i], &r.heap[p]) {
			break
		}
		r.heap[i], r.heap[p] = r.heap[p], r.heap[i]
		i = p
	}
}

func (r *replication) pop() event {
	top := r.heap[0]
	n := len(r.heap) - 1
	r.heap[0] = r.heap[n]
	r.heap = r.heap[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && less(&r.heap[c+1], &r.heap[c]) {
			c++
		}
		if !less(&r.heap[c], &r.heap[i]) {
			break
		}
		r.heap[i], r.heap[c] = r.heap[c], r.heap[i]
		i = c
	}
	return top
}

func less(a, b *event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }
