package playout

import "time"

// Next gives the 10 ms that are due. With a period of 20 ms call it twice in a row with the same
// time. Times are those of an even grid, not of a timer that came late; a grid that was left
// out is caught up with.
func (b *Buffer) Next(now time.Duration) Piece {
	t := ticks(now)
	var skipped []byte
	switch {
	case b.idle:
		if !b.place(t) {
			b.now = t
			return Piece{Kind: Silence}
		}
	case t > b.now:
		b.now, b.offset = t, t-b.head
		skipped = b.adapt()
	}
	p := b.take()
	p.Skipped = skipped
	b.kind = p.Kind
	return p
}

// place begins to play, as soon as the delay is what it should be, with the head where
// periods and packets begin together.
func (b *Buffer) place(t int64) bool {
	if !b.pending {
		return false
	}
	ahead := b.head - (t - b.delays.base - b.need())
	if ahead > 0 {
		return false
	}
	// Too old to be heard: the peer's packets were stuck, or nobody called Next.
	old := -ahead / b.period * b.period
	if b.head += old; b.head >= b.top {
		b.heard = max(b.heard, b.top)
		b.rest(false)
		return false
	}
	b.stats.Dropped += uint64(old / PieceLen)
	b.idle, b.pending, b.hold = false, false, 0
	b.now, b.offset, b.heard = t, t-b.head, b.head
	return true
}

// rest stops playing; pending tells that there is something to begin with, at head.
func (b *Buffer) rest(pending bool) {
	b.idle, b.pending, b.kind = true, pending, Silence
}

// adapt changes the delay by a period where it should be and may be.
func (b *Buffer) adapt() (skipped []byte) {
	delay, need := b.delay(), b.need()
	free := b.quiet || b.kind != Voice
	rested := b.now-b.moved >= 200*perMs || b.now < b.moved
	switch {
	case b.hold > 0:
	case delay < need:
		if free || rested || !b.covered(b.head) {
			b.hold, b.moved = b.period, b.now
		}
	case delay > b.high+b.period:
		return b.skip((delay - need) / b.period * b.period)
	case delay >= need+b.period+hysteresis && free,
		delay >= need+2*b.period+hysteresis && rested:
		return b.skip(b.period)
	}
	return nil
}

// skip leaves out n ticks.
func (b *Buffer) skip(n int64) (last []byte) {
	b.moved = b.now
	if b.covered(b.head + n - PieceLen) {
		last = b.copyOut(b.skipped[:], b.head+n-PieceLen)
		b.stats.Dropped += uint64(n / PieceLen)
	}
	b.head += n
	b.heard, b.offset = b.head, b.offset-n
	return last
}

// take gives out the piece at the head.
func (b *Buffer) take() Piece {
	if b.hold > 0 {
		b.hold -= PieceLen
		b.stats.Inserted++
		return Piece{Kind: Lost}
	}
	kind := Voice
	if !b.covered(b.head) {
		if kind = b.gap(); kind == Silence {
			return Piece{Kind: Silence}
		}
	}
	at := b.head
	b.head += PieceLen
	b.heard = b.head
	if kind == Lost {
		b.stats.Concealed++
		return Piece{Kind: Lost}
	}
	return Piece{Kind: Voice, Payload: b.copyOut(b.piece[:], at)}
}

// covered tells whether 10 ms from ts on are in the ring.
func (b *Buffer) covered(ts int64) bool {
	for end := ts + PieceLen; ts < end; {
		p := b.at(ts)
		if p == nil {
			return false
		}
		ts = p.end()
	}
	return true
}

// at finds the packet that holds a timestamp. Only those within the ring are asked for.
func (b *Buffer) at(ts int64) *packet {
	for i := range b.packets {
		if p := &b.packets[i]; p.used && p.ts <= ts && ts < p.end() {
			return p
		}
	}
	return nil
}

// gap tells whether what is missing at the head was lost or never sent. When it was never sent
// it stops playing.
func (b *Buffer) gap() Kind {
	before, after := b.around(b.head)
	switch {
	case after == nil && before != nil && before.len > 0 && b.head-before.end() < lostMax:
		return Lost // or late
	case after == nil:
		b.rest(false)
	case before == nil || before.len == 0 || before.seq+1 == after.seq:
		b.head = max(after.ts, b.heard)
		b.rest(true)
	default:
		return Lost
	}
	return Silence
}

// around finds the last packet that begins at or before ts, and the first payload after.
func (b *Buffer) around(ts int64) (before, after *packet) {
	for i := range b.packets {
		switch p := &b.packets[i]; {
		case !p.used:
		case p.ts <= ts:
			if before == nil || p.seq > before.seq {
				before = p
			}
		case p.len > 0 && (after == nil || p.seq < after.seq):
			after = p
		}
	}
	return before, after
}
