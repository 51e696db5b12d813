package recording

import (
	"encoding/binary"
	"time"

	"hotline/media"
	"hotline/sound"
)

const (
	rate = 8000 // samples a second of every recording, and units of RTP timestamps

	// hold is how long sound stays in memory before it is written, for packets that come late.
	hold = rate
	// astray is how far a stream may run from the clock before it is anchored anew.
	astray = rate
	// window is how many samples are in memory: those held, and a stream that runs ahead.
	window = hold + astray + maxPayload
)

// Format is how sound is kept.
type Format uint8

// The formats. Linear is 16 bits a sample, the others (G.711) 8.
const (
	Linear Format = iota + 1
	ALaw
	ULaw
)

// String is the format's name: "linear", "pcma" or "pcmu".
func (f Format) String() string {
	switch f {
	case Linear:
		return "linear"
	case ALaw:
		return "pcma"
	case ULaw:
		return "pcmu"
	}
	return "unknown"
}

// ParseFormat reads a format's name; false when there is none of it.
func ParseFormat(name string) (Format, bool) {
	for _, f := range []Format{Linear, ALaw, ULaw} {
		if f.String() == name {
			return f, true
		}
	}
	return 0, false
}

// width is the bytes of a sample.
func (f Format) width() int {
	if f == Linear {
		return 2
	}
	return 1
}

// frame is the bytes of a moment: a sample of each channel.
func (f Format) frame() int { return 2 * f.width() }

// put writes a sample.
func (f Format) put(b []byte, s int16) {
	switch f {
	case ALaw:
		b[0] = media.EncodeALaw(s)
	case ULaw:
		b[0] = media.EncodeULaw(s)
	default:
		binary.LittleEndian.PutUint16(b, uint16(s))
	}
}

// timeline puts packets of two channels where they belong, and gives the sound out in order.
type timeline struct {
	format Format
	begun  bool
	t0     time.Duration // the engine's clock at sample 0
	win    []byte        // moments base to base+window, each at its number modulo window
	base   int64
	ch     [2]channel
	late   int // samples that came when their moment had been written
	*scratch
}

// scratch is where a packet is decoded: one for all recordings of a writer.
type scratch struct {
	payload [maxPayload]byte
	pcm     [maxPayload]int16
	wide    [2 * maxPayload]int16
}

// channel is one stream's place in time.
type channel struct {
	anchored bool
	pos      int64  // the sample that ts stands for
	ts       uint32 // of the stream
	codec    media.Codec
	g722     sound.G722Decoder
	down     sound.Downsampler
	pace     pace
}

func newTimeline(f Format, s *scratch) *timeline {
	t := &timeline{format: f, scratch: s, win: make([]byte, window*f.frame())}
	t.silence(0, window)
	return t
}

// begin says when the recording began, on the engine's clock.
func (t *timeline) begin(at time.Duration) {
	if !t.begun {
		t.begun, t.t0 = true, at
	}
}

// samplesAt is the number of the moment at.
func (t *timeline) samplesAt(at time.Duration) int64 {
	return int64((at - t.t0) * rate / time.Second)
}

// add places a packet, and appends to out what nothing can change any more.
func (t *timeline) add(out []byte, side int, p *packet) []byte {
	t.begin(p.at)
	now := t.samplesAt(p.at)
	out = t.giveOut(out, now-hold)
	c := &t.ch[side]
	pcm, n := t.decode(c, p)
	pos := c.pos + int64(int32(p.ts-c.ts))
	if off := pos - now; !c.anchored || off > astray || off < -astray {
		c.anchored, c.pos, c.ts, pos, c.pace = true, now, p.ts, now, pace{}
	}
	moved := c.pace.step(pos-now, now)
	c.pos, pos = c.pos+moved, pos+moved
	skip := int(min(max(t.base-pos, 0), int64(n)))
	t.late += skip
	n = int(min(int64(n), t.base+window-pos))
	w, f := t.format.width(), t.format.frame()
	same := t.same(p.codec)
	put := func(at int64, i int) {
		to := t.win[int(at%window)*f+side*w:]
		if same {
			to[0] = p.payload[i]
		} else {
			t.format.put(to, pcm[i])
		}
	}
	if moved > 0 && skip == 0 && n > 0 && pos > t.base {
		put(pos-1, 0) // else there would be a hole
	}
	for i := skip; i < n; i++ {
		put(pos+int64(i), i)
	}
	return out
}

// same says that a codec's bytes are kept as they came.
func (t *timeline) same(c media.Codec) bool {
	return t.format == ALaw && c == media.PCMA || t.format == ULaw && c == media.PCMU
}

// decode gives the n samples of a packet; none where they are kept as they are.
func (t *timeline) decode(c *channel, p *packet) (pcm []int16, n int) {
	n = len(p.payload)
	if p.codec != c.codec {
		c.codec, c.g722, c.down = p.codec, sound.G722Decoder{}, sound.Downsampler{}
	}
	switch {
	case t.same(p.codec):
		return nil, n
	case p.codec == media.PCMA:
		for i, b := range p.payload {
			t.pcm[i] = media.DecodeALaw(b)
		}
	case p.codec == media.PCMU:
		for i, b := range p.payload {
			t.pcm[i] = media.DecodeULaw(b)
		}
	case p.codec.String() == "G722": // as many bytes a second as G.711, for twice the samples
		t.narrow(c, p.payload)
	default:
		return nil, 0
	}
	return t.pcm[:n], n
}

// narrow decodes G.722, and takes every other sample.
func (t *timeline) narrow(c *channel, payload []byte) {
	wide := t.wide[:c.g722.Decode(t.wide[:], payload)]
	c.down.Process(t.pcm[:], wide)
}

// giveOut appends the moments before limit to out.
func (t *timeline) giveOut(out []byte, limit int64) []byte {
	f := t.format.frame()
	for t.base < limit {
		from := int(t.base % window)
		n := int(min(limit-t.base, int64(window-from)))
		out = append(out, t.win[from*f:(from+n)*f]...)
		t.silence(from, n)
		t.base += int64(n)
	}
	return out
}

// finish appends all that is left up to the moment at. A stream whose packets came faster than they
// play may reach beyond it: that was never heard.
func (t *timeline) finish(out []byte, at time.Duration) []byte {
	if !t.begun {
		return out
	}
	return t.giveOut(out, t.samplesAt(at))
}

func (t *timeline) silence(from, n int) {
	w := t.format.width()
	b := t.win[from*2*w : (from+n)*2*w]
	for i := 0; i < len(b); i += w {
		t.format.put(b[i:], 0)
	}
}
