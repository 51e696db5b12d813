package journal

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"hotline/routing"
)

// exportHeader is the first line of an export.
type exportHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Redacted says what numbers of callers and ids of customers were replaced by.
	Redacted string `json:"redacted"`
	// From is the number of the first entry. Unless it is 1, the second line has
	// the state before it.
	From uint64 `json:"from"`
}

type exportState struct {
	State json.RawMessage `json:"state"`
}

const (
	exportFormat  = "hotline-journal-export"
	exportVersion = 1
)

// Export writes the journal in dir as JSON lines for a bug report: a header, the
// state before the first entry (unless that is 1), the entries. from 0 means
// from the oldest that can be replayed. Numbers of callers and ids of customers
// leave only as HMAC-SHA-256 under a key that is drawn for this export and
// forgotten: within it the same caller stays the same. It returns how many
// entries were written. A running server isn't disturbed.
func Export(w io.Writer, dir string, from uint64) (entries int, err error) {
	state, from, err := StateDir(dir, from)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	hide := hideBy(newKey())
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(out)
	if err := lines.Encode(exportHeader{Format: exportFormat, Version: exportVersion, Redacted: "hmac-sha256", From: from}); err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	if from > 1 {
		frozen := state.Freeze()
		frozen.Redact(hide)
		data, err := frozen.Encode()
		if err == nil {
			err = lines.Encode(exportState{data})
		}
		if err != nil {
			return 0, fmt.Errorf("export: %w", err)
		}
	}
	var buf []byte
	err = ReadDirFrom(dir, from, func(e routing.Entry) error {
		e.Event = routing.Redact(e.Event, hide)
		line, err := e.AppendJSON(buf[:0])
		buf = line
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		entries++
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return entries, fmt.Errorf("export: %w", err)
	}
	return entries, nil
}

func newKey() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails, says crypto/rand
	return key
}

// hideBy returns the keyed hash of a value, cut to 128 bits. The kind keeps a
// number apart from a customer id with the same digits.
func hideBy(key []byte) func(kind, value string) string {
	mac := hmac.New(sha256.New, key)
	return func(kind, value string) string {
		mac.Reset()
		_, _ = io.WriteString(mac, kind+":"+value)
		return "hmac:" + hex.EncodeToString(mac.Sum(nil)[:16])
	}
}
