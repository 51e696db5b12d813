package media

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
)

const (
	rtpHeader  = 12
	maxPayload = 1400 // bytes of sound in one packet; 175 ms, far more than any phone sends

	// fillAfter is how long the other leg of a bridge may be silent before this one is kept
	// alive with silence of our own.
	fillAfter = 200 * time.Millisecond

	// A relayed timestamp may run this far from our clock before the offset is taken anew:
	// far behind when packets come late, hardly ahead, for that adds delay at the receiver.
	maxBehind = clockRate
	maxAhead  = 400 * clockRate / 1000
)

// source is what the sound of a packet came from; the marker bit shows that it changed.
type source uint8

const (
	fromNothing source = iota
	fromSilence
	fromClip
	fromPeer
	fromKeys
	fromMix
)

// packetBuf is where a packet is made, on the stack of who sends it.
type packetBuf [rtpHeader + maxPayload]byte

// agreement is how the peer wants to hear us.
type agreement struct {
	wanted      bool    // at all
	voice       format  // what we send
	keys, noise format  // telephone-event and comfort noise; the codec is 0 if the peer takes none
	packing     packing // how long packets shall be
}

// sender is a leg's outgoing stream: one SSRC, continuous sequence numbers and timestamps.
type sender struct {
	mu     sync.Mutex
	socket *socket
	closed bool

	remote netip.AddrPort // invalid: not known yet
	to     target         // the same
	agreement

	hdr    rtp.Header
	origin uint32 // timestamp at the engine's start
	nextTS uint32 // the least timestamp of the next packet
	seq    uint16 // of the next packet
	last   source

	seal *sealer   // nil: packets leave as they are
	worn []sdesKey // keys of ours that packets have left with

	keyless bool // nothing leaves before there are keys

	tap      atomic.Pointer[func(Voice)]
	tapped   []byte      // what the tap is shown; nil until there is one
	pack     packer      // what waits to fill a packet
	convert  *transcoder // of what is relayed; nil until needed
	play     *Playback   // nil: none
	over     []int16     // to be mixed over what is sent; see Overlay
	overWide *overWide   // the same over G.722; nil: nothing
	digits   digitWriter
	waited   bool // a beat was left out to let our clock catch up
	relayed  relay
	mixed    bool         // a mix sends at each beat
	flow     *flow        // towards this leg through the kernel; nil: none
	rests    atomic.Int32 // beats that may be left out meanwhile

	packets, octets uint64 // packets sent, payload octets sent
	past            past   // under another SSRC
	failed          uint64
	sentAt          time.Duration
}

// relay maps the other leg's stream onto ours.
type relay struct {
	from       *Leg // the other leg of the bridge; nil: none
	running    bool // the offsets below hold
	generation uint32
	seq        uint16 // ours minus theirs
	ts         uint32 // ours minus theirs
	floor      uint16 // our first number of this run; older packets would collide with others
	at         time.Duration
	since      time.Duration // of this run
	pieces     bool          // packets are cut anew, with numbers of our own
	before     uint16        // their number of the last packet cut
	end        uint32        // our timestamp after it
}

func (s *sender) init(socket *socket) {
	s.socket = socket
	s.hdr = rtp.Header{Version: 2, SSRC: rand.Uint32()}
	s.origin = rand.Uint32()
	s.nextTS = s.origin
	s.seq = uint16(rand.Uint32N(1 << 15)) // early losses before a wrap would put SRTP out of step (RFC 3711 3.3.1)
}

// clock is the timestamp that stands for now.
func (s *sender) clock(now time.Duration) uint32 { return s.origin + units(now) }

// lead is how far the next timestamp is ahead of our clock; negative: behind.
func (s *sender) lead(now time.Duration) int32 { return int32(s.nextTS - s.clock(now)) }

func (s *sender) redirect(to netip.AddrPort) {
	s.mu.Lock()
	s.takeBack()
	s.remote, s.to = to, newTarget(to)
	s.mu.Unlock()
}

func (s *sender) agree(to agreement) {
	s.mu.Lock()
	s.takeBack()
	s.agreement = to
	s.mu.Unlock()
}

// open tells whether packets may leave.
func (s *sender) open() bool { return s.wanted && s.remote.IsValid() && !s.closed && !s.keyless }

// beat serves one instant of the leg's grid.
func (s *sender) beat(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.forwarded(now) {
		return
	}
	if s.digits.busy(now) {
		s.sendDigit(now)
		return
	}
	if s.play == nil && (s.mixed || s.relayed.running && now-s.relayed.at < fillAfter) {
		return
	}
	// A bridge may have left our timestamps a frame ahead of the clock. Leave out every other
	// beat until they are level, so that the receiver's buffer drains again.
	if s.lead(now) >= frameSamples && !s.waited {
		s.waited = true
		return
	}
	s.waited = false
	s.relayed.running = false
	if s.play != nil {
		s.sendClip(now)
		return
	}
	s.sendVoice(now, fromSilence, silence(s.voice.codec))
}

var silentALaw, silentULaw [frameSamples]byte

func init() {
	for i := range frameSamples {
		silentALaw[i], silentULaw[i] = EncodeALaw(0), EncodeULaw(0)
	}
}

// silentG722 is silence as the encoder makes it once it has settled.
var silentG722 = encodeWide(make([]int16, 20*frameSamples))[9*frameSamples:]

func silence(c Codec) []byte {
	switch c {
	case PCMU:
		return silentULaw[:]
	case G722:
		return silentG722[:frameSamples]
	}
	return silentALaw[:]
}

func (s *sender) sendClip(now time.Duration) {
	if s.voice.codec == G722 && !s.play.wide.Load() {
		s.sendVoice(now, fromClip, silence(G722)) // it began as the codec changed, and is being encoded
		return
	}
	if s.play.frame < s.play.frames {
		s.sendVoice(now, fromClip, s.play.audio.Frame(s.voice.codec, s.play.frame))
	}
	if s.play.advance() {
		s.endPlay()
	}
}

// sendVoice sends a frame of our own at the clock's timestamp.
func (s *sender) sendVoice(now time.Duration, from source, frame []byte) {
	ts := s.nextTS
	if s.lead(now) < 0 {
		ts = s.clock(now)
	}
	s.nextTS = ts + frameSamples
	if !s.open() {
		s.pack.n = 0
		return
	}
	s.sendFrame(ts, from, frame, now)
}

func (s *sender) mark(from source) bool {
	changed := s.last != from
	s.last = from
	return changed
}

// write sends what lies in buf after the header.
func (s *sender) write(buf *packetBuf, payload uint8, marker bool, seq uint16, ts uint32, size int, now time.Duration) {
	s.hdr.PayloadType, s.hdr.Marker, s.hdr.SequenceNumber, s.hdr.Timestamp = payload, marker, seq, ts
	if _, err := s.hdr.MarshalTo(buf[:rtpHeader]); err != nil {
		s.failed++
		return
	}
	packet := buf[:rtpHeader+size]
	if s.seal != nil {
		var err error
		if packet, err = s.seal.seal(packet); err != nil {
			s.failed++
			return
		}
	}
	if err := s.socket.send(packet, &s.to); err != nil {
		s.failed++
		return
	}
	s.packets++
	s.octets += uint64(size)
	s.sentAt = now
}

// setPlay replaces what plays; p may be nil.
func (s *sender) setPlay(p *Playback) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	s.endPlay()
	switch {
	case p == nil:
	case s.closed || p.frames == 0:
		close(p.done)
	default:
		s.play = p
	}
}

// stopPlay ends p if it still plays.
func (s *sender) stopPlay(p *Playback) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.play == p {
		s.endPlay()
	}
}

func (s *sender) endPlay() {
	if s.play != nil {
		close(s.play.done)
		s.play = nil
	}
}

// bridge makes from the leg whose sound is relayed, nil for none. What plays ends.
func (s *sender) bridge(from *Leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	s.endPlay()
	s.relayed = relay{from: from}
}

func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	s.closed = true
	s.endPlay()
	s.relayed = relay{}
}

// report gives the figures of a sender report (RFC 3550 section 6.4.1).
func (s *sender) report(now time.Duration) (ssrc, ts uint32, packets, octets uint64, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookIn()
	packets, octets = s.packets-s.past.packets, s.octets-s.past.octets
	return s.hdr.SSRC, s.clock(now), packets, octets, packets > 0
}

// SendDigit queues a key press to be sent as RFC 4733 events in place of other sound, held for dur
// (40 ms to 8 s, in steps of 20 ms). It fails with ErrNoEvents when the peer takes no telephone-event,
// ErrBadKey, ErrClosed, or ErrQueueFull when 32 presses are waiting already. It does not wait.
func (l *Leg) SendDigit(key byte, dur time.Duration) error {
	code, ok := keyCode(key)
	if !ok {
		return fmt.Errorf("sending digit: %w", ErrBadKey)
	}
	s := &l.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("sending digit: %w", ErrClosed)
	case s.keys.codec != event:
		return fmt.Errorf("sending digit: %w", ErrNoEvents)
	}
	s.takeBack()
	if !s.digits.add(code, dur) {
		return fmt.Errorf("sending digit: %w", ErrQueueFull)
	}
	return nil
}

func (s *sender) sendDigit(now time.Duration) {
	s.relayed.running = false
	s.flush(now)
	marker := s.digits.begins()
	if marker {
		s.digits.ts = max32(s.nextTS, s.clock(now))
	}
	e := s.digits.step(now)
	s.nextTS = s.digits.ts + uint32(e.duration)
	if !s.open() || s.keys.codec != event {
		return
	}
	var buf packetBuf
	e.put(buf[rtpHeader:])
	s.last = fromKeys
	s.write(&buf, s.keys.payload, marker, s.seq, s.digits.ts, 4, now)
	s.seq++
}

// max32 is the later of two timestamps.
func max32(a, b uint32) uint32 {
	if int32(a-b) > 0 {
		return a
	}
	return b
}
