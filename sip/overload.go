package sip

import (
	"sync"
	"sync/atomic"
	"time"
)

// standing is how much is known of the sender of new work. When there is too much of
// it, those of low standing are refused first.
type standing int

const (
	stranger standing = iota // anybody; the address may be forged
	familiar                 // has a trunk's address, or has shown that the address is its own
	favoured                 // a VIP trunk or caller, an agent's registered phone, an answer to our own doing
)

// admission lets new work in at the rate that this process is found to manage. What it
// measures is how long work waits for a processor, from when it came to the machine: a probe is
// queued as work is, and tells when its turn came. As with CoDel (RFC 8289) a
// wait that stays above its target for a whole interval is one too many, while a burst isn't. Then as much is
// admitted as got done, and nothing until the wait is short again; while it is short the
// rate rises, at once to nearly what it was (most waits are another program's doing, and over in a moment) and
// slowly beyond, and after some calm there is none. So no capacity needs to be configured,
// and nothing is refused before work has waited too long.
type admission struct {
	target  time.Duration // 0 or less admits everything
	measure func(time.Duration)
	callers callers      // who are favoured
	probing atomic.Int64 // when the probe on its way was sent, by epoch; 0: none is
	epoch   time.Time

	mu       sync.Mutex
	rate     float64 // new work a second; 0: no limit
	proven   float64 // a little less than the rate at which the wait was last too long
	tokens   float64
	filled   time.Time
	begun    time.Time // of this interval
	admitted int       // in this interval
	behind   int       // admitted since the probe on its way was sent
	seen     bool      // a probe came back in this interval
	least    time.Duration
	before   time.Duration // least of the interval before
	last     time.Duration // of the latest probe that came back
	lastAt   time.Time     // when that came back
	late     time.Time     // when the first of those that waited too long in a row came back; 0: the latest didn't
	hard     time.Time     // when something was refused or the wait was too long
}

const (
	interval = 100 * time.Millisecond
	// The rate falls and rises by these an interval. Below lowestRate new work is not the
	// reason; one call that a stall of the machine made late is none.
	muchLess, less, faster, back = 0.8, 0.95, 1.03, 1.25
	lowestRate                   = 20.0
	// calm is how long all must have gone well until there is no limit any more.
	calm = 2 * time.Second
	// leastBurst is what a stranger may be behind of.
	leastBurst = 500
)

// depths of the bucket, in seconds of the rate. A stranger leaves half of it to others;
// the favoured take ahead what others will not get.
const (
	depth      = 0.1
	strangers  = depth / 2
	takenAhead = 1.0
)

func newAdmission(target time.Duration, measure func(time.Duration)) *admission {
	now := time.Now()
	return &admission{target: target, measure: measure, epoch: now, begun: now}
}

// admit tells whether new work of that standing, which came then, may begin.
func (a *admission) admit(who standing, came, now time.Time) bool {
	if a.target <= 0 {
		return true
	}
	a.probe(came)
	return a.decide(who, now)
}

func (a *admission) decide(who standing, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.begun) >= interval {
		a.turn(now)
	}
	if a.probing.Load() != 0 && a.behind >= burst(who) {
		a.hard = now
		return false
	}
	if a.rate > 0 {
		a.tokens = min(max(1, depth*a.rate), a.tokens+now.Sub(a.filled).Seconds()*a.rate)
		a.filled = now
		if a.tokens < a.floor(who) || a.wait(now) > a.patience(who) {
			a.hard = now
			return false
		}
		a.tokens--
	}
	a.admitted++
	a.behind++
	return true
}

// burst is how much work may queue behind a probe before anything is known of the wait:
// that many goroutines may be there at once.
func burst(who standing) int {
	switch who {
	case stranger:
		return leastBurst
	case familiar:
		return 2 * leastBurst
	default:
		return 8 * leastBurst
	}
}

// floor is how many tokens there must be.
func (a *admission) floor(who standing) float64 {
	switch who {
	case stranger:
		return max(1, strangers*a.rate)
	case familiar:
		return 1
	default:
		return -takenAhead * a.rate
	}
}

// patience is how long work may wait now.
func (a *admission) patience(who standing) time.Duration {
	switch who {
	case stranger:
		return a.target
	case familiar:
		return 3 * a.target
	default:
		return 20 * a.target // nearly Timer A, by default: late is better than not at all
	}
}

// turn judges the interval that is over.
func (a *admission) turn(now time.Time) {
	span, wait := now.Sub(a.begun), a.wait(now)
	least := a.least
	if !a.seen {
		least = wait
	}
	switch {
	case least > a.target && (a.rate > 0 || a.lasts(wait) && float64(a.admitted) >= lowestRate*span.Seconds()):
		if a.rate == 0 {
			// What was admitted got done but for what still waits.
			a.rate, a.tokens, a.filled = float64(a.admitted)/(span+wait).Seconds(), 0, now
		}
		if least > a.before { // else it gets better by itself
			if a.before <= a.target {
				a.proven = less * a.rate
			}
			a.rate *= less
			if least > 5*a.target {
				a.rate *= muchLess
			}
		}
		a.rate, a.hard = max(lowestRate, a.rate), now
	case a.rate > 0 && now.Sub(a.hard) > calm:
		a.rate = 0
	case a.rate > 0 && least < a.target/2 && a.rate < a.proven:
		a.rate = min(a.proven, a.rate*back)
	case a.rate > 0 && least < a.target/2:
		a.rate *= faster
	}
	a.begun, a.admitted, a.seen, a.before = now, 0, false, least
}

// lasts tells whether the wait is more than a moment in which the machine did something else.
func (a *admission) lasts(wait time.Duration) bool {
	return wait > interval || !a.late.IsZero() && a.lastAt.Sub(a.late) >= interval/2
}

// wait is how long work waits now, as far as is known.
func (a *admission) wait(now time.Time) time.Duration {
	if at := a.probing.Load(); at != 0 {
		return max(a.last, now.Sub(a.epoch)-time.Duration(at))
	}
	return a.last
}

// probe sends one unless one is on its way. It has waited since then.
func (a *admission) probe(since time.Time) {
	if a.probing.Load() != 0 || !a.probing.CompareAndSwap(0, max(1, int64(since.Sub(a.epoch)))) {
		return
	}
	go func() {
		now := time.Now()
		took := now.Sub(since)
		a.came(took, now)
		a.probing.Store(0)
		if a.measure != nil {
			a.measure(took)
		}
	}()
	// The goroutine that was started last is the next to run, past all that wait: this
	// one sends the probe to the end of the queue.
	go func() {}()
}

func (a *admission) came(took time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case took <= a.target:
		a.late = time.Time{}
	case a.late.IsZero():
		a.late = now
	}
	a.lastAt = now
	if !a.seen || took < a.least {
		a.least = took
	}
	a.seen, a.last, a.behind = true, took, 0
}

// limited tells whether it matters now who asks.
func (a *admission) limited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rate > 0 || a.behind >= leastBurst
}
