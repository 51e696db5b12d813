package recording

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"os"
	"path/filepath"
	"syscall"
)

// file is what a recording is written to.
type file interface {
	Write([]byte) (int, error)
	WriteAt([]byte, int64) (int, error)
	Seek(int64, int) (int64, error)
	Truncate(int64) error
	Sync() error
	Close() error
}

// createFile makes a file that must not be there.
func createFile(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// sink writes the sound of one recording, plain or encrypted.
type sink struct {
	f      file
	format Format
	seal   *sealer // nil: plain
	good   int64   // bytes of the file that are whole
	sound  int64   // bytes of sound in it
	sum    hash.Hash
}

// newSink begins a file with its header.
func newSink(f file, format Format, key *Key) (*sink, error) {
	s := &sink{f: f, format: format, sum: sha256.New()}
	head := wavHeader(format, 0)
	if key != nil {
		var err error
		if s.seal, err = newSealer(countWriter{s}, key); err != nil {
			return s, err
		}
		head = wavHeader(format, streamed) // it can't be written again
	}
	return s, s.append(head)
}

// countWriter writes to the file and counts what is whole.
type countWriter struct{ *sink }

func (c countWriter) Write(b []byte) (int, error) {
	n, err := c.f.Write(b)
	if err == nil {
		c.good += int64(n)
	}
	return n, err
}

func (s *sink) append(b []byte) error {
	if s.seal != nil {
		_, err := s.seal.Write(b)
		return err
	}
	_, err := countWriter{s}.Write(b)
	return err
}

// write appends sound. After an error the file ends where it did before.
func (s *sink) write(b []byte) error {
	if err := s.append(b); err != nil {
		if s.seal != nil {
			s.seal.count-- // it isn't there; the last segment has a nonce of its own
		}
		back := s.f.Truncate(s.good)
		_, seek := s.f.Seek(s.good, 0)
		return errors.Join(err, back, seek)
	}
	s.sound += int64(len(b))
	_, _ = s.sum.Write(b)
	return nil
}

// end makes the file whole and durable, and closes it.
func (s *sink) end() error {
	var err error
	if s.seal != nil {
		err = s.seal.end()
	} else {
		_, err = s.f.WriteAt(wavHeader(s.format, uint32(s.sound)), 0)
	}
	return errors.Join(err, s.f.Sync(), s.f.Close())
}

// hash is that of the sound, "" for an encrypted file.
func (s *sink) hash() string {
	if s.seal != nil {
		return ""
	}
	return hex.EncodeToString(s.sum.Sum(nil))
}

// diskReason tells why writing failed.
func diskReason(err error) string {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return EndedFull
		}
	}
	return EndedError
}
