package playout

import "time"

// Lengths and times are in ticks of the RTP clock, 8 to a millisecond.
const (
	perMs = 8
	// PieceLen is the length of a piece in bytes and ticks: 10 ms.
	PieceLen = 10 * perMs

	ringLen = 4096 // 512 ms of payload
	slots   = 64   // packets remembered

	// Without a packet for so long, the stream is silent rather than damaged: concealment has
	// faded to nothing before.
	lostMax = 100 * perMs
	// A packet so much earlier or later than the quickest one of the last seconds belongs to
	// another run of timestamps, if the next one does, too.
	earlyMax = 250 * perMs
	lateMax  = 1000 * perMs
	// RFC 3550 A.1: sequence numbers that jump further belong to another run.
	maxDropout  = 3000
	maxMisorder = 100

	maxPacket = 120 * perMs
)

// Options bound the delay. The zero value of a field means its default.
type Options struct {
	// Period is how far apart in time runs of Next are: 10 ms for one piece each, 20 ms (the
	// default) for two. Delay changes by this much at once.
	Period time.Duration
	// Start, Min and Max are of the delay that a packet without jitter gets: 30 ms, 20 ms and
	// 200 ms; Max is at most 300 ms. The delay lies within half a period around its target.
	Start, Min, Max time.Duration
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	or(&o.Period, 20*time.Millisecond)
	or(&o.Start, 30*time.Millisecond)
	or(&o.Min, 20*time.Millisecond)
	or(&o.Max, 200*time.Millisecond)
	if o.Period <= 10*time.Millisecond {
		o.Period = 10 * time.Millisecond
	} else {
		o.Period = 20 * time.Millisecond
	}
	o.Max = min(o.Max, 300*time.Millisecond)
	o.Min = min(o.Min, o.Max)
	o.Start = min(max(o.Start, o.Min), o.Max)
	return o
}

// Kind says what a piece is.
type Kind uint8

const (
	// Silence: the peer sends nothing. Play comfort noise or nothing.
	Silence Kind = iota
	// Voice: Piece.Payload is due.
	Voice
	// Lost: conceal 10 ms. Also how the delay grows by a period.
	Lost
)

// Piece is 10 ms of what is to be heard. Its slices are good until the next call.
type Piece struct {
	Kind    Kind
	Payload []byte // PieceLen bytes of voice, else nil
	// Skipped is voice that was left out right before this piece to shorten the delay: the
	// last PieceLen bytes of it, or nil. A decoder with a memory may be fed with it, and its
	// sound faded into that of Payload.
	Skipped []byte
}

// packet is what is remembered of one; its payload is in the ring.
type packet struct {
	seq  int64 // extended
	ts   int64 // extended
	len  int32 // 0 for comfort noise
	used bool
}

func (p *packet) end() int64 { return p.ts + int64(p.len) }

// Buffer is the jitter buffer of one stream.
type Buffer struct {
	period           int64
	start, low, high int64 // target's bounds, ticks

	ring    [ringLen]byte
	packets [slots]packet
	piece   [PieceLen]byte // of the last Piece
	skipped [PieceLen]byte
	seen    bool  // a packet came since the last Reset
	seq     int64 // highest sequence number, extended
	ts      int64 // its timestamp, extended
	top     int64 // end of the newest payload in the ring

	idle    bool  // nothing is being played: the head may be moved freely
	pending bool  // idle, but there is payload to begin with, from head on
	quiet   bool  // the caller said so of the last voice
	kind    Kind  // of the last piece
	head    int64 // timestamp due next
	heard   int64 // up to which sound was due while not idle
	offset  int64 // when the head is due: at head+offset by the caller's clock
	now     int64 // of the last Next
	hold    int64 // ticks still to be made up while the head waits
	moved   int64 // when the delay was changed last

	delays delays
	stray  stray
	run    run
	stats  Stats
}

// New makes a buffer that waits for its first packet.
func New(o Options) *Buffer {
	o = o.withDefaults()
	b := &Buffer{
		period: ticks(o.Period), start: ticks(o.Start), low: ticks(o.Min), high: ticks(o.Max),
	}
	b.Reset()
	return b
}

func ticks(d time.Duration) int64 { return int64(d / (time.Millisecond / perMs)) }

// Reset forgets the stream, for another SSRC or a new session. Statistics go on.
func (b *Buffer) Reset() {
	b.countMissing()
	b.packets = [slots]packet{}
	b.seen, b.quiet, b.hold = false, false, 0
	b.rest(false)
	b.delays.reset(b.start - b.period/2)
	b.stray = stray{}
}

// Quiet tells whether the last voice was quiet, so that a change of delay wouldn't be heard.
// Without it the delay changes when it has to.
func (b *Buffer) Quiet(yes bool) { b.quiet = yes }

// copyOut gives PieceLen bytes of the ring from timestamp ts on.
func (b *Buffer) copyOut(dst []byte, ts int64) []byte {
	dst = dst[:PieceLen]
	at := int(ts & (ringLen - 1))
	n := copy(dst, b.ring[at:])
	copy(dst[n:], b.ring[:])
	return dst
}

func (b *Buffer) copyIn(ts int64, payload []byte) {
	at := int(ts & (ringLen - 1))
	n := copy(b.ring[at:], payload)
	copy(b.ring[:], payload[n:])
}
