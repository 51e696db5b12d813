package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrBadWAV is wrapped by every error of [LoadClip] that the file is to blame for.
var ErrBadWAV = errors.New("unusable WAV file")

// maxWAV bounds a file to ten minutes of 16-bit sound.
const maxWAV = 10 * 60 * clockRate * 2

const (
	wavPCM        = 1
	wavALaw       = 6
	wavULaw       = 7
	wavExtensible = 0xFFFE
)

type wavFormat struct {
	tag, channels, bits uint16
	rate                uint32
}

// LoadClip reads a WAV file: 8 kHz, one channel, 16-bit PCM or G.711 A-law or µ-law, at most
// ten minutes. G.711 bytes are sent as they are. Errors say what was found and how to convert it.
func LoadClip(r io.Reader) (*Clip, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, wavError("it ends within the RIFF header", err)
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, fmt.Errorf("%w: it does not begin with a RIFF WAVE header", ErrBadWAV)
	}
	var format *wavFormat
	for {
		id, size, err := readChunk(r)
		if err != nil {
			return nil, wavError("no data chunk", err)
		}
		switch id {
		case "fmt ":
			if format, err = readFormat(r, size); err != nil {
				return nil, err
			}
		case "data":
			if format == nil {
				return nil, fmt.Errorf("%w: the data chunk comes before the fmt chunk", ErrBadWAV)
			}
			return readSound(r, size, *format)
		default:
			if _, err := io.CopyN(io.Discard, r, int64(size)+int64(size&1)); err != nil {
				return nil, wavError(fmt.Sprintf("it ends within chunk %q", id), err)
			}
		}
	}
}

// wavError tells a short file, which is the file's fault, from a failing reader.
func wavError(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s", ErrBadWAV, what)
	}
	return fmt.Errorf("reading WAV file: %w", err)
}

func readChunk(r io.Reader) (id string, size uint32, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, err
	}
	return string(head[:4]), binary.LittleEndian.Uint32(head[4:]), nil
}

func readFormat(r io.Reader, size uint32) (*wavFormat, error) {
	if size < 16 || size > 1024 {
		return nil, fmt.Errorf("%w: a fmt chunk of %d bytes", ErrBadWAV, size)
	}
	b := make([]byte, size+size&1)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, wavError("it ends within the fmt chunk", err)
	}
	f := &wavFormat{
		tag:      binary.LittleEndian.Uint16(b),
		channels: binary.LittleEndian.Uint16(b[2:]),
		rate:     binary.LittleEndian.Uint32(b[4:]),
		bits:     binary.LittleEndian.Uint16(b[14:]),
	}
	if f.tag == wavExtensible && size >= 26 {
		f.tag = binary.LittleEndian.Uint16(b[24:]) // the first field of the sub-format's GUID
	}
	return f, f.check()
}

func (f *wavFormat) check() error {
	known := f.tag == wavPCM && f.bits == 16 || (f.tag == wavALaw || f.tag == wavULaw) && f.bits == 8
	if known && f.rate == clockRate && f.channels == 1 {
		return nil
	}
	return fmt.Errorf("%w: found format %d with %d bits, %d Hz, %d channel(s); "+
		"need 16-bit PCM, A-law or µ-law at 8000 Hz with 1 channel; convert it with: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav",
		ErrBadWAV, f.tag, f.bits, f.rate, f.channels)
}

func readSound(r io.Reader, size uint32, f wavFormat) (*Clip, error) {
	// Writers that stream leave a size of all ones: then the sound goes on to the end.
	streamed := size == 0xFFFFFFFF
	limit := int64(size)
	if streamed {
		limit = maxWAV + 1
	}
	if limit > maxWAV && !streamed {
		return nil, fmt.Errorf("%w: %d bytes of sound; at most ten minutes (%d bytes) are taken", ErrBadWAV, size, maxWAV)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading WAV file: %w", err)
	case streamed && len(data) > maxWAV:
		return nil, fmt.Errorf("%w: more than ten minutes of sound", ErrBadWAV)
	case !streamed && len(data) < int(size):
		return nil, fmt.Errorf("%w: %d bytes of sound announced, %d there", ErrBadWAV, size, len(data))
	}
	return soundClip(data, f.tag), nil
}

func soundClip(data []byte, tag uint16) *Clip {
	other := make([]byte, len(data))
	switch tag {
	case wavALaw:
		transcode(other, PCMU, data, PCMA)
		return newClip(data, other)
	case wavULaw:
		transcode(other, PCMA, data, PCMU)
		return newClip(other, data)
	}
	pcm := make([]int16, len(data)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return NewClip(pcm)
}
