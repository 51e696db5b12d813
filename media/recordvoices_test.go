package media_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/media"
	"hotline/recording"
)

func init() { media.RecordVoices = recordVoices }

// recordVoices is for any goroutine, but for its beginning.
func recordVoices(t *testing.T) (tap func(media.Voice), stop func() (left, right []int16)) {
	t.Helper()
	dir := t.TempDir()
	r, err := recording.Open(recording.Options{Dir: dir, Format: recording.Linear, Buffer: 20 * time.Minute}) // virtual minutes pass quickly
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	g, err := r.Start(recording.Info{Call: "c", Leg: "caller"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g.Voice, func() (left, right []int16) {
		g.Stop(recording.EndedCall)
		<-g.Done()
		if why := g.Ended(); why != recording.EndedCall {
			t.Errorf("the recording ended by %s", why)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*", "*.wav"))
		if err != nil || len(files) != 1 {
			t.Errorf("recordings %v, %v", files, err)
			return nil, nil
		}
		raw, err := os.ReadFile(files[0])
		_, data, ok := strings.Cut(string(raw), "data")
		if err != nil || !ok || len(data) < 4 {
			t.Errorf("no sound in the recording: %v", err)
			return nil, nil
		}
		for data = data[4:]; len(data) >= 4; data = data[4:] {
			left = append(left, int16(uint16(data[0])|uint16(data[1])<<8))
			right = append(right, int16(uint16(data[2])|uint16(data[3])<<8))
		}
		return left, right
	}
}
