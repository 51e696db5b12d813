package media

import "time"

// ptime is the length of every frame this package makes.
const ptime = 20 * time.Millisecond

// maxBurst bounds what is sent at once to catch up after a late wake-up.
const maxBurst = 3

// grid is a row of instants 20 ms apart: phase, phase+20 ms, ... since the engine's start. It
// never drifts: instant k is computed, not added up.
type grid struct {
	phase time.Duration
	next  int64 // the first instant not yet served
}

// at is the time of instant k.
func (g *grid) at(k int64) time.Duration { return g.phase + time.Duration(k)*ptime }

// due returns the instants from..to that must be served at now, at most maxBurst of them, and
// how many older ones were given up. It returns to < from when it is too early.
func (g *grid) due(now time.Duration) (from, to, skipped int64) {
	to = int64((now - g.phase) / ptime)
	if now < g.phase {
		to = -1
	}
	from = g.next
	if to < from {
		return from, to, 0
	}
	if to-from >= maxBurst {
		skipped = to - from - maxBurst + 1
		from += skipped
	}
	g.next = to + 1
	return from, to, skipped
}

// rejoin forgets what was missed while nothing was to be sent.
func (g *grid) rejoin(now time.Duration) {
	if now >= g.phase {
		g.next = max(g.next, int64((now-g.phase)/ptime))
	}
}
