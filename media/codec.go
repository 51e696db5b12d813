package media

// Codec is a way to carry voice. All known ones have 8000 RTP timestamp units a second, one byte each;
// G.722 holds two samples in a byte (RFC 3551 section 4.5.2).
type Codec uint8

// The codecs of this package. The zero Codec is none: nothing has been negotiated yet.
const (
	PCMA Codec = iota + 1 // G.711 A-law, payload type 8
	PCMU                  // G.711 µ-law, payload type 0
	G722                  // G.722 at 64 kbit/s, 16 kHz sound, payload type 9

	// event and noise mark packets of telephone-event (RFC 4733) and of comfort noise (RFC 3389) in
	// tables keyed by payload type.
	event
	noise
)

const (
	clockRate    = 8000 // RTP timestamp units a second, of all codecs and of telephone-event
	frameSamples = 160  // samples, and bytes, in one 20 ms frame
)

// String gives the codec's name as SDP writes it (RFC 3551 section 6).
func (c Codec) String() string {
	switch c {
	case PCMA:
		return "PCMA"
	case PCMU:
		return "PCMU"
	case G722:
		return "G722"
	case noise:
		return "CN"
	case event:
		return "telephone-event"
	}
	return "none"
}

// voice tells whether c carries sound.
func (c Codec) voice() bool { return c == PCMA || c == PCMU || c == G722 }

// PayloadType is the codec's static RTP payload type (RFC 3551 section 6).
func (c Codec) PayloadType() uint8 {
	switch c {
	case PCMA:
		return 8
	case G722:
		return 9
	case noise:
		return 13
	}
	return 0
}

// decode, of G.711, writes the samples of payload to pcm, which must be as long, and returns them.
func (c Codec) decode(pcm []int16, payload []byte) []int16 {
	table := &decodeALaw
	if c == PCMU {
		table = &decodeULaw
	}
	for i, b := range payload {
		pcm[i] = table[b]
	}
	return pcm[:len(payload)]
}

// encode, of G.711, returns pcm in the codec's bytes.
func (c Codec) encode(pcm []int16) []byte {
	out := make([]byte, len(pcm))
	c.encodeTo(out, pcm)
	return out
}

// encodeTo, of G.711, writes pcm in the codec's bytes.
func (c Codec) encodeTo(out []byte, pcm []int16) {
	for i, s := range pcm {
		if c == PCMU {
			out[i] = EncodeULaw(s)
		} else {
			out[i] = EncodeALaw(s)
		}
	}
}

// transcode copies payload from one codec of G.711, or the same, to the other into dst, which must be
// as long.
func transcode(dst []byte, to Codec, payload []byte, from Codec) {
	if to == from {
		copy(dst, payload)
		return
	}
	table := &aToU
	if to == PCMA {
		table = &uToA
	}
	for i, b := range payload {
		dst[i] = table[b]
	}
}
