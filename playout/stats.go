package playout

import "time"

// Stats are counts since [New]. Packets: each that was sent is received or lost, and those
// received can be late.
type Stats struct {
	Received   uint64 // without duplicates
	Late       uint64 // received, but after their turn
	Lost       uint64 // missing by their sequence numbers; what still comes is taken off
	Duplicates uint64
	Strays     uint64 // not stored: far from the stream's timestamps, or longer than 120 ms
	Resyncs    uint64 // jumps of the peer's timestamps followed

	Concealed uint64 // pieces given out as Lost because sound was missing
	Inserted  uint64 // pieces given out as Lost to make the delay longer
	Dropped   uint64 // pieces of sound left out to make it shorter

	Delay  time.Duration // of a packet without jitter, now; 0 while nothing is played
	Target time.Duration
}

// Stats tells how it goes.
func (b *Buffer) Stats() Stats {
	s := b.stats
	s.Lost += b.missing()
	s.Target = duration(b.target())
	if b.seen && !b.idle {
		s.Delay = duration(b.delay())
	}
	return s
}

func duration(t int64) time.Duration { return time.Duration(t) * (time.Millisecond / perMs) }

// run counts packets of one run of sequence numbers.
type run struct {
	first    int64
	received uint64
}

// missing is what the run of now lacks.
func (b *Buffer) missing() uint64 {
	if !b.seen {
		return 0
	}
	expected := uint64(b.seq - b.run.first + 1)
	return expected - min(expected, b.run.received)
}

// countMissing ends a run.
func (b *Buffer) countMissing() {
	b.stats.Lost += b.missing()
	b.run = run{}
}
