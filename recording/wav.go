package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrBadFile is wrapped by errors that a recording's file is to blame for.
var ErrBadFile = errors.New("unusable recording")

// wavHead is the size of the header that recordings have: RIFF, fmt of 18 bytes, fact, data.
const wavHead = 12 + 8 + 18 + 8 + 4 + 8

// streamed is the size of sound that isn't known yet.
const streamed = 0xFFFFFFFF

// wavHeader is that of size bytes of sound, or of sound that ends where the file does.
func wavHeader(f Format, size uint32) []byte {
	h := make([]byte, 0, wavHead)
	le := binary.LittleEndian
	tag, riff, frames := uint16(1), uint32(streamed), uint32(streamed)
	switch f {
	case ALaw:
		tag = 6
	case ULaw:
		tag = 7
	}
	if size != streamed {
		riff, frames = wavHead-8+size, size/uint32(f.frame())
	}
	h = append(h, "RIFF"...)
	h = le.AppendUint32(h, riff)
	h = append(h, "WAVEfmt "...)
	h = le.AppendUint32(h, 18)
	h = le.AppendUint16(h, tag)
	h = le.AppendUint16(h, 2)
	h = le.AppendUint32(h, rate)
	h = le.AppendUint32(h, uint32(rate*f.frame()))
	h = le.AppendUint16(h, uint16(f.frame()))
	h = le.AppendUint16(h, uint16(8*f.width()))
	h = le.AppendUint16(h, 0)
	h = append(h, "fact"...)
	h = le.AppendUint32(h, 4)
	h = le.AppendUint32(h, frames)
	h = append(h, "data"...)
	return le.AppendUint32(h, size)
}

// readWAVHeader reads the header of a recording: its format, and the size of the sound as
// it is written there.
func readWAVHeader(r io.Reader) (f Format, size uint32, err error) {
	var h [wavHead]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it ends within its header", ErrBadFile)
		}
		return 0, 0, err
	}
	le := binary.LittleEndian
	size = le.Uint32(h[wavHead-4:])
	for _, f := range []Format{Linear, ALaw, ULaw} {
		want := wavHeader(f, size)
		copy(want[4:8], h[4:8])
		copy(want[46:50], h[46:50]) // the count of moments follows from the size
		if string(want) == string(h[:]) {
			return f, size, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: it does not begin with the header of a recording", ErrBadFile)
}

// repairWAV writes the sizes that the file's length gives into its header, and cuts half a
// moment off its end.
func repairWAV(f *os.File) (format Format, sound int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	format, _, err = readWAVHeader(io.NewSectionReader(f, 0, st.Size()))
	if err != nil {
		return 0, 0, err
	}
	sound = st.Size() - wavHead
	sound -= sound % int64(format.frame())
	sound = min(sound, streamed-wavHead)
	if err := f.Truncate(wavHead + sound); err != nil {
		return 0, 0, err
	}
	if _, err := f.WriteAt(wavHeader(format, uint32(sound)), 0); err != nil {
		return 0, 0, err
	}
	return format, sound, nil
}
