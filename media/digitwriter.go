package media

import (
	"errors"
	"time"
)

var (
	// ErrBadKey says that a key is none of 0-9 * # A-D.
	ErrBadKey = errors.New("no such key on a telephone")
	// ErrNoEvents says that the peer did not agree to telephone-event.
	ErrNoEvents = errors.New("the peer takes no telephone-event")
	// ErrQueueFull says that 32 key presses are waiting already.
	ErrQueueFull = errors.New("too many digits waiting")
)

const (
	maxDigits = 32
	minPress  = 40 * time.Millisecond
	maxPress  = 8 * time.Second       // a duration field ends at 8.19 s
	digitGap  = 60 * time.Millisecond // of other sound between two presses
	endings   = 3                     // the end is sent three times (RFC 4733 section 2.5.1.4)
)

// digitWriter makes the event packets of key presses, one for each beat of the grid.
type digitWriter struct {
	waiting []digitPress
	ts      uint32 // of the press being sent
	sent    uint16 // of it, in timestamp units
	ends    int
	resume  time.Duration // no press before
}

type digitPress struct {
	code   uint8
	length uint16 // timestamp units
}

func (d *digitWriter) add(code uint8, dur time.Duration) bool {
	if len(d.waiting) >= maxDigits {
		return false
	}
	dur = min(max(dur, minPress), maxPress).Round(ptime)
	d.waiting = append(d.waiting, digitPress{code, uint16(units(dur))})
	return true
}

// busy tells whether the beat at now belongs to a key press.
func (d *digitWriter) busy(now time.Duration) bool {
	return len(d.waiting) > 0 && now >= d.resume
}

// begins tells whether the next step is the first of its press.
func (d *digitWriter) begins() bool { return d.sent == 0 }

// step gives the next packet of the press.
func (d *digitWriter) step(now time.Duration) telephoneEvent {
	p := d.waiting[0]
	d.sent = min(d.sent+frameSamples, p.length)
	e := telephoneEvent{code: p.code, duration: d.sent, end: d.sent == p.length}
	if e.end {
		d.ends++
	}
	if d.ends == endings {
		d.waiting = d.waiting[1:]
		d.sent, d.ends, d.resume = 0, 0, now+digitGap
	}
	return e
}
