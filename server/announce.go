package server

import (
	"context"
	"strconv"
	"time"

	"hotline/media"
	"hotline/routing"
)

// announcing tells a waiting caller now and then what the place in the line is and
// how long it may take. Its channels never fire when the queue announces nothing.
type announcing struct {
	c     *call
	timer *time.Timer
	rest  []string // prompts to play
	now   *media.Playback
}

// announce begins with the queue that the call waits in.
func (c *call) announce() *announcing {
	a := &announcing{c: c, timer: time.NewTimer(time.Hour)}
	a.begin()
	return a
}

// begin starts anew with the queue that the call waits in now: what was still to be
// told was about the one before.
func (a *announcing) begin() {
	a.rest = nil
	a.arm()
}

func (a *announcing) arm() {
	a.timer.Stop()
	if q, ok := a.c.cfg.Queue(string(a.c.queue)); ok && q.Announce.Every > 0 {
		a.timer.Reset(q.Announce.Every)
	}
}

// stop ends it; what plays goes on.
func (a *announcing) stop() { a.timer.Stop() }

// due fires when it is time to tell.
func (a *announcing) due() <-chan time.Time { return a.timer.C }

// told fires when a prompt has been played.
func (a *announcing) told() <-chan struct{} {
	if a.now == nil {
		return nil
	}
	return a.now.Done()
}

// tell asks routing and plays the first prompt in place of the music. It doesn't cut
// short what it still tells.
func (a *announcing) tell() {
	a.arm()
	if a.now != nil {
		return
	}
	q, _ := a.c.cfg.Queue(string(a.c.queue))
	ctx, cancel := context.WithTimeout(a.c.s.ctx, time.Second)
	defer cancel()
	a.rest = nil
	err := a.c.s.core.view(ctx, func(st *routing.State) {
		ahead, behind, waits := st.Place(a.c.id)
		if waits && q.Announce.Position {
			a.rest = append(a.rest, placePrompts(ahead+1)...)
		}
		v, _ := st.Call(a.c.id)
		e, known := st.Expected(a.c.queue, v.Tier)
		if waits && known && q.Announce.ExpectedWait {
			// The estimate is for one who comes now, behind them all.
			a.rest = append(a.rest, waitPrompt(e.P80*routing.Duration(ahead+1)/routing.Duration(ahead+behind+2)))
		}
	})
	if err != nil || len(a.rest) == 0 {
		return
	}
	a.c.log.Debug("announced", "prompts", a.rest)
	a.next()
}

// next plays the next prompt, or the music again.
func (a *announcing) next() {
	a.now = nil
	if len(a.rest) == 0 {
		a.c.playMusic()
		return
	}
	name := a.rest[0]
	a.rest = a.rest[1:]
	a.now = a.c.play(a.c.cfg.prompts.Get(name, a.c.spoken()), media.PlayOptions{})
}

// spoken is the language of prompts for the caller.
func (c *call) spoken() string {
	if c.language == "" {
		return c.cfg.Directory.DefaultLanguage
	}
	return c.language
}

// farPlace is from where on a place in the line isn't told by its number.
const farPlace = 10

func placePrompts(place int) []string {
	if place >= farPlace {
		return []string{"place-far"}
	}
	return []string{"position", "digit-" + strconv.Itoa(place)}
}

// waitPrompts are how long a wait may take, in minutes, each with a prompt.
var waitPrompts = []int{1, 2, 3, 5, 10, 15, 20, 30}

// waitPrompt says within which time four of five callers are answered, rounded up:
// better a wait that turns out shorter.
func waitPrompt(d routing.Duration) string {
	for _, m := range waitPrompts {
		if d <= routing.Duration(m)*routing.Minute {
			return "wait-" + strconv.Itoa(m)
		}
	}
	return "wait-long"
}
