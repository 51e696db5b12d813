package media

// Codec is a way to carry voice. Both known ones take 8000 samples a second, one byte each.
type Codec uint8

// The codecs of this package. The zero Codec is none: nothing has been negotiated yet.
const (
	PCMA Codec = iota + 1 // G.711 A-law, payload type 8
	PCMU                  // G.711 µ-law, payload type 0

	// event marks telephone-event packets (RFC 4733) in tables keyed by payload type.
	event
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
	case event:
		return "telephone-event"
	}
	return "none"
}

// voice tells whether c carries sound.
func (c Codec) voice() bool { return c == PCMA || c == PCMU }

// PayloadType is the codec's static RTP payload type (RFC 3551 section 6).
func (c Codec) PayloadType() uint8 {
	if c == PCMA {
		return 8
	}
	return 0
}

// decode writes the samples of payload to pcm, which must be as long, and returns them.
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

// encode returns pcm in the codec's bytes.
func (c Codec) encode(pcm []int16) []byte {
	out := make([]byte, len(pcm))
	for i, s := range pcm {
		if c == PCMU {
			out[i] = EncodeULaw(s)
		} else {
			out[i] = EncodeALaw(s)
		}
	}
	return out
}

// transcode copies payload from one codec to the other into dst, which must be as long.
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
