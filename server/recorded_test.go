package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/recording"
	"hotline/routing"
	"hotline/softphone"
)

// recordAll is a rule for every call.
func recordAll(c *config.Config) {
	c.Recording.Rules = []config.RecordingRule{{Percent: 100, From: "talk"}}
}

// tone lets a phone send a sine for ever.
func tone(c *softphone.Call, freq float64) {
	c.Media.Play(media.Tone(freq, 10*time.Second, 0.25), media.PlayOptions{Loop: true})
}

// listens waits until a phone has heard freq for a while.
func (h *hotline) listens(c *softphone.Call, freq float64, frames int) {
	h.t.Helper()
	done, n := make(chan struct{}), 0
	c.Media.OnAudio(func(pcm []int16) {
		if n < frames && media.Goertzel(pcm, freq, 8000) > 0.2 {
			if n++; n == frames {
				close(done)
			}
		}
	})
	h.await(fmt.Sprintf("%.0f Hz is heard", freq), done)
	c.Media.OnAudio(nil)
}

// kept are the recordings on the disk, once they are whole.
func (h *hotline) kept(want int) (all []recording.Info) {
	h.t.Helper()
	dir := h.settings.Load().Recording.Dir
	limit := time.After(patience)
	for {
		all = nil
		err := recording.Each(dir, func(in recording.Info) error {
			if _, err := os.Stat(in.Path(dir)); in.Ended != "" && err == nil {
				all = append(all, in)
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(all) == want {
			return all
		}
		select {
		case <-limit:
			h.t.Fatalf("%d recordings, want %d: %+v", len(all), want, all)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// sides reads a recording's two channels, A-law.
func (h *hotline) sides(in recording.Info, keys ...*recording.Key) (left, right []int16) {
	h.t.Helper()
	r, c, err := recording.OpenSound(in.Path(h.settings.Load().Recording.Dir), keys...)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_, data, ok := bytes.Cut(data, []byte("data"))
	if !ok {
		h.t.Fatal("no data chunk")
	}
	if size := binary.LittleEndian.Uint32(data); size != math.MaxUint32 && int(size) != len(data)-4 {
		h.t.Errorf("%d bytes of sound, the header says %d", len(data)-4, size)
	}
	for i := 4; i+1 < len(data); i += 2 {
		left, right = append(left, media.DecodeALaw(data[i])), append(right, media.DecodeALaw(data[i+1]))
	}
	return left, right
}

// steady wants a sine of a quarter of full scale without a gap, and nothing of another. Phones are
// in real time: where the machine was late, a frame that they left out or moved is a gap or a click
// in a few parts of 50 ms: one of three at most. recording.TestTonesOnTheirChannels allows none.
func (h *hotline) steady(what string, pcm []int16, freq, other float64) {
	h.t.Helper()
	late := 0
	for i := 0; i+400 <= len(pcm); i += 400 {
		off := 20 * math.Log10(media.Goertzel(pcm[i:i+400], freq, 8000)/0.25)
		cross := media.Goertzel(pcm[i:i+400], other, 8000)
		if math.Abs(off) <= 0.5 && cross <= 0.002 {
			continue
		}
		if late++; late > len(pcm)/400/3 || cross > 0.05 {
			h.t.Fatalf("%s: %.0f Hz is %.2f dB off, and %.0f Hz at %.4f, at %d of %d", what, freq, off, other, cross, i, len(pcm))
		}
	}
}

// from cuts what comes before freq is there.
func from(pcm []int16, freq float64) []int16 {
	for i := 0; i+400 <= len(pcm); i += 80 {
		if media.Goertzel(pcm[i:i+400], freq, 8000) > 0.24 {
			return pcm[i:]
		}
	}
	return nil
}

// Both sides of a real call, measured: each on its channel, at its level, without a gap and
// of the right length.
func TestRecordsATalk(t *testing.T) {
	h := start(t, recordAll)
	caller, _ := h.toneTalk()
	caller.Hangup()
	in := h.kept(1)[0]
	left, right := h.sides(in)
	l, r := from(left, 500), from(right, 1200)
	if len(l) < 7200 || len(r) < 7200 {
		t.Fatalf("%d and %d samples of tones, of %d", len(l), len(r), len(left))
	}
	h.steady("the caller's channel", l[:len(l)-400], 500, 1200)
	h.steady("the agent's channel", r[:len(r)-400], 1200, 500)
	if in.Number != "+8613800000001" || in.Queue != "sales" || in.Agent != "alice" || in.Tier != "C" || in.Leg != "caller" {
		t.Errorf("%+v", in)
	}
	rec := h.one()
	list, _ := rec["recordings"].([]any)
	if len(list) != 1 {
		t.Fatalf("recordings %v", rec["recordings"])
	}
	got := list[0].(map[string]any)
	if got["id"] != in.ID || got["ended"] != recording.EndedCall || got["agent"] != "alice" {
		t.Errorf("%v", got)
	}
	if took, talk := got["length_s"].(float64), rec["talk_s"].(float64); math.Abs(took-in.Seconds) > 0.02 || math.Abs(took-talk) > 0.1 {
		t.Errorf("%v s in the record, %v s on the disk, a talk of %v s", took, in.Seconds, talk)
	}
}

func TestRules(t *testing.T) {
	cfg := config.Recording{Rules: []config.RecordingRule{
		{Queues: []string{"vip"}, Tiers: []routing.Tier{routing.TierA1}, Percent: 100, From: "talk"},
		{Tiers: []routing.Tier{routing.TierC}, Percent: 30, From: "talk"},
		{Tiers: []routing.Tier{routing.TierB1}, Percent: 100, From: "call"},
	}}
	for _, c := range []struct {
		queue string
		tier  routing.Tier
		lot   int
		want  bool
	}{
		{"vip", routing.TierA1, 99, true}, {"sales", routing.TierA1, 0, false}, {"", routing.TierA1, 0, false},
		{"sales", routing.TierC, 29, true}, {"sales", routing.TierC, 30, false}, {"", routing.TierC, 0, false},
		{"", routing.TierB1, 99, true}, {"sales", routing.TierB1, 99, true}, {"sales", routing.TierB2, 0, false},
	} {
		if _, ok := cfg.Rule(c.queue, c.tier, c.lot); ok != c.want {
			t.Errorf("%+v: %v", c, ok)
		}
	}
	n := 0
	for i := range 10000 {
		if lot(routing.CallID(fmt.Sprint("n-1-", i))) < 30 {
			n++
		}
	}
	if n < 2800 || n > 3200 {
		t.Errorf("%d of 10000 drawn for 30 per cent", n)
	}
}

func TestRecordsNobodyElse(t *testing.T) {
	h := start(t, func(c *config.Config) {
		recordAll(c)
		c.Recording.Rules[0].Tiers = []routing.Tier{routing.TierA1}
	})
	_, rings := h.desk("alice")
	caller, _ := h.talking("alice", rings)
	caller.Hangup()
	h.kept(0)
	if r := h.one(); r["recordings"] != nil {
		t.Errorf("%v", r["recordings"])
	}
}

// heardTone waits until each of them has heard the tone that tells of a recording.
func (h *hotline) heardTone(calls ...*softphone.Call) {
	h.t.Helper()
	for _, c := range calls {
		done, n := make(chan struct{}), 0
		c.Media.OnAudio(func(pcm []int16) {
			if media.Goertzel(pcm, 1400, 8000) > 0.08 {
				if n++; n == 15 { // two tones at least
					close(done)
				}
			}
		})
		h.await("the tone", done)
		c.Media.OnAudio(nil)
	}
}

// until polls what has no signal.
func (h *hotline) until(what string, ok func() bool) {
	h.t.Helper()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-limit:
			h.t.Fatalf("not within %v: %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A call that is transferred goes on in its recording, or has one for each talk, or one of
// each agent's leg beside it.
func TestRecordsATransferredCall(t *testing.T) {
	for _, c := range []struct {
		per  string
		want []string
	}{
		{"call", []string{"caller alice call_ended"}},
		{"talk", []string{"caller alice talk_ended", "caller bob talk_ended"}},
		{"leg", []string{"agent alice talk_ended", "agent bob talk_ended", "caller alice call_ended"}},
	} {
		t.Run(c.per, func(t *testing.T) {
			h := start(t, func(cfg *config.Config) {
				recordAll(cfg)
				cfg.Recording.Per = c.per
			})
			_, alice := h.desk("alice")
			caller, agent := h.talking("alice", alice)
			_, bob := h.desk("bob")
			tone(caller, 500)
			h.listens(agent, 500, 10)
			if code, body := h.get("POST", "/api/seats/alice/transfer?queue=sales", ""); code != 200 {
				t.Fatalf("%d %v", code, body)
			}
			second := h.pickUp(bob)
			h.listens(second, 500, 10)
			caller.Hangup()
			h.kept(len(c.want))
			rec := h.one()
			got := map[string]bool{}
			for _, r := range rec["recordings"].([]any) {
				m := r.(map[string]any)
				got[fmt.Sprint(m["leg"], " ", m["agent"], " ", m["ended"])] = true
			}
			for _, w := range c.want {
				if !got[w] || len(got) != len(c.want) {
					t.Fatalf("%v, want %v", got, c.want)
				}
			}
		})
	}
}

// From the beginning of the call: the announcement itself is there.
func TestRecordsFromTheBeginning(t *testing.T) {
	h := start(t, func(c *config.Config) {
		recordAll(c)
		c.Recording.Rules[0].From = "call"
		c.Recording.Announce = "goodbye" // a short one, in two languages
	})
	c := h.call()
	h.when("the call waits", func(s *routing.State) bool { return len(s.Queues()[0].Waiting) > 0 && waiting1(s) })
	c.Hangup()
	in := h.kept(1)[0]
	_, right := h.sides(in)
	loud := 0
	for _, v := range right[:min(len(right), 16000)] {
		if v > 2000 {
			loud++
		}
	}
	if in.Seconds < 1 || loud < 500 || in.Agent != "" {
		t.Errorf("%d loud samples in %+v", loud, in)
	}
}

// A caller who was sent on to a queue that is recorded hears so when the talk begins, and the
// agent with him; who was told before isn't told again.
func TestTellsWhoCameAnotherWay(t *testing.T) {
	h := start(t, func(c *config.Config) {
		recordAll(c)
		c.Queues = append(c.Queues, config.Queue{Name: "support", JoinEmpty: true})
		c.Agents[1].Queues = []string{"support"}
		c.Recording.Rules[0].Queues = []string{"support"}
		c.Recording.Announce = "recorded"
	})
	_, alice := h.desk("alice")
	_, bob := h.desk("bob")
	h.talking("alice", alice)
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=support", ""); code != 200 {
		t.Fatalf("%d %v", code, body)
	}
	agent := h.pickUp(bob)
	loud := make(chan struct{})
	n := 0
	agent.Media.OnAudio(func(pcm []int16) { // nobody speaks: it is the prompt
		for _, v := range pcm {
			if v > 4000 {
				if n++; n == 200 {
					close(loud)
				}
			}
		}
	})
	h.await("the announcement at the agent", loud)
	agent.Media.OnAudio(nil)
	agent.Hangup()
	in := h.kept(1)[0]
	if in.Agent != "bob" || in.Queue != "support" {
		t.Errorf("%+v", in)
	}
}

func waiting1(s *routing.State) bool {
	n := 0
	for _, w := range s.Queues()[0].Waiting {
		n += w.Count
	}
	return n == 1
}

// Who is recorded hears it: caller and agent, every now and then.
func TestBeeps(t *testing.T) {
	h := start(t, func(c *config.Config) {
		recordAll(c)
		c.Recording.BeepEvery = 300 * time.Millisecond
	})
	_, rings := h.desk("alice")
	caller, agent := h.talking("alice", rings)
	h.heardTone(caller, agent)
	caller.Hangup()
	h.kept(1)
}

// A disk that can't be written costs the recording, not the call.
func TestCallGoesOnWithoutItsRecording(t *testing.T) {
	h := start(t, recordAll)
	dir := h.settings.Load().Recording.Dir
	if err := os.WriteFile(filepath.Join(dir, time.Now().Format(time.DateOnly)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	caller, _ := h.toneTalk()
	h.until("it is counted", func() bool {
		return bytes.Contains(scraped(h), []byte(`hotline_recordings_dropped_total{reason="disk_error"} 1`))
	})
	caller.Hangup()
	h.when("the call is over", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	rec := h.one()
	if got := rec["recordings"].([]any)[0].(map[string]any); got["ended"] != recording.EndedError || rec["outcome"] != "answered" {
		t.Errorf("%v", rec)
	}
}

// scraped is what Prometheus would get.
func scraped(h *hotline) []byte {
	w := httptest.NewRecorder()
	h.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.Bytes()
}

// toneTalk is a talk with alice in which each hears the other's tone: 500 Hz of the caller, 1200 of the agent.
func (h *hotline) toneTalk() (caller, agent *softphone.Call) {
	h.t.Helper()
	_, rings := h.desk("alice")
	caller, agent = h.talking("alice", rings)
	tone(caller, 500)
	tone(agent, 1200)
	h.listens(caller, 1200, 50)
	h.listens(agent, 500, 50)
	return caller, agent
}
