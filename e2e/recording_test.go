package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
)

// recordingProgram is a program that records each talk, encrypted.
func recordingProgram(t *testing.T) (p *program, key string) {
	t.Helper()
	p = newProgram(t, "carol")
	key = filepath.Join(p.dir, "recordings.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("a1", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.write(p.config("carol") + fmt.Sprintf("recording: {dir: %q, rules: [{percent: 100}], key_file: %q, min_free: 0KiB}\n", p.dir+"/recordings", key))
	return p, key
}

// kill -9 in the middle of a recorded talk: at the next start the recording is whole up to
// about the last two seconds, in the call's record, and can be read with its key alone.
func TestKilledWhileRecording(t *testing.T) {
	p, key := recordingProgram(t)
	p.start()
	carol, phone := p.seat("carol"), openPhone(t, p.uri())
	caller, agent := p.talk(phone, carol, "13900000001")
	caller.Media.Play(media.Tone(500, 10*time.Second, 0.25), media.PlayOptions{Loop: true})
	agent.Media.Play(media.Tone(1200, 10*time.Second, 0.25), media.PlayOptions{Loop: true})
	select {
	case <-listenFor(caller, 6*time.Second):
	case <-time.After(patience):
		t.Fatal("nothing is heard")
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	_ = phone.Close()
	parts, _ := filepath.Glob(filepath.Join(p.dir, "recordings", "*", "*.part"))
	if len(parts) != 1 {
		t.Fatalf("left behind: %v", parts)
	}
	p.start()
	id := p.log.await(t, "recording of a process that was killed repaired")["recording"]
	p.log.await(t, "call closed", "outcome", "cut")

	wav := filepath.Join(t.TempDir(), "talk.wav")
	if out, errs, code := runProgram(t, "recordings", "decrypt", id, "--dir", p.dir+"/recordings", "--key", key, "--out", wav); code != 0 {
		t.Fatalf("decrypt: %s%s", out, errs)
	}
	left, right := stereo(t, wav)
	if len(left) < 3*8000 {
		t.Errorf("%d samples of six seconds", len(left))
	}
	for i := 8000; i+8000 <= len(left); i += 8000 {
		for name, c := range map[string]struct {
			pcm  []int16
			freq float64
		}{"caller": {left, 500}, "agent": {right, 1200}} {
			if off := 20 * math.Log10(media.Goertzel(c.pcm[i:i+8000], c.freq, 8000)/0.25); math.Abs(off) > 1 {
				t.Errorf("the %s is %.2f dB off in second %d", name, off, i/8000)
			}
		}
	}
	if out, _, code := runProgram(t, "recordings", "verify", "--dir", p.dir+"/recordings", "--key", key); code != 0 {
		t.Errorf("verify: %s", out)
	}
	checkErased(t, p, id, key)
	agent.Hangup()
	for _, r := range p.stop() {
		list, _ := r["recordings"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["id"] != id || list[0].(map[string]any)["ended"] != "interrupted" {
			t.Errorf("the record has %v", r["recordings"])
		}
	}
}

// checkErased lists the recording of the caller, refuses another key, and erases it.
func checkErased(t *testing.T, p *program, id, key string) {
	t.Helper()
	other := filepath.Join(t.TempDir(), "other.key")
	if err := os.WriteFile(other, []byte(strings.Repeat("b2", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := runProgram(t, "recordings", "decrypt", id, "--dir", p.dir+"/recordings", "--key", other, "-o", other+".wav"); code == 0 || !strings.Contains(errs, "another key") {
		t.Errorf("with another key: %d, %s", code, errs)
	}
	list := func() string {
		out, errs, code := runProgram(t, "recordings", "list", "--config", p.file, "--number", "+8613900000001")
		if code != 0 {
			t.Fatalf("list: %s", errs)
		}
		return out
	}
	if out, _, code := runProgram(t, "recordings", "show", id, "--config", p.file); code != 0 || !strings.Contains(out, `"number": "+8613900000001"`) {
		t.Errorf("shown: %s", out)
	}
	if out := list(); !strings.Contains(out, id) || !strings.Contains(out, "interrupted") {
		t.Errorf("listed:\n%s", out)
	}
	if out, errs, code := runProgram(t, "recordings", "erase", "+8613900000001", "--config", p.file); code != 0 || !strings.Contains(out, "1 erased") {
		t.Errorf("erase: %s%s", out, errs)
	}
	if out := list(); strings.Contains(out, id) {
		t.Errorf("still listed:\n%s", out)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "recordings", "*", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// stereo reads the two channels of an A-law file as recordings have it.
func stereo(t *testing.T, path string) (left, right []int16) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 58; i+1 < len(data); i += 2 {
		left, right = append(left, media.DecodeALaw(data[i])), append(right, media.DecodeALaw(data[i+1]))
	}
	return left, right
}

// An agent at a baresip that speaks µ-law, a caller with A-law: each is on its side of the recording.
func TestRecordsACallToBaresip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Recording.Dir, c.Recording.MinFree = dir, 0
		c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "talk"}}
	})
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String(), codec: "pcmu"})
	h.log.await(t, "seat registered", "seat", "carol")
	swapTones(t, h.dial(h.phone(media.PCMA), "1", "13900000001"), carol)
	h.log.await(t, "recording ended")
	h.finish()
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.wav"))
	if len(files) != 1 {
		t.Fatalf("recordings: %v", files)
	}
	left, right := stereo(t, files[0])
	if d := hears(left, callerTone); d < time.Second {
		t.Errorf("the caller's channel has the tone for %v on end, want 1 s at least", d)
	}
	if d := hears(right, agentTone); d < 900*time.Millisecond {
		t.Errorf("the agent's channel has the tone for %v on end, want 0.9 s at least", d)
	}
	if a, b := hears(left, agentTone), hears(right, callerTone); a > 0 || b > 0 {
		t.Errorf("they come through to the other channel: %v, %v", a, b)
	}
}
