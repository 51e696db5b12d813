package media

import "time"

// packing is how long the peer wants our packets to be.
type packing struct {
	size int // bytes (RFC 4566 ptime); 0: it doesn't say
	most int // bytes (RFC 4566 maxptime); 0: it doesn't say
}

// fits tells whether a packet may be sent as it is.
func (p packing) fits(n int) bool {
	return (p.size == 0 || n == p.size) && (p.most == 0 || n <= p.most)
}

// piece is the length that packets are cut to which don't fit.
func (p packing) piece(n int) int {
	switch {
	case p.size != 0:
		return p.size
	case p.most != 0:
		return min(p.most, n)
	}
	return n
}

// packer holds sound until it fills a packet of the length that the peer wants.
type packer struct {
	buf   []byte // allocated when first needed
	n     int
	ts    uint32 // of the first byte
	codec Codec
	from  source
}

// end is the timestamp that follows what is held.
func (p *packer) end() uint32 { return p.ts + uint32(p.n) }

// room makes place for n bytes more, which the caller writes.
func (p *packer) room(n int) []byte {
	if p.buf == nil {
		p.buf = make([]byte, 2*maxPayload)
	}
	n = min(n, len(p.buf)-p.n)
	p.n += n
	return p.buf[p.n-n : p.n]
}

// drop forgets the first n bytes.
func (p *packer) drop(n int) {
	copy(p.buf, p.buf[n:p.n])
	p.n -= n
	p.ts += uint32(n)
}

// sendPieces sends as many whole packets of size bytes as the packer holds; rest sends what is left,
// too.
func (s *sender) sendPieces(size int, rest bool, now time.Duration) {
	for s.pack.n >= size || rest && s.pack.n > 0 {
		n := min(size, s.pack.n)
		s.sendVoicePacket(s.pack.ts, s.pack.from, s.pack.buf[:n], now)
		s.pack.drop(n)
	}
}

// flush sends what the packer still holds.
func (s *sender) flush(now time.Duration) {
	if s.pack.n == 0 {
		return
	}
	if s.open() && s.voice.codec == s.pack.codec {
		s.sendPieces(s.packing.piece(s.pack.n), true, now)
	}
	s.pack.n = 0
}

// sendVoicePacket sends sound as the next packet.
func (s *sender) sendVoicePacket(ts uint32, from source, sound []byte, now time.Duration) {
	var buf packetBuf
	sound = buf[rtpHeader : rtpHeader+copy(buf[rtpHeader:], sound)]
	s.overlay(s.voice.codec, sound)
	s.write(&buf, s.voice.payload, s.mark(from), s.seq, ts, len(sound), now)
	s.said(s.voice.codec, ts, sound, now)
	s.seq++
}

// sendFrame sends a frame of our own, in packets as long as the peer wants them.
func (s *sender) sendFrame(ts uint32, from source, frame []byte, now time.Duration) {
	if s.packing.fits(len(frame)) && s.pack.n == 0 {
		s.sendVoicePacket(ts, from, frame, now)
		return
	}
	if s.pack.from != from || s.pack.end() != ts || s.pack.codec != s.voice.codec {
		s.flush(now)
	}
	s.hold(ts, from, len(frame), func(to []byte) { copy(to, frame) })
	s.sendPieces(s.packing.piece(len(frame)), false, now)
}

// hold adds sound that begins at ts.
func (s *sender) hold(ts uint32, from source, n int, write func(to []byte)) {
	if s.pack.n == 0 {
		s.pack.ts, s.pack.codec, s.pack.from = ts, s.voice.codec, from
	}
	write(s.pack.room(n))
}

// relayBetween sends a packet that is no sound between those that are cut anew.
func (s *sender) relayBetween(out format, in incoming, now time.Duration) {
	r := &s.relayed
	if int16(in.seq-r.before) <= 0 {
		return
	}
	s.flush(now)
	var buf packetBuf
	ts := in.ts + r.ts
	length := fill(buf[rtpHeader:rtpHeader+len(in.payload)], out, in)
	s.write(&buf, out.payload, in.marker, s.seq, ts, len(in.payload), now)
	s.seq++
	r.before = in.seq
	s.nextTS = max32(s.nextTS, ts+length)
}

// relayPieces sends a packet of the other leg in packets of another length, or in another codec that
// has a memory. What comes late is left out.
func (s *sender) relayPieces(in incoming, now time.Duration) {
	r := &s.relayed
	ts := in.ts + r.ts
	followed := in.seq == r.before+1
	if int32(ts-r.end) < 0 {
		return
	}
	size := s.packing.piece(len(in.payload))
	if gap := ts - r.end; gap > 0 {
		s.flush(now)
		if !followed && !s.echoes() { // lost on the way here: so that the receiver knows, numbers are left out
			s.seq += uint16(max(gap/uint32(size), 1))
		}
	}
	r.before, r.end = in.seq, ts+uint32(len(in.payload))
	if s.convert == nil || s.convert.from != in.codec || s.convert.to != s.voice.codec {
		s.convert = &transcoder{from: in.codec, to: s.voice.codec}
	}
	s.hold(ts, fromPeer, len(in.payload), func(to []byte) { s.convert.convert(to, in.payload[:len(to)]) })
	s.sendPieces(size, false, now)
	s.nextTS = max32(s.nextTS, r.end)
}
