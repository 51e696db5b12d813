package media

import "hotline/sound"

// chunk is how many bytes of a payload are converted at a time: 20 ms.
const chunk = frameSamples

// transcoder turns a stream from one codec into another. G.722 has a memory, so a transcoder belongs
// to one stream and is given its packets in order.
type transcoder struct {
	from, to Codec

	decoder sound.G722Decoder
	encoder sound.G722Encoder
	up      sound.Upsampler
	down    sound.Downsampler
	narrow  [chunk]int16
	wide    [2 * chunk]int16
}

// simple tells whether packets can be turned from one codec into the other each by itself.
func simple(from, to Codec) bool { return from == to || from != G722 && to != G722 }

// convert writes payload in the other codec to dst, which must be as long.
func (t *transcoder) convert(dst, payload []byte) {
	if simple(t.from, t.to) {
		transcode(dst, t.to, payload, t.from)
		return
	}
	for len(payload) > 0 {
		n := min(chunk, len(payload))
		if t.from == G722 {
			t.decoder.Decode(t.wide[:2*n], payload[:n])
			t.down.Process(t.narrow[:n], t.wide[:2*n])
			t.to.encodeTo(dst[:n], t.narrow[:n])
		} else {
			t.up.Process(t.wide[:2*n], t.from.decode(t.narrow[:n], payload[:n]))
			t.encoder.Encode(dst[:n], t.wide[:2*n])
		}
		dst, payload = dst[n:], payload[n:]
	}
}

// ear turns what a leg receives into samples at 8 kHz, for a listener.
type ear struct {
	decoder sound.G722Decoder
	down    sound.Downsampler
	wide    [2 * chunk]int16
	pcm     [maxPayload]int16
}

func (e *ear) hear(codec Codec, payload []byte) []int16 {
	if codec != G722 {
		return codec.decode(e.pcm[:], payload)
	}
	for i := 0; i < len(payload); i += chunk {
		part := payload[i:min(i+chunk, len(payload))]
		e.decoder.Decode(e.wide[:2*len(part)], part)
		e.down.Process(e.pcm[i:i+len(part)], e.wide[:2*len(part)])
	}
	return e.pcm[:len(payload)]
}

// encodeG722 encodes 8 kHz samples.
func encodeG722(pcm []int16) []byte {
	wide := make([]int16, 2*len(pcm))
	new(sound.Upsampler).Process(wide, pcm)
	return encodeWide(wide)
}

// encodeWide encodes 16 kHz samples as G.722.
func encodeWide(wide []int16) []byte {
	code := make([]byte, len(wide)/2)
	new(sound.G722Encoder).Encode(code, wide)
	return code
}

// mouth turns samples at 8 kHz into what a phone is sent.
type mouth struct {
	encoder sound.G722Encoder
	up      sound.Upsampler
	wide    [2 * frameSamples]int16
}

// say encodes a frame.
func (m *mouth) say(frame []byte, codec Codec, pcm []int16) {
	if codec != G722 {
		codec.encodeTo(frame, pcm)
		return
	}
	m.up.Process(m.wide[:], pcm)
	m.encoder.Encode(frame, m.wide[:])
}
