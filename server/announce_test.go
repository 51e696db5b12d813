package server

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hotline/config"
	"hotline/ivr"
	"hotline/media"
	"hotline/routing"
	"hotline/softphone"
)

// Two wait for the one agent, who talks. Routing is told what they have to expect by
// the server's own look ahead, and each hears the place in the line and the time, in
// the language of the directory, then goes on hearing music until the agent is free.
func TestThoseWhoWaitAreToldHowTheyStand(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Queues[0].Announce = config.Announce{Every: 300 * time.Millisecond, Position: true, ExpectedWait: true}
		c.Routing.EstimateEvery = 200 * time.Millisecond
	})
	_, rings := h.desk("alice")
	first := h.call()
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	second := h.call()
	h.when("an estimate", func(s *routing.State) bool {
		e, ok := s.Expected("sales", routing.TierC)
		return ok && e.P80 > 0
	})
	third := h.call()
	h.await("the second caller's place", h.log.next("prompts=\"[position digit-1 wait-"))
	h.await("the third caller's place", h.log.next("prompts=\"[position digit-2 wait-"))
	agent.Hangup()
	h.await("the end of the first call", first.Done())
	h.pickUp(rings)
	h.await("the third caller has moved up", h.log.next("prompts=\"[position digit-1 "))
	second.Hangup()
	third.Hangup()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	told := 0
	for _, r := range h.finish() {
		if e, ok := r["expected_s"].(map[string]any); ok && e["p80"].(float64) >= e["p50"].(float64) {
			told++
		}
	}
	if told == 0 {
		t.Error("no record says what the caller had to expect")
	}
}

// What is left to be told of a queue isn't told after the caller has moved on.
func TestNothingIsToldOfTheQueueBefore(t *testing.T) {
	set, err := newSettings(parse(t, t.TempDir(), func(c *config.Config) { c.Queues[0].Announce.Every = time.Minute }))
	if err != nil {
		t.Fatal(err)
	}
	c := &call{cfg: set, queue: "sales"}
	a := c.announce()
	defer a.stop()
	a.rest = placePrompts(3)
	c.queue = "help"
	a.begin()
	if len(a.rest) > 0 {
		t.Errorf("%v is told", a.rest)
	}
}

func TestWaitPrompts(t *testing.T) {
	for d, want := range map[routing.Duration]string{
		0: "wait-1", routing.Minute: "wait-1", routing.Minute + 1: "wait-2", 4 * routing.Minute: "wait-5",
		16 * routing.Minute: "wait-20", 31 * routing.Minute: "wait-long",
	} {
		if got := waitPrompt(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for place, want := range map[int]string{1: "position digit-1", 9: "position digit-9", 10: "place-far", 200: "place-far"} {
		if got := strings.Join(placePrompts(place), " "); got != want {
			t.Errorf("%d: %s, want %s", place, got, want)
		}
	}
	set, err := newSettings(parse(t, t.TempDir(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range waitPrompts {
		if name := waitPrompt(routing.Duration(m) * routing.Minute); !set.prompts.Has(name) {
			t.Errorf("there is no prompt %s", name)
		}
	}
	for _, name := range []string{"wait-long", "place-far", "position", "digit-1", "digit-9"} {
		if !set.prompts.Has(name) {
			t.Errorf("there is no prompt %s", name)
		}
	}
}

// hears closes its channel when the caller has heard clips in this order, whatever
// sounds between them.
func hears(c *softphone.Call, clips ...*media.Clip) <-chan struct{} {
	var want [][]int16
	for _, clip := range clips {
		want = slices.AppendSeq(want, slices.Chunk(clip.PCM(), 160))
	}
	done := make(chan struct{})
	c.Media.OnAudio(func(pcm []int16) {
		if len(want) > 0 && slices.Equal(want[0], pcm) {
			if want = want[1:]; len(want) == 0 {
				close(done)
			}
		}
	})
	return done
}

// An announcement that is longer than the time until the next one is told to its end,
// also when a phone that rings meanwhile is declined, and then there is music.
func TestAnnouncementsAreToldToTheirEnd(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Queues[0].Announce = config.Announce{Every: 1500 * time.Millisecond, Position: true}
		c.Directory.DefaultLanguage = "en"
		c.Routing.BusyDelay = time.Hour
	})
	_, rings := h.desk("alice")
	h.call()
	agent := h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	begins := h.log.next("announced")
	prompts := h.settings.Load().prompts
	clip := func(name string) *media.Clip { return prompts.Get(name, "en") }
	music := media.NewClip(clip(ivr.HoldMusic).PCM()[:1600])
	told := hears(h.call(), clip("position"), clip("digit-1"), music)
	h.await("an announcement", begins)
	again := h.log.next("announced")
	agent.Hangup()
	h.ring(rings).Refuse(486)
	h.await("the announcement and music after it", told)
	if isDone(again) {
		t.Error("the caller was told twice")
	}
}

// A caller who isn't known hears in both languages why the queue doesn't take the call,
// and then is hung up; the record says why.
func TestStrangersAreTurnedAwayInBothLanguages(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Queues[0].JoinEmpty = false
		c.Queues[0].WhenEmpty.HangUp = "all-busy"
	})
	prompts := h.settings.Load().prompts
	c := h.call()
	var mu sync.Mutex
	heard := map[[160]int16]bool{}
	c.Media.OnAudio(func(pcm []int16) {
		mu.Lock()
		defer mu.Unlock()
		heard[[160]int16(pcm)] = true
	})
	h.await("the end of the call", c.Done())
	mu.Lock()
	for _, language := range []string{"zh", "en"} {
		frames, n := 0, 0
		for f := range slices.Chunk(prompts.Get("all-busy", language).PCM(), 160) {
			if len(f) == 160 {
				if frames++; heard[[160]int16(f)] {
					n++
				}
			}
		}
		if n < frames/2 { // the begin may be over before the caller listens
			t.Errorf("the caller has heard %d of %d frames in %s", n, frames, language)
		}
	}
	mu.Unlock()
	h.when("closed", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	rec := h.one()
	media, _ := rec["caller_media"].(map[string]any)
	if sent, _ := media["sent"].(float64); rec["outcome"] != "shed" || rec["cause"] != "nobody_there" || sent < 200 {
		t.Errorf("record %v", rec)
	}
}

// Estimates that differ by chance aren't told again.
func TestAlike(t *testing.T) {
	of := func(p50, p80 routing.Duration) routing.TierEstimate {
		return routing.TierEstimate{Tier: routing.TierC, P50: p50 * routing.Second, P80: p80 * routing.Second}
	}
	for _, tc := range []struct {
		a, b routing.TierEstimate
		want bool
	}{
		{of(0, 0), of(2, 2), true}, {of(0, 0), of(0, 3), false}, {of(100, 200), of(108, 190), true}, {of(100, 200), of(85, 200), false},
	} {
		if got := alike(tc.a, tc.b); got != tc.want {
			t.Errorf("%v and %v: %t", tc.a, tc.b, got)
		}
	}
}

// A caller who is sent back into another queue is told how that one stands.
func TestAnnouncementsBeginAfterATransfer(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Queues[0].WrapUp = time.Hour
		c.Queues = append(c.Queues, config.Queue{Name: "help", JoinEmpty: true, RingGroup: 1,
			Announce: config.Announce{Every: 100 * time.Millisecond, Position: true}})
	})
	_, rings := h.desk("alice")
	h.call()
	h.pickUp(rings)
	h.seatIs("alice", routing.SeatTalking)
	told := h.log.next("prompts=\"[position digit-1]\"")
	if code, body := h.get("POST", "/api/seats/alice/transfer?queue=help", ""); code != 200 {
		t.Fatalf("transfer: %d %v", code, body)
	}
	h.await("the caller's place in the next queue", told)
}
