package recording

import (
	"fmt"
	"io"
	"os"
)

// repairEncrypted cuts half a segment off the end of a file, and ends it if the key that it
// was begun with is among keys; without, it stays cut, and readable up to there.
func repairEncrypted(f *os.File, keys []*Key) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end, count, complete, err := wholeSegments(f, st.Size())
	if err != nil || complete {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	head := make([]byte, cryptHead)
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	for _, k := range keys {
		if fmt.Sprintf("%x", head[8:16]) != k.ID {
			continue
		}
		aead, err := fileCipher(head, k)
		if err != nil {
			return err
		}
		if _, err := f.Seek(end, io.SeekStart); err != nil {
			return err
		}
		s := &sealer{to: f, aead: aead, head: head, count: count}
		if err := s.end(); err != nil {
			return err
		}
	}
	return nil
}
