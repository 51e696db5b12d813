package media

import "time"

// incoming is a packet of the other leg, checked and in order of arrival.
type incoming struct {
	generation uint32 // of its stream: another one has other sequence numbers and timestamps
	seq        uint16
	ts         uint32
	marker     bool
	codec      Codec // 0: nothing we can carry on; only its sequence number counts
	payload    []byte
}

// relay sends a packet of the other leg at once. Sequence number and timestamp keep their distances
// to those before, so that a loss on the way in shows as the same loss on the way out; at a
// change of source they go on from the last ones sent.
func (s *sender) relay(from *Leg, in incoming, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	r := &s.relayed
	if r.from != from || s.play != nil || s.digits.busy(now) || !s.open() {
		r.running = false
		return
	}
	out, voice := s.outgoing(in.codec), in.codec.voice()
	if out.codec == 0 || len(in.payload) > maxPayload || voice && len(in.payload) == 0 {
		s.leaveOut(in)
		return
	}
	if voice && s.tooFast(in, now) {
		s.shorten(in, now)
		return
	}
	cut := voice && (!simple(in.codec, out.codec) || !s.packing.fits(len(in.payload)) || s.echoes())
	if !r.running || r.generation != in.generation || cut && !r.pieces || voice && s.astray(in.ts, now) {
		s.resume(in, cut, now)
	}
	r.at = now
	switch {
	case r.pieces && voice:
		s.relayPieces(in, now)
	case r.pieces:
		s.relayBetween(out, in, now)
	default:
		s.relayWhole(out, in, now)
	}
}

// relayWhole sends the packet as it came, or with its sound in the other law.
func (s *sender) relayWhole(out format, in incoming, now time.Duration) {
	r := &s.relayed
	seq, ts := in.seq+r.seq, in.ts+r.ts
	if int16(seq-r.floor) < 0 {
		return
	}
	var buf packetBuf
	length, voice := fill(buf[rtpHeader:rtpHeader+len(in.payload)], out, in), out.codec.voice()
	if voice {
		s.overlay(out.codec, buf[rtpHeader:rtpHeader+len(in.payload)])
	}
	marker := s.mark(fromPeer) || in.marker
	s.write(&buf, out.payload, marker, seq, ts, len(in.payload), now)
	if voice {
		s.said(out.codec, ts, buf[rtpHeader:rtpHeader+len(in.payload)], now)
	}
	if int16(seq-s.seq) >= 0 {
		s.seq = seq + 1
		r.raise(s.seq)
	}
	s.nextTS = max32(s.nextTS, ts+length)
}

// raise keeps the floor near: half a turn of the numbers later it would seem to lie ahead. What is so
// late that it matters was judged a duplicate before.
func (r *relay) raise(next uint16) {
	if next-r.floor > 2*maxMisorder {
		r.floor = next - maxMisorder
	}
}

// outgoing is the format in which we pass on what came in codec.
func (s *sender) outgoing(codec Codec) format {
	switch codec {
	case 0:
		return format{}
	case event:
		return s.keys
	case noise:
		return s.noise
	}
	return s.voice
}

// fill puts the payload into to and returns how much time it covers, in timestamp units.
func fill(to []byte, out format, in incoming) uint32 {
	switch in.codec {
	case event:
		copy(to, in.payload)
		e, _ := parseEvent(in.payload)
		return uint32(e.duration)
	case noise:
		copy(to, in.payload)
		return 0
	}
	transcode(to, out.codec, in.payload, in.codec)
	return uint32(len(in.payload))
}

// resume takes the offsets anew: this packet follows the last one sent.
func (s *sender) resume(in incoming, pieces bool, now time.Duration) {
	s.flush(now)
	s.last = fromNothing
	s.relayed.running, s.relayed.generation, s.relayed.since = true, in.generation, now
	s.relayed.seq, s.relayed.floor = s.seq-in.seq, s.seq
	s.relayed.ts = max32(s.nextTS, s.clock(now)) - in.ts
	s.relayed.pieces, s.relayed.before, s.relayed.end = pieces, in.seq-1, in.ts+s.relayed.ts
}

// astray tells whether the peer's clock and ours have come too far apart.
func (s *sender) astray(ts uint32, now time.Duration) bool {
	ahead := int32(ts + s.relayed.ts - s.clock(now))
	return ahead > maxAhead || ahead < -maxBehind
}

// tooFast tells whether the peer's clock has run, little by little, so far ahead of ours that a packet must be left out:
// to take the offset anew would not help, for timestamps don't go back.
func (s *sender) tooFast(in incoming, now time.Duration) bool {
	r := &s.relayed
	return r.running && r.generation == in.generation && in.ts+r.ts == s.nextTS && s.lead(now) > maxAhead
}

// shorten leaves a packet out, in numbers and in time.
func (s *sender) shorten(in incoming, now time.Duration) {
	s.leaveOut(in)
	s.relayed.ts -= uint32(len(in.payload))
	s.relayed.at = now
}

// leaveOut closes the hole in our sequence numbers that a packet we can't carry on would leave. Packets
// from before it that come late have no number left.
func (s *sender) leaveOut(in incoming) {
	r := &s.relayed
	if r.pieces {
		r.before = in.seq
	} else if r.running && r.generation == in.generation && int16(in.seq+r.seq-s.seq) >= 0 {
		r.seq--
		r.floor = s.seq
	}
}
