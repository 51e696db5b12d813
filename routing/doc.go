// Package routing decides who talks to whom. It is a pure, deterministic state
// machine fed by one ordered journal:
//
//	State + Entry -> State' + []Decision
//
// Every fact that can change who talks to whom is an Event inside an Entry: a
// call arrived, a customer was identified, a seat registered, an offer was
// refused, the policy changed, a deadline is due (Tick). Every action is a
// Decision: ring this seat with this call, withdraw the offer, hang up, the
// call is over. Inside there is no clock, no randomness, no input or output, no
// goroutine and no floating point, and no order ever comes from a map, so that
// the same entries give the same state and the same decisions on every node, in
// a simulation and when a journal is read back.
//
// Time is the entry's. It never goes back: an earlier time is read as the
// latest one seen. Apply first fires every deadline at or before the entry's
// time, each at its own time and ordered by (deadline, id), then applies the
// entry. A Tick only wakes it; NextDeadline says when one is needed. NodeStarted
// is the one exception: what the dead process held ends at the last time the
// journal knows, before any deadline, because nobody was there to act on one.
//
// A waiting call and a seat are an admissible pair when the seat is idle,
// present (registered and ready) and not resting after a failed offer, when the
// language fits, when the call has reached a step that holds the seat (the
// account manager, then the manager's team, then everybody in the queue; steps
// only widen) and when the reservation of VIP seats allows it. After every
// Apply no admissible pair is left. Calls are served in one global order over
// all queues: the band of the tier (A1 and A2, B1 and B2, C), then the place in
// the line, which is the time of entry; a call whose offer failed keeps its
// place. The seat is chosen in the order manager, team, VIP seat (for C an
// ordinary one), by the
// queue's strategy (the longest idle, unless configured otherwise), id.
//
// A queue may bear so many waiting calls, so long a wait, or none while nobody is
// there. A call that it doesn't take or keep goes into another queue with its old
// place, or is told so and hung up: Overflow.
//
// A call is owned by the node that took it. Only the owner carries out
// decisions on it and only the owner's events about it count. An offer is a
// reservation with a lease: if its owner reports nothing, it ends by itself.
//
// State isn't safe for concurrent use: one goroutine owns it.
package routing
