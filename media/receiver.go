package media

import (
	"net/netip"
	"time"

	"github.com/pion/rtp"
)

// receiver is a leg's incoming side. Guarded by the leg's lock.
type receiver struct {
	formats    [128]Codec // by payload type; 0: not agreed
	latch      latch
	stream     reception
	quality    quality
	generation uint32 // of the stream, for the relay
	digits     digitReader
	twice      twice
	packet     rtp.Packet // parsed into, so that parsing allocates nothing

	packets, octets uint64 // that belong to the leg; octets of payload
	first           time.Duration
	late, duplicate uint64
	invalid         uint64 // no RTP
	stray           uint64 // from another source
	unknown         uint64 // of a payload type that was not agreed
	ssrcChanges     uint64
	digitsDropped   uint64

	voice     uint8         // payload type of the last packet of sound
	uneven    time.Duration // when something came last that the kernel could not have passed on
	wait      time.Duration // after that, before it is offered again
	forwarded uint64        // packets passed on by the kernel
}

// plainHeader is the first byte of a packet without padding, extension and contributors.
const plainHeader = 0x80

// expect adds payload types. Older ones stay, for packets that are on their way.
func (r *receiver) expect(formats []format) {
	for _, f := range formats {
		r.formats[f.payload] = f.codec
	}
}

// receive takes one datagram from the RTP port.
func (l *Leg) receive(data []byte, src netip.AddrPort, now time.Duration) {
	data, ok := l.sort(data, src, now)
	if !ok {
		l.pair.rtp.again()
		return
	}
	in, v, ok := l.accept(data, src, now)
	if !ok {
		l.pair.rtp.again()
		return
	}
	l.heard(in, now)
	if fn := l.listener.Load(); fn != nil && v != late && in.codec.voice() && len(in.payload) <= maxPayload {
		if l.ear == nil {
			l.ear = new(ear)
		}
		(*fn)(l.ear.hear(in.codec, in.payload))
	}
	if seat := l.seat.Load(); seat != nil {
		seat.put(in, now)
	}
	if peer := l.peer.Load(); peer != nil {
		peer.sender.relay(l, in, now)
		l.offerKernel(peer, now)
	}
}

// accept checks a datagram and keeps the books; ok tells that the packet may be used.
func (l *Leg) accept(data []byte, src netip.AddrPort, now time.Duration) (in incoming, v verdict, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.rx
	p := &r.packet
	if len(data) == 0 || data[0]>>6 != 2 || p.Unmarshal(data) != nil {
		r.invalid++
		return in, v, false
	}
	codec := r.formats[p.PayloadType]
	if codec == 0 {
		r.unknown++
		if src != r.latch.locked || isReport(data) {
			return in, v, false // proves nothing about where the phone is, or belongs to no stream
		}
	}
	if f := l.flow.Load(); f != nil {
		l.cameUp(f, src == r.latch.locked, now)
	}
	belongs, moved := r.latch.accept(src, p.SequenceNumber, now)
	if !belongs {
		r.stray++
		return in, v, false
	}
	if moved {
		l.log.Debug("RTP comes from", "source", src)
		l.sender.redirect(src)
		l.reports.follow(src)
	}
	l.alive.heard(now)
	if !r.stream.started || p.SSRC != r.stream.ssrc {
		l.compare(p.SSRC)
	}
	v = l.count(codec, now)
	switch {
	case codec.voice():
		r.voice = p.PayloadType
	case codec != noise:
		r.uneven = now
	}
	if data[0] != plainHeader || v == restarted || moved {
		r.uneven = now
	}
	if v == duplicate {
		return in, v, false
	}
	if codec == event {
		l.takeEvent(now)
	}
	return incoming{r.generation, p.SequenceNumber, p.Timestamp, p.Marker, codec, p.Payload}, v, true
}

// count enters the packet into the stream's figures.
func (l *Leg) count(codec Codec, now time.Duration) verdict {
	r := &l.rx
	p := &r.packet
	if r.packets == 0 {
		r.first = now
	}
	r.packets++
	r.octets += uint64(len(p.Payload))
	changed := r.stream.started && r.stream.ssrc != p.SSRC
	before := r.stream.highest
	v := r.stream.track(p.SSRC, p.SequenceNumber)
	switch v {
	case duplicate:
		r.duplicate++
	case late:
		r.late++
	case restarted:
		r.quality.bursts.add(0)
		r.generation++
		if changed {
			r.ssrcChanges++
		}
		if d, ok := r.digits.restart(); ok {
			l.pressed(d)
		}
	case inOrder:
		r.quality.bursts.add(gapAfter(before, r.stream.highest))
	}
	if codec.voice() && r.packets%listenEvery == 1 {
		r.quality.listen(codec, p.Payload, now)
	}
	if v != duplicate && v != late && codec.voice() {
		r.stream.time(p.Timestamp, now)
	}
	return v
}

// takeEvent feeds the digit reader.
func (l *Leg) takeEvent(now time.Duration) {
	r := &l.rx
	e, ok := parseEvent(r.packet.Payload)
	if !ok {
		r.invalid++
		return
	}
	done, n := r.digits.packet(r.packet.Timestamp, e, now)
	for _, d := range done[:n] {
		l.pressed(d)
	}
	l.pressing.Store(r.digits.active)
}
