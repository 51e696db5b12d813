package sip

import (
	"net/netip"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"golang.org/x/time/rate"
)

// guesses slows those who guess passwords: each wrong answer to a challenge costs
// its source, and its source for that user name, a token. Somebody without tokens
// is told to come later, whatever he knows. A challenge is bound to the address
// that it was sent to, so nobody can spend another's tokens with forged packets.
type guesses struct {
	mu  sync.Mutex
	of  map[guesser]*rate.Limiter
	now func() time.Time
}

type guesser struct {
	source netip.Prefix
	user   string // "" for all users together
}

const (
	// A user name is tried ten times at once, then every ten seconds; a source
	// tries fifty times, then once a second: a whole office that mistypes.
	userTries, sourceTries = 10, 50
	userEvery, sourceEvery = 10 * time.Second, time.Second
	// maxGuessers bounds the memory. Beyond it those who have their tokens back
	// are forgotten, then any.
	maxGuessers = 1 << 14
)

func newGuesses() *guesses { return &guesses{of: make(map[guesser]*rate.Limiter), now: time.Now} }

// allowed tells whether the source may try that name now.
func (g *guesses) allowed(source netip.Prefix, user string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for _, k := range []guesser{{source, user}, {source, ""}} {
		if l := g.of[k]; l != nil && l.TokensAt(now) < 1 {
			return false
		}
	}
	return true
}

// wrong takes the tokens of a wrong answer.
func (g *guesses) wrong(source netip.Prefix, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.limiter(guesser{source, user}, userEvery, userTries).AllowN(now, 1)
	g.limiter(guesser{source, ""}, sourceEvery, sourceTries).AllowN(now, 1)
}

// right gives a user his tokens back: he mistyped.
func (g *guesses) right(source netip.Prefix, user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.of, guesser{source, user})
}

func (g *guesses) limiter(k guesser, every time.Duration, tries int) *rate.Limiter {
	if len(k.user) > 128 {
		k.user = k.user[:128]
	}
	if l := g.of[k]; l != nil {
		return l
	}
	if len(g.of) >= maxGuessers {
		g.forget()
	}
	l := rate.NewLimiter(rate.Every(every), tries)
	g.of[k] = l
	return l
}

func (g *guesses) forget() {
	now := g.now()
	for k, l := range g.of {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(g.of, k)
		}
	}
	for k := range g.of { // in no order, and many: it must not be done for each new one
		if len(g.of) < maxGuessers*3/4 {
			return
		}
		delete(g.of, k)
	}
}

// requestSource is whom a request's guesses are counted for.
func requestSource(req *gosip.Request) netip.Prefix {
	return prefixOf(sourceAddr(req).Addr())
}
