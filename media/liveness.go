package media

import (
	"sync/atomic"
	"time"
)

// liveness tells when a leg has been silent for too long. It costs no lock, since it is asked
// on every beat of the grid.
type liveness struct {
	heardAt atomic.Int64 // time.Duration since the engine's start
	limit   atomic.Int64 // 0: never
}

// watch starts the count anew with another limit.
func (l *liveness) watch(limit, now time.Duration) {
	l.heardAt.Store(int64(now))
	l.limit.Store(int64(limit))
}

// heard notes a packet.
func (l *liveness) heard(now time.Duration) { l.heardAt.Store(int64(now)) }

// expired tells whether the limit has been reached.
func (l *liveness) expired(now time.Duration) bool {
	limit := l.limit.Load()
	return limit > 0 && int64(now)-l.heardAt.Load() >= limit
}
