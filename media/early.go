package media

import "sync/atomic"

// early is the time of a leg before its call is answered.
type early struct {
	on   atomic.Bool
	sent atomic.Uint64 // packets until it was over
}

// Early tells whether the call of the leg isn't answered yet: then the peer hears us and has no reason to
// send anything, so its silence neither closes [Leg.Timeout] nor is a fault. It begins anew to count when that is over.
func (l *Leg) Early(on bool) {
	if on {
		l.early.on.Store(true)
		return
	}
	l.early.sent.Store(l.sender.count())
	l.alive.heard(l.engine.now())
	l.early.on.Store(false)
}

// until is how many of the packets sent were early.
func (e *early) until(sent uint64) uint64 {
	if e.on.Load() {
		return sent
	}
	return e.sent.Load()
}

// count is how many packets were sent.
func (s *sender) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packets
}
