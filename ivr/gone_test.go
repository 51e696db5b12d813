package ivr

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func (l *fakeLine) gone() (hungUp, silent <-chan struct{}) { return l.hungUp, l.silent }

// Whoever is gone ends the flow at once, whatever it does: hung up or silent, during a prompt, while a key is waited for,
// in the echo.
func TestGoneEndsTheFlow(t *testing.T) {
	for name, tt := range map[string]struct {
		step string
		at   time.Duration
		want string // the last that was noted
	}{
		"prompt": {`s: {play: {prompts: [a, a, a], next: q}}`, 1500 * ms, "1.5s stop"},
		"key":    {`s: {menu: {prompts: [a], keys: {"1": q}, wait: 5s, too_many: q}}`, 3 * time.Second, "0s say"},
		"echo":   {`s: {echo: {for: 30s, next: q}}`, 5 * time.Second, "5s no echo"},
	} {
		for _, silent := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				f := mustParse(t, inFlow(tt.step, `q: {queue: operator}`))["main"]
				synctest.Test(t, func(t *testing.T) {
					l, gone := newFakeLine(testPrompts()), make(chan struct{})
					if l.hungUp = gone; silent {
						l.hungUp, l.silent = nil, gone
					}
					time.AfterFunc(tt.at, func() { close(gone) })
					res, err := run(t.Context(), f, l, testPrompts(), Facts{Language: "zh"})
					if !errors.Is(err, errGone) || res.End != EndGone || time.Since(l.start) != tt.at {
						t.Errorf("%s, %v after %v", res.End, err, time.Since(l.start))
					}
					if got := l.log[len(l.log)-1]; got != tt.want {
						t.Errorf("at last %q, want %q", got, tt.want)
					}
				})
			})
		}
	}
}
