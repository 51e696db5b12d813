package recording

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"hotline/media"
)

// maxPayload is the longest packet that is recorded, in bytes; no leg shows more.
const maxPayload = 1400

// packet is one that passed a leg.
type packet struct {
	at      time.Duration
	ts      uint32
	codec   media.Codec
	payload []byte
}

// packetHead is what a packet's fields take in a ring: length, codec, timestamp, time.
const packetHead = 16

// ring holds packets of one direction between the packet path, which puts, and a writer,
// which takes. Neither waits for the other.
type ring struct {
	buf  []byte
	head atomic.Uint64 // bytes ever put
	tail atomic.Uint64 // bytes ever taken
}

// newRings are two that hold packets of size bytes each, with their heads: no more, since there are
// thousands.
func newRings(size int) (both [2]*ring) {
	size = max(size, 4096)
	buf := make([]byte, 2*size)
	return [2]*ring{{buf: buf[:size:size]}, {buf: buf[size:]}}
}

// put copies a packet in; false when there is no room.
func (r *ring) put(at time.Duration, ts uint32, codec media.Codec, payload []byte) bool {
	head, need := r.head.Load(), uint64(packetHead+len(payload))
	if len(payload) > maxPayload || head+need-r.tail.Load() > uint64(len(r.buf)) {
		return false
	}
	var h [packetHead]byte
	binary.LittleEndian.PutUint16(h[0:], uint16(len(payload)))
	h[2] = byte(codec)
	binary.LittleEndian.PutUint32(h[4:], ts)
	binary.LittleEndian.PutUint64(h[8:], uint64(at))
	r.copyIn(head, h[:])
	r.copyIn(head+packetHead, payload)
	r.head.Store(head + need)
	return true
}

func (r *ring) copyIn(at uint64, b []byte) {
	n := copy(r.buf[at%uint64(len(r.buf)):], b)
	copy(r.buf, b[n:])
}

func (r *ring) copyOut(b []byte, at uint64) {
	n := copy(b, r.buf[at%uint64(len(r.buf)):])
	copy(b[n:], r.buf)
}

// peek reads the oldest packet's fields; false when there is none.
func (r *ring) peek(p *packet) (size int, ok bool) {
	tail := r.tail.Load()
	if tail == r.head.Load() {
		return 0, false
	}
	var h [packetHead]byte
	r.copyOut(h[:], tail)
	p.codec = media.Codec(h[2])
	p.ts = binary.LittleEndian.Uint32(h[4:])
	p.at = time.Duration(binary.LittleEndian.Uint64(h[8:]))
	return int(binary.LittleEndian.Uint16(h[0:])), true
}

// take moves the oldest packet's payload, of which peek has told the size, into buf.
func (r *ring) take(buf []byte, size int) []byte {
	tail := r.tail.Load()
	r.copyOut(buf[:size], tail+packetHead)
	r.tail.Store(tail + uint64(packetHead+size))
	return buf[:size]
}
