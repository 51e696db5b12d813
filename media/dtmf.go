package media

import (
	"encoding/binary"
	"strings"
	"time"
)

// Digit is one key that the phone's user pressed.
type Digit struct {
	Key      byte          // '0' to '9', '*', '#', 'A' to 'D'
	At       time.Duration // when the press began to be received, since the engine was opened: comparable within one
	Duration time.Duration // how long it was held; 0 when not known (SIP INFO)
}

const (
	keys = "0123456789*#ABCD" // by event code, RFC 4733 section 3.2

	// digitIdle ends a press whose end packets were all lost: events come every 20 to 50 ms.
	digitIdle = 120 * time.Millisecond

	// digitStale is how far back, in timestamp units, a leftover packet may point: two seconds.
	digitStale = 2 * clockRate
)

// keyCode gives a key's event code; lower-case letters are taken too.
func keyCode(key byte) (code uint8, ok bool) {
	if key >= 'a' && key <= 'd' {
		key -= 'a' - 'A'
	}
	i := strings.IndexByte(keys, key)
	return uint8(i), i >= 0
}

// telephoneEvent is the payload of RFC 4733 section 2.3:
//
//	 0                   1                   2                   3
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     event     |E|R| volume    |          duration             |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
type telephoneEvent struct {
	code     uint8
	end      bool
	duration uint16 // timestamp units since the event's timestamp
}

func parseEvent(payload []byte) (telephoneEvent, bool) {
	if len(payload) < 4 {
		return telephoneEvent{}, false
	}
	return telephoneEvent{payload[0], payload[1]&0x80 != 0, binary.BigEndian.Uint16(payload[2:])}, true
}

func (e telephoneEvent) put(payload []byte) {
	payload[0], payload[1] = e.code, 10 // -10 dBm0
	if e.end {
		payload[1] |= 0x80
	}
	binary.BigEndian.PutUint16(payload[2:], e.duration)
}

// digitReader turns event packets into digits. The RTP timestamp alone tells one press from the
// next: marker bits and end packets get lost, and the end comes three times.
type digitReader struct {
	active   bool
	code     uint8
	ts       uint32 // of the segment being received
	length   uint32 // of the press up to that segment
	duration uint16 // of that segment so far
	began    time.Duration
	last     time.Duration // the last packet

	ended bool // a press has been reported
	endTS uint32
}

// press is a digit reported by digitReader, on the engine's clock.
type press struct {
	key      byte
	at       time.Duration
	duration time.Duration
}

// packet takes one event packet and reports the presses it completes: the one before when this
// packet shows that its end was lost, and its own when it says that it ends.
func (d *digitReader) packet(ts uint32, e telephoneEvent, now time.Duration) (done [2]press, n int) {
	if int(e.code) >= len(keys) || d.leftover(ts) {
		return done, 0
	}
	if d.active && ts != d.ts && !d.continues(ts, e) {
		done[n] = d.finish()
		n++
	}
	if !d.active {
		d.active, d.code, d.ts, d.began, d.length, d.duration = true, e.code, ts, now, 0, 0
	}
	d.last = now
	d.duration = max(d.duration, e.duration)
	if e.end {
		done[n] = d.finish()
		n++
	}
	return done, n
}

// leftover tells a repeated or overtaken packet of a press that is over.
func (d *digitReader) leftover(ts uint32) bool {
	stale := func(than uint32) bool { return than-ts < digitStale && than != ts }
	return d.ended && (ts == d.endTS || stale(d.endTS)) || d.active && stale(d.ts)
}

// continues tells whether ts begins the next segment of a press longer than a duration field can
// say (RFC 4733 section 2.5.1.3), and goes over to it.
func (d *digitReader) continues(ts uint32, e telephoneEvent) bool {
	if e.code != d.code || d.duration != 0xFFFF || ts-d.ts != 0xFFFF {
		return false
	}
	d.length += 0xFFFF
	d.ts, d.duration = ts, 0
	return true
}

// idle reports a press whose end packets were lost, once nothing more came of it.
func (d *digitReader) idle(now time.Duration) (press, bool) {
	if !d.active || now-d.last < digitIdle {
		return press{}, false
	}
	return d.finish(), true
}

func (d *digitReader) finish() press {
	d.active, d.ended, d.endTS = false, true, d.ts
	length := time.Duration(d.length+uint32(d.duration)) * time.Second / clockRate
	return press{keys[d.code], d.began, length}
}

// restart forgets timestamps, which mean nothing in another stream.
func (d *digitReader) restart() (press, bool) {
	var p press
	active := d.active
	if active {
		p = d.finish()
	}
	*d = digitReader{}
	return p, active
}
