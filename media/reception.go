package media

import "time"

// RFC 3550 appendix A.1: how far a sequence number may run ahead or lag behind and still belong
// to the same stream.
const (
	maxDropout  = 3000
	maxMisorder = 100

	// maxTransit is how far, in timestamp units, a packet's way may differ from the one's before and still be
	// jitter; what is further off comes with other timestamps.
	maxTransit = clockRate
)

// verdict is what a packet's sequence number says about it.
type verdict uint8

const (
	inOrder   verdict = iota // the next, or after a gap
	late                     // older than one already seen, and not seen itself
	duplicate                // seen already, or too old to tell
	restarted                // the stream began anew: another SSRC or a jump
)

// reception keeps the figures of one incoming stream (RFC 3550 appendix A.1, A.3 and A.8).
type reception struct {
	started  bool
	ssrc     uint32
	base     uint32 // extended sequence number of the first packet
	highest  uint32 // extended
	seen     uint64 // bit i: highest-i arrived
	received uint32 // packets since base, duplicates not counted
	suspect  uint16 // after a jump: the number that would confirm it
	jumped   bool

	transit int32  // of the packet before, timestamp units
	timed   bool   // transit is set
	jitter  uint32 // scaled by 16, as in appendix A.8

	pastLost     int64 // lost in streams that ended by a restart
	priorExpect  uint32
	priorReceive uint32
}

// track counts a packet. A jump of the sequence number is believed only when the packet after it
// confirms it; until then the packet counts as a duplicate.
func (r *reception) track(ssrc uint32, seq uint16) verdict {
	if !r.started {
		r.restart(ssrc, seq)
		return inOrder
	}
	if ssrc != r.ssrc {
		r.restart(ssrc, seq)
		return restarted
	}
	ahead := seq - uint16(r.highest)
	switch {
	case ahead == 0:
		return duplicate
	case ahead < maxDropout:
		r.highest += uint32(ahead)
		r.seen = r.seen<<ahead | 1
		r.received++
		r.jumped = false
		return inOrder
	case -ahead <= maxMisorder:
		return r.old(uint32(-ahead))
	case r.jumped && seq == r.suspect:
		r.restart(ssrc, seq)
		return restarted
	}
	r.jumped, r.suspect = true, seq+1
	return duplicate
}

// gapAfter is how many packets are missing between two highest numbers; before is 0 when this is the
// first packet.
func gapAfter(before, highest uint32) uint32 {
	if before == 0 || highest <= before {
		return 0
	}
	return highest - before - 1
}

// old judges a packet that is behind the highest by so many.
func (r *reception) old(behind uint32) verdict {
	if behind >= 64 || behind > r.highest-r.base || r.seen&(1<<behind) != 0 {
		return duplicate
	}
	r.seen |= 1 << behind
	r.received++
	return late
}

func (r *reception) restart(ssrc uint32, seq uint16) {
	past := r.lost()
	*r = reception{started: true, ssrc: ssrc, pastLost: past, jitter: r.jitter}
	// Extended numbers begin in the second cycle, so that one below base is no underflow.
	r.base = 1<<16 + uint32(seq)
	r.highest, r.seen, r.received = r.base, 1, 1
}

// time feeds the jitter estimate with a voice packet in order (appendix A.8).
func (r *reception) time(ts uint32, now time.Duration) {
	transit := int32(units(now) - ts)
	d := transit - r.transit
	r.transit = transit
	if !r.timed {
		r.timed = true
		return
	}
	if d < 0 {
		d = -d
	}
	if d < 0 || d > maxTransit {
		return
	}
	r.jitter += uint32(d) - (r.jitter+8)>>4
}

// units turns a time into timestamp units; it wraps as timestamps do.
func units(d time.Duration) uint32 { return uint32(int64(d) / int64(time.Second/clockRate)) }

// expected is how many packets the numbers say were sent since base.
func (r *reception) expected() uint32 {
	if !r.started {
		return 0
	}
	return r.highest - r.base + 1
}

// lost is how many packets never came, over all restarts.
func (r *reception) lost() int64 {
	return r.pastLost + int64(r.expected()) - int64(r.received)
}

// fraction is the share lost since the call before, in 1/256 (appendix A.3).
func (r *reception) fraction() uint8 {
	expected, received := r.expected()-r.priorExpect, r.received-r.priorReceive
	r.priorExpect, r.priorReceive = r.expected(), r.received
	if expected == 0 || received >= expected {
		return 0
	}
	return uint8(min((expected-received)<<8/expected, 255))
}
