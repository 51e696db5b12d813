package recording

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// OpenSound reads a recording's sound as a WAV file, decrypted if need be. The header of one that
// was encrypted has no sizes; [CopyWAV] writes them. The caller must close the closer.
func OpenSound(path string, keys ...*Key) (io.Reader, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	head := make([]byte, len(cryptMagic))
	n, _ := io.ReadFull(f, head)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if !Encrypted(head[:n]) {
		return f, f, nil
	}
	r, err := Decrypt(f, keys...)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return r, f, nil
}

// CopyWAV writes the sound that from has, a WAV file of a recording, to a file, with the sizes that it
// turns out to have. Where from ends with an error, what came before is there and whole.
func CopyWAV(to *os.File, from io.Reader) (seconds float64, err error) {
	format, _, err := readWAVHeader(from)
	if err != nil {
		return 0, err
	}
	if _, err := to.Write(wavHeader(format, streamed)); err != nil {
		return 0, err
	}
	n, err := io.Copy(to, from)
	n -= n % int64(format.frame())
	if n >= streamed-wavHead {
		return 0, fmt.Errorf("%w: it is too long for a WAV file", ErrBadFile)
	}
	_, head := to.WriteAt(wavHeader(format, uint32(n)), 0)
	return float64(n) / float64(rate*format.frame()), errors.Join(err, head)
}

// Verify reads a recording's file, and says what is wrong with it: other sound than was
// written, or another length. An encrypted one needs its key.
func Verify(dir string, in Info, keys ...*Key) error {
	r, c, err := OpenSound(in.Path(dir), keys...)
	if err != nil {
		return err
	}
	defer c.Close()
	format, size, err := readWAVHeader(r)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	switch {
	case err != nil:
		return err
	case !strings.HasSuffix(in.File, encExt) && int64(size) != n:
		return fmt.Errorf("%w: %d bytes of sound, the header says %d", ErrBadFile, n, size)
	case in.SHA256 != "" && hex.EncodeToString(sum.Sum(nil)) != in.SHA256:
		return fmt.Errorf("%w: its hash isn't that of the sidecar", ErrChanged)
	case format.String() != in.Format:
		return fmt.Errorf("%w: it is %s, the sidecar says %s", ErrBadFile, format, in.Format)
	case in.Ended != EndedInterrupted && float64(n)/float64(rate*format.frame()) != in.Seconds:
		return fmt.Errorf("%w: it has another length than the sidecar says", ErrBadFile)
	}
	return nil
}
