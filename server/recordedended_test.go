package server

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
)

// Stopping what isn't recorded is refused, and changes nothing: the talk is recorded when it begins.
func TestStopsNothing(t *testing.T) {
	h := start(t, recordAll)
	caller := h.call()
	h.when("the caller waits", waiting1)
	id := h.list("/api/calls")[0]["id"].(string)
	if code, body := h.get("POST", "/api/calls/"+id+"/recording?action=stop", ""); code != 409 {
		t.Fatalf("%d %v", code, body)
	}
	_, rings := h.phoneOf("alice")
	h.pickUp(rings)
	h.listensToRecording()
	caller.Hangup()
	h.kept(1)
}

// Whose recording has ended by itself hears the tone no more, and has nothing to stop.
func TestNoToneWithoutARecording(t *testing.T) {
	h := start(t, func(c *config.Config) {
		recordAll(c)
		c.Recording.BeepEvery = 100 * time.Millisecond
	})
	dir := h.settings.Load().Recording.Dir
	if err := os.WriteFile(filepath.Join(dir, time.Now().Format(time.DateOnly)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, rings := h.desk("alice")
	caller, agent := h.talking("alice", rings)
	tone(agent, 500)
	h.until("the recording has failed", func() bool {
		return bytes.Contains(scraped(h), []byte(`hotline_recordings_dropped_total{reason="disk_error"} 1`))
	})
	packets, tones, done := 0, 0, make(chan struct{})
	caller.Media.OnAudio(func(pcm []int16) {
		if packets++; packets > 25 && media.Goertzel(pcm, 1400, 8000) > 0.05 { // one may still sound
			tones++
		}
		if packets == 60 {
			close(done)
		}
	})
	h.await("60 packets", done)
	caller.Media.OnAudio(nil)
	if tones > 0 {
		t.Errorf("the tone is heard in %d packets", tones)
	}
	id := h.list("/api/calls")[0]["id"].(string)
	for action, want := range map[string]int{"stop": 409, "pause": 200} { // a pause is for what may begin yet
		if code, body := h.get("POST", "/api/calls/"+id+"/recording?action="+action, ""); code != want {
			t.Errorf("%s: %d %v", action, code, body)
		}
	}
}
