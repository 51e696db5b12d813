package ivr

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hotline/media"
)

// patience bounds every wait; it passes only when something is broken.
const patience = 20 * time.Second

// connected gives two legs that talk RTP with each other on loopback.
func connected(t *testing.T) (hotline, phone *media.Leg) {
	t.Helper()
	e, err := media.Open(media.Config{Bind: netip.MustParseAddr("127.0.0.1"), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, l := range []**media.Leg{&hotline, &phone} {
		if *l, err = e.NewLeg(t.Name()); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := phone.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := hotline.Answer(offer)
	if err == nil {
		err = phone.SetAnswer(answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return hotline, phone
}

// hears returns a channel that is closed when the phone hears freq.
func hears(phone *media.Leg, freq float64) <-chan struct{} {
	heard := make(chan struct{})
	var once sync.Once
	phone.OnAudio(func(pcm []int16) {
		if len(pcm) == 160 && media.Goertzel(pcm, freq, 8000) > 0.1 {
			once.Do(func() { close(heard) })
		}
	})
	return heard
}

func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// A caller over real RTP: hears each prompt, whose length no test would wait for, and presses
// keys as RFC 4733 events.
func TestOverRTP(t *testing.T) {
	hotline, phone := connected(t)
	prompts := &Prompts{clips: map[string]map[string]*media.Clip{
		"a": {"zh": media.Tone(400, time.Minute, 0.3)},
		"b": {"zh": media.Tone(600, time.Minute, 0.3), "en": media.Tone(800, time.Minute, 0.3)},
	}}
	flow := mustParse(t, inFlow(
		`s: {menu: {prompts: [a], keys: {"2": {language: en, next: n}}, too_many: q}}`,
		`n: {collect: {prompts: [b], digits: 3..8, store: number, next: q, too_many: q}}`,
		`q: {queue: operator}`))["main"]
	type outcome struct {
		Result
		error
	}
	over := make(chan outcome, 1)
	first := hears(phone, 400)
	go func() {
		res, err := Run(t.Context(), flow, hotline, prompts, Facts{})
		over <- outcome{res, err}
	}()
	await(t, "the menu's prompt", first)
	second := hears(phone, 800)
	press(t, phone, "2")
	await(t, "the second prompt in English", second)
	press(t, phone, "407#")
	got := await(t, "the end of the flow", over)
	if got.error != nil || got.Queue != "operator" || got.Language != "en" || got.Collected["number"] != "407" {
		t.Errorf("got %+v", got)
	}
}

func press(t *testing.T, phone *media.Leg, keys string) {
	t.Helper()
	for _, k := range []byte(keys) {
		if err := phone.SendDigit(k, 80*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// The end of the call ends the flow, whichever is seen first: ctx or the closed leg.
func TestTheLegEndsTheFlow(t *testing.T) {
	prompts := &Prompts{clips: map[string]map[string]*media.Clip{"a": {"zh": media.Tone(400, time.Minute, 0.3)}}}
	flow := mustParse(t, inFlow(`s: {menu: {prompts: [a], keys: {"2": q}, too_many: q}}`, `q: {queue: operator}`))["main"]
	for name, end := range map[string]func(*media.Leg, context.CancelFunc) error{
		"ctx":       func(_ *media.Leg, cancel context.CancelFunc) error { cancel(); return context.Canceled },
		"leg close": func(l *media.Leg, _ context.CancelFunc) error { _ = l.Close(); return errLineClosed },
	} {
		t.Run(name, func(t *testing.T) {
			hotline, phone := connected(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sounds := hears(phone, 400)
			over := make(chan error, 1)
			go func() {
				_, err := Run(ctx, flow, hotline, prompts, Facts{})
				over <- err
			}()
			await(t, "the prompt", sounds)
			want := end(hotline, cancel)
			if err := await(t, "the end of the flow", over); !errors.Is(err, want) {
				t.Errorf("ended with %v, want %v", err, want)
			}
		})
	}
}
