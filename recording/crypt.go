package recording

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
)

// An encrypted recording is a header and segments. The header is "HLREC", 0, 0, 1 (the
// version), the key's ID of 8 bytes, a salt of 32 bytes. A segment is 4 bytes, the highest bit
// of which says that it is the last and the rest how long it is (big-endian), then that
// many bytes of AES-256-GCM. The file's key is HKDF-SHA256 of key and salt. The nonce of a
// segment is 3 zeros, 1 if it is the last or else 0, and its number of 8 bytes from 0 on; the
// header is authenticated with each. So no segment can be changed, moved, left out or taken
// from another file, and a file that was cut lacks its last one.
const (
	cryptMagic = "HLREC\x00\x00\x01"
	cryptHead  = 8 + 8 + 32
	lastBit    = 1 << 31
	// maxSegment is the longest segment that is read.
	maxSegment = 1 << 20
)

var (
	// ErrWrongKey says that a recording was encrypted with another key.
	ErrWrongKey = errors.New("the recording was encrypted with another key")
	// ErrCut says that an encrypted recording has no end: what was read is genuine, and what
	// came after it is missing.
	ErrCut = errors.New("the recording was cut: its last segment is missing")
	// ErrChanged says that an encrypted recording isn't what was written.
	ErrChanged = errors.New("the recording was changed or damaged")
)

// sealer writes an encrypted recording: one segment for each Write.
type sealer struct {
	to    io.Writer
	aead  cipher.AEAD
	head  []byte
	count uint64
	buf   []byte
}

// newSealer begins a file.
func newSealer(to io.Writer, key *Key) (*sealer, error) {
	head := append([]byte(cryptMagic), make([]byte, cryptHead-len(cryptMagic))...)
	id, err := hex.DecodeString(key.ID)
	if err != nil {
		return nil, err
	}
	copy(head[8:], id)
	if _, err := rand.Read(head[16:]); err != nil {
		return nil, err
	}
	aead, err := fileCipher(head, key)
	if err != nil {
		return nil, err
	}
	_, err = to.Write(head)
	return &sealer{to: to, aead: aead, head: head}, err
}

func fileCipher(head []byte, key *Key) (cipher.AEAD, error) {
	secret, err := key.of(head[16:cryptHead])
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func segmentNonce(count uint64, last bool) []byte {
	n := make([]byte, 12)
	if last {
		n[3] = 1
	}
	binary.BigEndian.PutUint64(n[4:], count)
	return n
}

func (s *sealer) Write(b []byte) (int, error) { return len(b), s.segment(b, false) }

// end writes the last segment, an empty one.
func (s *sealer) end() error { return s.segment(nil, true) }

func (s *sealer) segment(b []byte, last bool) error {
	size := uint32(len(b) + s.aead.Overhead())
	if last {
		size |= lastBit
	}
	s.buf = binary.BigEndian.AppendUint32(s.buf[:0], size)
	s.buf = s.aead.Seal(s.buf, segmentNonce(s.count, last), b, s.head)
	s.count++
	_, err := s.to.Write(s.buf)
	return err
}

// Encrypted says whether data begins as an encrypted recording does; 8 bytes are enough.
func Encrypted(data []byte) bool {
	return len(data) >= len(cryptMagic) && string(data[:len(cryptMagic)]) == cryptMagic
}

// opener reads an encrypted recording.
type opener struct {
	from  io.Reader
	aead  cipher.AEAD
	head  []byte
	count uint64
	rest  []byte // opened and not read
	buf   []byte
	err   error
}

// Decrypt reads an encrypted recording with the one of the keys that fits. Errors wrap
// ErrWrongKey, ErrChanged, ErrBadFile or, at the end, ErrCut; what was read before an
// error is genuine.
func Decrypt(from io.Reader, keys ...*Key) (io.Reader, error) {
	head := make([]byte, cryptHead)
	if _, err := io.ReadFull(from, head); err != nil || !Encrypted(head) {
		return nil, fmt.Errorf("%w: it has no header of an encrypted recording", ErrBadFile)
	}
	id := hex.EncodeToString(head[8:16])
	i := slices.IndexFunc(keys, func(k *Key) bool { return k.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%w: it needs key %s", ErrWrongKey, id)
	}
	aead, err := fileCipher(head, keys[i])
	if err != nil {
		return nil, err
	}
	return &opener{from: from, aead: aead, head: head}, nil
}

func (o *opener) Read(b []byte) (int, error) {
	for len(o.rest) == 0 && o.err == nil {
		o.rest, o.err = o.next()
	}
	if len(o.rest) == 0 {
		return 0, o.err
	}
	n := copy(b, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

// next opens a segment. Its error is io.EOF behind the last one.
func (o *opener) next() ([]byte, error) {
	size, last, err := readSegmentHead(o.from)
	if err != nil {
		return nil, err
	}
	if size < o.aead.Overhead() {
		return nil, fmt.Errorf("%w: segment %d has %d bytes", ErrChanged, o.count, size)
	}
	o.buf = slices.Grow(o.buf[:0], size)[:size]
	if _, err := io.ReadFull(o.from, o.buf); err != nil {
		return nil, cut(err)
	}
	plain, err := o.aead.Open(o.buf[:0], segmentNonce(o.count, last), o.buf, o.head)
	if err != nil {
		return nil, fmt.Errorf("%w: segment %d", ErrChanged, o.count)
	}
	o.count++
	if !last {
		return plain, nil
	}
	if n, _ := io.ReadFull(o.from, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("%w: something was added to its end", ErrChanged)
	}
	return plain, io.EOF
}

// readSegmentHead reads how long the next segment is, and whether it is the last.
func readSegmentHead(r io.Reader) (size int, last bool, err error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, false, cut(err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n&^lastBit > maxSegment {
		return 0, false, fmt.Errorf("%w: a segment of %d bytes", ErrChanged, n&^lastBit)
	}
	return int(n &^ lastBit), n&lastBit != 0, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// wholeSegments tells where the last whole segment of a file ends, how many there are, and
// whether it is complete already. It needs no key.
func wholeSegments(r io.ReaderAt, size int64) (end int64, count uint64, complete bool, err error) {
	var head [cryptHead]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || !Encrypted(head[:]) {
		return 0, 0, false, fmt.Errorf("%w: it has no header of an encrypted recording", ErrBadFile)
	}
	for end = cryptHead; ; count++ {
		n, last, err := readSegmentHead(io.NewSectionReader(r, end, size-end))
		if errors.Is(err, ErrCut) || err == nil && end+4+int64(n) > size {
			return end, count, false, nil
		}
		if err != nil {
			return end, count, false, err
		}
		end += 4 + int64(n)
		if last {
			return end, count + 1, true, nil
		}
	}
}
