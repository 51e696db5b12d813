package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"hotline/sound"
)

// ErrBadWAV is wrapped by every error of [LoadClip] that the file is to blame for.
var ErrBadWAV = errors.New("unusable WAV file")

const (
	// mostGain is how much louder or softer a recording is made, in dB: beyond it something is wrong with it.
	mostGain     = 18
	maxWAVLength = 10 * time.Minute
	maxWAV       = 64 << 20 // bytes of sound
	minWAVRate   = 8000
	maxWAVRate   = 192000
)

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

// LoadClip reads a WAV file of at most ten minutes: 16-bit PCM of any rate from 8 to 192 kHz, one
// channel or two, which are mixed; or G.711 A-law or µ-law at 8 kHz with one channel, whose bytes are sent
// as they are. Errors say what was found and how to convert it.
//
// Speech in it is brought to so many dBov (ITU-T P.56's active level, about); 0 leaves it as it is.
func LoadClip(r io.Reader, dbov float64) (*Clip, error) {
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
			return readSound(r, size, *format, dbov)
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
	switch {
	case f.tag == wavPCM && f.bits == 16 && f.rate >= minWAVRate && f.rate <= maxWAVRate && (f.channels == 1 || f.channels == 2):
		return nil
	case (f.tag == wavALaw || f.tag == wavULaw) && f.bits == 8 && f.rate == clockRate && f.channels == 1:
		return nil
	}
	return fmt.Errorf("%w: found format %d with %d bits, %d Hz, %d channel(s); "+
		"need 16-bit PCM at 8 to 192 kHz with 1 or 2 channels, or A-law or µ-law at 8000 Hz with 1; "+
		"convert it with: sox IN.wav -r 16000 -c 1 -b 16 OUT.wav",
		ErrBadWAV, f.tag, f.bits, f.rate, f.channels)
}

// limit is how many bytes of sound are taken at most.
func (f *wavFormat) limit() int64 {
	perSecond := int64(f.rate) * int64(f.channels) * int64(f.bits) / 8
	return min(perSecond*int64(maxWAVLength/time.Second), maxWAV)
}

func readSound(r io.Reader, size uint32, f wavFormat, dbov float64) (*Clip, error) {
	// Writers that stream leave a size of all ones: then the sound goes on to the end.
	streamed := size == 0xFFFFFFFF
	most := f.limit()
	if int64(size) > most && !streamed {
		return nil, fmt.Errorf("%w: %d bytes of sound; at most ten minutes or 64 MiB (%d bytes) are taken", ErrBadWAV, size, most)
	}
	take := int64(size)
	if streamed {
		take = most + 1
	}
	data, err := io.ReadAll(io.LimitReader(r, take))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading WAV file: %w", err)
	case streamed && int64(len(data)) > most:
		return nil, fmt.Errorf("%w: more than ten minutes or 64 MiB of sound", ErrBadWAV)
	case !streamed && len(data) < int(size):
		return nil, fmt.Errorf("%w: %d bytes of sound announced, %d there", ErrBadWAV, size, len(data))
	}
	return soundClip(data, f, dbov)
}

func soundClip(data []byte, f wavFormat, dbov float64) (*Clip, error) {
	level := func(pcm []int16) (db float64) {
		if dbov != 0 {
			db = sound.ToLevel(pcm, int(f.rate), dbov, mostGain)
		}
		return db
	}
	if f.tag == wavALaw || f.tag == wavULaw {
		law, otherLaw := PCMA, PCMU
		if f.tag == wavULaw {
			law, otherLaw = PCMU, PCMA
		}
		pcm := law.decode(make([]int16, len(data)), data)
		if level(pcm) != 0 {
			return NewClip(pcm), nil
		}
		other := make([]byte, len(data))
		transcode(other, otherLaw, data, law)
		if law == PCMU {
			data, other = other, data
		}
		return newClip(data, other, nil), nil
	}
	pcm := f.mono(data)
	level(pcm)
	if f.rate == clockRate {
		return NewClip(pcm), nil
	}
	narrow, err := sound.Resample(pcm, int(f.rate), clockRate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadWAV, err)
	}
	wide, err := sound.Resample(pcm, int(f.rate), 2*clockRate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadWAV, err)
	}
	return newClip(PCMA.encode(narrow), PCMU.encode(narrow), wide), nil
}

// mono reads 16-bit samples and mixes two channels into one.
func (f *wavFormat) mono(data []byte) []int16 {
	channels := int(f.channels)
	pcm := make([]int16, len(data)/2/channels)
	for i := range pcm {
		sum := 0
		for c := range channels {
			sum += int(int16(binary.LittleEndian.Uint16(data[2*(i*channels+c):])))
		}
		pcm[i] = int16(sum / channels)
	}
	return pcm
}
