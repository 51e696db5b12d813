package sip

import (
	"sync"
	"time"
)

// spentNonces knows what was used of nonces, so that nothing is used twice. It keeps two generations of them. When the
// older one goes, nonces that were made before its newest and aren't known are stale: their users take a fresh one,
// which always works.
type spentNonces struct {
	ttl time.Duration

	mu         sync.Mutex
	young, old generation
	before     time.Time
}

type generation struct {
	count  map[string]int // the highest nc seen; -1: used without qop, so never again
	newest time.Time      // when the newest of them was made
	begun  time.Time
}

// nonceGeneration bounds the nonces of one.
const nonceGeneration = 1 << 15

// spend notes one use of a nonce that was made then. count is its nc parameter, 0 when the client sent none.
func (s *spentNonces) spend(nonce string, count int, made, now time.Time) verdict {
	if count == 0 {
		count = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.young.count[nonce]
	if !known {
		last, known = s.old.count[nonce]
	}
	switch {
	case known && (last < 0 || count <= last):
		return authReplayed
	case !known && !made.After(s.before):
		return authStale
	}
	if len(s.young.count) >= nonceGeneration || now.Sub(s.young.begun) > s.ttl {
		if s.old.newest.After(s.before) {
			s.before = s.old.newest
		}
		s.old, s.young = s.young, generation{count: make(map[string]int), begun: now}
	}
	delete(s.old.count, nonce)
	s.young.count[nonce] = count
	if made.After(s.young.newest) {
		s.young.newest = made
	}
	return authRight
}
