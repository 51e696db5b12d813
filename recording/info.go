package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Why a recording ended.
const (
	EndedCall        = "call_ended"
	EndedTalk        = "talk_ended"  // where each talk has its own
	EndedStopped     = "stopped"     // by hand
	EndedLength      = "too_long"    // [Options].MaxLength
	EndedSlow        = "disk_slow"   // its ring was full
	EndedFull        = "disk_full"   // no space, quota or size left
	EndedError       = "disk_error"  // any other failure to write
	EndedInterrupted = "interrupted" // the process ended; what there is was repaired
)

// Why a recording did not begin.
const (
	RefusedLow  = "disk_low" // less than [Options].MinFree
	RefusedMany = "too_many" // [Options].Max are under way
)

// Info is what is known of a recording, as its sidecar has it. It holds the caller's full number,
// as call records do.
type Info struct {
	// ID is unique over all nodes: the call's, a dash, and the recording's number in the call.
	ID string `json:"id"`
	// Day is the directory, YYYY-MM-DD in local time.
	Day string `json:"day"`
	// File is the name there; left out where there is nothing to hear (any more).
	File string `json:"file,omitempty"`

	Call string `json:"call"`
	// Leg is whose sound is on the left: "caller", or "agent" for one of an agent's own leg.
	Leg string `json:"leg"`
	// Number is the caller's in E.164, left out when anonymous; in an agent's call to the outside, the one called.
	Number string `json:"number,omitempty"`
	// Queue, Agent and Tier are those when the recording began.
	Queue string `json:"queue,omitempty"`
	Agent string `json:"agent,omitempty"`
	Tier  string `json:"tier,omitempty"`
	// Trunk by which an agent's call to the outside left; left out of other calls.
	Trunk string `json:"trunk,omitempty"`

	// Start is when the first packet passed, about; Seconds how long the sound is.
	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
	// Format is "linear", "pcma" or "pcmu"; Key the ID of the key, left out without.
	Format string `json:"format"`
	Key    string `json:"key,omitempty"`
	// Bytes is the file's size.
	Bytes int64 `json:"bytes"`
	// SHA256 is of the sound behind the WAV header; encrypted files prove themselves.
	SHA256 string `json:"sha256,omitempty"`
	// Pauses counts the pauses, of which there is only silence.
	Pauses int `json:"pauses,omitempty"`
	// Ended is why; left out while it goes on.
	Ended string `json:"ended,omitempty"`
	// Stored is where it was uploaded to.
	Stored *Stored `json:"stored,omitempty"`
}

// Stored is a recording's place in an S3 store.
type Stored struct {
	Bucket string    `json:"bucket"`
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
}

// maxSidecar bounds a sidecar in bytes.
const maxSidecar = 64 << 10

// parseInfo reads a sidecar. What it names lies in its own directory.
func parseInfo(data []byte) (Info, error) {
	var in Info
	if len(data) > maxSidecar {
		return in, fmt.Errorf("%w: a sidecar of %d bytes", ErrBadFile, len(data))
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return in, fmt.Errorf("%w: %w", ErrBadFile, err)
	}
	if _, err := time.Parse(time.DateOnly, in.Day); err != nil || !plainName(in.ID) {
		return in, fmt.Errorf("%w: the sidecar has no id or no day", ErrBadFile)
	}
	if in.File != "" && in.File != in.ID+wavExt && in.File != in.ID+encExt {
		return in, fmt.Errorf("%w: the sidecar names another file", ErrBadFile)
	}
	return in, nil
}

const (
	wavExt  = ".wav"
	encExt  = ".wav.enc"
	partExt = ".part"
	infoExt = ".json"
)

// plainName says that a name can be one of a file here.
func plainName(s string) bool {
	return s != "" && len(s) <= 200 && !strings.HasPrefix(s, ".") && !strings.ContainsAny(s, "/\\\x00")
}

// Path is where the sound is, or was, under the directory of recordings.
func (in *Info) Path(dir string) string { return filepath.Join(dir, in.Day, in.File) }

func (in *Info) sidecar(dir string) string { return filepath.Join(dir, in.Day, in.ID+infoExt) }

// write puts the sidecar in place of the one before.
func (in *Info) write(dir string) error {
	data, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return err
	}
	path := in.sidecar(dir)
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o640); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readInfo(path string) (Info, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	if st.Size() > maxSidecar {
		return Info{}, fmt.Errorf("%s: %w: a sidecar of %d bytes", path, ErrBadFile, st.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Info{}, err
	}
	in, err := parseInfo(data)
	if err != nil {
		return in, fmt.Errorf("%s: %w", path, err)
	}
	if filepath.Base(path) != in.ID+infoExt || filepath.Base(filepath.Dir(path)) != in.Day {
		return in, fmt.Errorf("%s: %w: the sidecar is another recording's", path, ErrBadFile)
	}
	return in, nil
}

// Each calls fn with the recordings in dir, from the oldest day to the latest, until fn
// returns an error. Sidecars that can't be read come last, as an error that names them all.
func Each(dir string, fn func(Info) error) error {
	var wrong []error
	for _, day := range days(dir) {
		entries, err := os.ReadDir(filepath.Join(dir, day))
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) != infoExt {
				continue
			}
			in, err := readInfo(filepath.Join(dir, day, e.Name()))
			switch {
			case errors.Is(err, fs.ErrNotExist): // erased meanwhile
			case err != nil:
				wrong = append(wrong, err)
			default:
				if err := fn(in); err != nil {
					return err
				}
			}
		}
	}
	return errors.Join(wrong...)
}

// days are the directories of days, in order.
func days(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if _, err := time.Parse(time.DateOnly, e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// Find returns the recording of that ID.
func Find(dir, id string) (Info, error) {
	if !plainName(id) {
		return Info{}, fmt.Errorf("%s is no id of a recording", id)
	}
	for _, day := range slices.Backward(days(dir)) {
		in, err := readInfo(filepath.Join(dir, day, id+infoExt))
		if !errors.Is(err, fs.ErrNotExist) {
			return in, err
		}
	}
	return Info{}, fmt.Errorf("no recording %s in %s", id, dir)
}
