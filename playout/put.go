package playout

import "time"

// stray is a packet that may be the first of another run of numbers or timestamps.
type stray struct {
	seen bool
	seq  uint16
	ts   uint32
}

// Put stores a packet that arrived at that time by the clock that [Buffer.Next] is told, too. An
// empty payload stands for comfort noise: silence until the next packet is nothing lost.
// Packets may come in any order; those of other payload types that have sequence numbers of
// the stream (digits) belong here as empty ones.
func (b *Buffer) Put(seq uint16, ts uint32, payload []byte, arrival time.Duration) {
	if len(payload) > maxPacket {
		b.stats.Strays++
		return
	}
	at := ticks(arrival)
	if !b.seen {
		b.begin(seq, ts)
	} else if b.foreign(seq, ts, at) {
		if !b.stray.followedBy(seq, ts) {
			b.stray = stray{true, seq, ts}
			b.stats.Strays++
			return
		}
		b.stats.Resyncs++
		b.restart(seq, ts)
	}
	b.stray.seen = false
	p := packet{seq: b.extendSeq(seq), ts: b.extendTS(ts), len: int32(len(payload)), used: true}
	if !b.register(p) {
		return
	}
	if p.seq >= b.seq {
		b.seq, b.ts = p.seq, p.ts
	}
	if len(payload) > 0 {
		b.delays.add(at-b.aligned(p.ts), at)
		b.store(p, payload)
	}
}

func (b *Buffer) extendSeq(seq uint16) int64 { return b.seq + int64(int16(seq-uint16(b.seq))) }
func (b *Buffer) extendTS(ts uint32) int64   { return b.ts + int64(int32(ts-uint32(b.ts))) }

func (b *Buffer) begin(seq uint16, ts uint32) {
	b.seen, b.seq, b.ts = true, int64(seq), int64(ts)
	b.heard = b.ts - ringLen // what came a little earlier is welcome
	b.run = run{first: b.seq}
}

// restart follows the peer to other timestamps. What was learnt about jitter stays.
func (b *Buffer) restart(seq uint16, ts uint32) {
	b.countMissing()
	b.packets = [slots]packet{}
	b.delays.known = false
	b.hold = 0
	b.rest(false)
	b.begin(seq, ts)
}

// foreign tells whether a packet can't belong to the stream as known.
func (b *Buffer) foreign(seq uint16, ts uint32, at int64) bool {
	if d := int16(seq - uint16(b.seq)); d > maxDropout || d < -maxMisorder {
		return true
	}
	late := at - b.extendTS(ts) - b.delays.base
	return b.delays.known && (late > lateMax || late < -earlyMax)
}

func (s *stray) followedBy(seq uint16, ts uint32) bool {
	d := int32(ts - s.ts)
	return s.seen && seq == s.seq+1 && d >= 0 && d < lateMax
}

// aligned is the timestamp with which a packet's first byte is asked for: periods begin at
// the head.
func (b *Buffer) aligned(ts int64) int64 {
	if b.idle {
		return ts
	}
	return ts - ((ts-b.head)%b.period+b.period)%b.period
}

// register remembers a packet, and tells whether it is new.
func (b *Buffer) register(p packet) bool {
	old := &b.packets[p.seq&(slots-1)]
	if old.used && old.seq == p.seq {
		b.stats.Duplicates++
		return false
	}
	b.stats.Received++
	b.run.received++
	b.run.first = min(b.run.first, p.seq)
	if old.used && old.seq > p.seq {
		b.stats.Late++
		return false
	}
	*old = p
	return true
}

// store puts the part of a payload that isn't late into the ring.
func (b *Buffer) store(p packet, payload []byte) {
	limit := b.head
	if b.idle {
		limit = b.heard
		if b.pending {
			limit = max(limit, b.top-ringLen)
		}
	}
	if p.end() <= limit {
		b.stats.Late++
		return
	}
	from := max(p.ts, limit)
	if b.idle {
		if !b.pending {
			b.pending, b.head, b.top = true, from, from
		}
		b.head = min(b.head, from)
	}
	b.top = max(b.top, p.end())
	if over := b.top - b.head - ringLen; over > 0 { // nobody called Next
		over = (over + b.period - 1) / b.period * b.period
		b.head += over
		b.heard = max(b.heard, b.head)
		b.stats.Dropped += uint64(over / PieceLen)
	}
	if from = max(from, b.head); from < p.end() {
		b.copyIn(from, payload[from-p.ts:])
	}
}
