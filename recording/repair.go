package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// syncDir makes the names in a file's directory durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Repair makes whole what a killed process has left in dir as .part, and gives it its name. Nobody may
// be recording there. keys are for encrypted recordings. It returns what it has repaired; one that
// can't be is left, and told of in the error.
func Repair(dir string, keys []*Key, log *slog.Logger) (repaired []Info, err error) {
	var wrong []error
	for _, day := range days(dir) {
		parts, _ := filepath.Glob(filepath.Join(dir, day, "*"+partExt))
		for _, part := range parts {
			in, err := repairPart(dir, day, part, keys)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", part, err))
				continue
			}
			log.Warn("recording of a process that was killed repaired", "recording", in.ID, "seconds", int(in.Seconds), "bytes", in.Bytes)
			repaired = append(repaired, in)
		}
	}
	return repaired, errors.Join(wrong...)
}

func repairPart(dir, day, part string, keys []*Key) (Info, error) {
	name := strings.TrimSuffix(filepath.Base(part), partExt)
	id := strings.TrimSuffix(strings.TrimSuffix(name, ".enc"), wavExt)
	in, err := readInfo(filepath.Join(dir, day, id+infoExt))
	if err != nil { // killed before it was there, or lost
		in = Info{ID: id, Day: day, Call: id[:max(strings.LastIndex(id, "-"), 0)], Leg: "caller"}
		if !plainName(id) {
			return in, ErrBadFile
		}
	}
	in.File = name
	if in.Ended == "" {
		in.Ended = EndedInterrupted
	}
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return in, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return in, err
	}
	if in.Start.IsZero() {
		in.Start = st.ModTime()
	}
	if head := headSize(name); st.Size() < int64(head) {
		in.File = "" // nothing to hear yet
		return in, errors.Join(os.Remove(part), in.write(dir))
	}
	if err := repairSound(f, &in, keys); err != nil {
		return in, err
	}
	if err := f.Sync(); err != nil {
		return in, err
	}
	if st, err = f.Stat(); err != nil {
		return in, err
	}
	in.Bytes = st.Size()
	if err := os.Rename(part, in.Path(dir)); err != nil {
		return in, err
	}
	return in, errors.Join(in.write(dir), syncDir(part))
}

func headSize(name string) int {
	if strings.HasSuffix(name, encExt) {
		return cryptHead
	}
	return wavHead
}

// repairSound puts the file right, and says of the sound what the sidecar doesn't know.
func repairSound(f *os.File, in *Info, keys []*Key) error {
	if strings.HasSuffix(in.File, encExt) {
		if err := repairEncrypted(f, keys); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if plain, err := Decrypt(f, keys...); err == nil {
			in.Seconds = soundSeconds(plain)
		}
		return nil
	}
	format, size, err := repairWAV(f)
	if err != nil {
		return err
	}
	in.Format = format.String()
	in.Seconds = float64(size) / float64(rate*format.frame())
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, wavHead, size)); err != nil {
		return err
	}
	in.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// soundSeconds is how long a WAV file is that is read to its end, or as far as it goes.
func soundSeconds(r io.Reader) float64 {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, wavHead); err != nil {
		return 0
	}
	format, _, err := readWAVHeader(&head)
	if err != nil {
		return 0
	}
	n, _ := io.Copy(io.Discard, r)
	return float64(n) / float64(rate*format.frame())
}
