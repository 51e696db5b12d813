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
// wait that stays above its target and grows is one too many, while a burst isn't. Then as much is
// admitted as got done, and nothing while the wait is longer than whoever asks may have to; while it is short the rate
// rises: an idle processor is worse than a wait. After some calm there is none. So no capacity needs to be configured,
// and nothing is refused before work has waited too long.
type admission struct {
	target  time.Duration // 0 or less admits everything
	measure func(time.Duration)
	callers callers      // who are favoured
	probing atomic.Int64 // when the probe on its way was sent, by epoch; 0: none is
	epoch   time.Time

	mu         sync.Mutex
	rate       float64       // new work a second; 0: no limit
	tooHigh    float64       // the rate that was so when it had risen last; 0: not known
	rose       bool          // since it fell last
	done, took float64       // new work and the seconds it took, see manages
	work       int           // admitted since
	since      time.Time     // and that is then
	waited     time.Duration // how long work waited then
	tokens     float64
	filled     time.Time
	begun      time.Time // of this interval
	behind     int       // admitted since the probe on its way was sent
	seen       bool      // a probe came back in this interval
	starved    bool      // something was refused in this interval only because there were no tokens
	least      time.Duration
	before     time.Duration // least of the interval before
	asked      time.Time     // when new work came last
	last       time.Duration // of the latest probe that came back
	lastAt     time.Time     // when that came back
	late       time.Time     // when the first of those that waited too long in a row came back; 0: the latest didn't
	hard       time.Time     // when something was refused or the wait was too long
}

const (
	interval = 100 * time.Millisecond
	// The rate falls to less than what got done, in an interval to atOnce of what it was, or to much when the wait is
	// long; where it is what keeps work out it rises by faster, or much faster when nothing waits. As with TCP's slow
	// start (RFC 5681) it rises fastest while it is far from what was too high.
	less, atOnce, much, faster, muchFaster, fastest, far = 0.95, 0.9, 0.7, 1.05, 1.2, 1.5, 0.65
	// keep is what an interval's figures count in the next one.
	keep = 0.6
	// Below lowestRate new work is not the reason.
	lowestRate = 20.0
	// Other work, such as a garbage collector's on the only processor, makes new work wait, too: what is bearable tells of no
	// overload, nor do few pieces that have got done.
	bearable, few = 100 * time.Millisecond, 50
	// A lull between new work tells that there isn't too much of it, and a long one that nothing is known any more.
	lull, longLull = interval / 4, 2 * interval
	// calm is how long all must have gone well until there is no limit any more.
	calm = 2 * time.Second
	// leastBurst is what a stranger may be behind of.
	leastBurst = 500
)

// depths of the bucket, in seconds of the rate. A stranger leaves half of it to others;
// the favoured take ahead what others will not get.
const (
	depth      = 0.03
	strangers  = depth / 2
	takenAhead = 0.5
	// leastDepth is that of a low rate, in tokens; strangers leave one.
	leastDepth, leastStrangers = 3, 2
)

func newAdmission(target time.Duration, measure func(time.Duration)) *admission {
	now := time.Now()
	return &admission{target: target, measure: measure, epoch: now, begun: now, since: now, asked: now}
}

// admit tells whether new work of that standing, which came then, may begin.
func (a *admission) admit(who standing, came, now time.Time) bool {
	if a.target <= 0 {
		return true
	}
	a.probe(came)
	return a.decide(who, came, now)
}

func (a *admission) decide(who standing, came, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if came.Sub(a.asked) > longLull {
		a.anew(now)
	}
	a.asked = now
	if now.Sub(a.begun) >= interval {
		a.turn(now)
	}
	if a.probing.Load() != 0 && a.behind >= burst(who) {
		a.hard = now
		return false
	}
	if a.rate > 0 && !a.fits(who, now) {
		return false
	}
	a.work++
	a.behind++
	return true
}

// fits tells whether the limit lets one more in, and takes its token.
func (a *admission) fits(who standing, now time.Time) bool {
	a.tokens = min(max(leastDepth, depth*a.rate), a.tokens+now.Sub(a.filled).Seconds()*a.rate)
	a.filled = now
	wait := a.wait(now)
	if a.rate > lowestRate && wait > a.patience(who) {
		a.hard = now
		return false
	}
	if a.tokens < a.floor(who) {
		if a.starved = true; wait > a.target/2 {
			a.hard = now
		}
		return false
	}
	a.tokens--
	return true
}

// anew forgets how long work waited and what got done before a lull, and a limit that there was no reason for lately.
func (a *admission) anew(now time.Time) {
	a.done, a.took, a.work, a.waited, a.since = 0, 0, 0, 0, now
	a.begun, a.seen, a.starved, a.before, a.last, a.late = now, false, false, 0, 0, time.Time{}
	if now.Sub(a.hard) > calm {
		a.rate = 0
	}
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
		return max(leastStrangers, strangers*a.rate)
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
		return 50 * a.target // a second, by default: late is better than not at all, even when the call is asked for twice
	}
}

// turn judges the interval that is over.
func (a *admission) turn(now time.Time) {
	wait := a.wait(now)
	least := a.least
	if !a.seen {
		least = wait
	}
	done, took := a.manages(now)
	if a.seen {
		a.done, a.took, a.work, a.waited, a.since = done, took, 0, a.last, now
	}
	falls := least < a.before*9/10 // it gets better by itself
	switch {
	case a.rate == 0 && a.lasts(now, done) && !falls && done/took > lowestRate:
		a.rate, a.tooHigh, a.rose, a.tokens, a.filled, a.hard = done/took, 0, false, 0, now, now
		if a.probing.Load() != 0 { // the wait is longer than is known
			a.rate /= 2
		}
	case a.rate > 0 && least > a.target:
		floor := atOnce * a.rate
		if least > 5*a.target {
			floor = much * a.rate
		}
		if a.hard = now; a.seen && !falls {
			if a.rose {
				a.tooHigh, a.rose = a.rate, false
			}
			a.rate = max(lowestRate, floor, min(a.rate, less*done/took))
		}
	case a.rate > 0 && now.Sub(a.hard) > calm:
		a.rate = 0
	case a.starved && max(least, a.before) < a.target/8 && (a.tooHigh == 0 || a.rate < far*a.tooHigh):
		a.rate, a.rose = a.rate*fastest, true
	case a.starved && least < a.target/8:
		a.rate, a.rose = a.rate*muchFaster, true
	case a.starved && least < a.target/2:
		a.rate, a.rose = a.rate*faster, true
	}
	a.begun, a.seen, a.starved, a.before = now, false, false, least
}

// manages is how much new work got done in how many seconds, what is longer ago counting less: what was admitted
// but for what waits longer now than at the beginning.
func (a *admission) manages(now time.Time) (done, took float64) {
	return keep*a.done + float64(a.work), keep*a.took + max(0.001, (now.Sub(a.since)+a.wait(now)-a.waited).Seconds())
}

// lasts tells whether work, of which so much got done, has waited for too long all the time lately, and by now for longer
// than other work would explain.
func (a *admission) lasts(now time.Time, done float64) bool {
	if at := a.probing.Load(); at != 0 && a.epoch.Add(time.Duration(at)).Sub(a.lastAt) > lull {
		return false // nothing was there to wait
	}
	return !a.late.IsZero() && now.Sub(a.late) >= interval && a.wait(now) > max(a.target, bearable) && done > few
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
	if took <= a.target || now.Add(-took).Sub(a.lastAt) > lull { // or nothing was there to wait
		a.late = time.Time{}
	}
	if took > a.target && a.late.IsZero() {
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
