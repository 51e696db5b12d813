package sip

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// meter tells which sources send more than their share. It is a sketch of fixed size:
// each source has one cell in each row, shared with whomever the hash puts there, and is
// judged by its lowest. So forged addresses fill nothing: ten thousand of them add a
// little to every cell, and one that sends much fills two of its own.
type meter struct {
	rate  float64 // messages a second; also how many may come at once
	seed  maphash.Seed
	mu    sync.Mutex
	cells [meterRows][meterCells]meterCell
}

const (
	meterRows  = 2
	meterCells = 1 << 12
)

type meterCell struct {
	level float64 // messages that haven't leaked away
	at    time.Time
}

func newMeter(rate float64) *meter { return &meter{rate: rate, seed: maphash.MakeSeed()} }

// over counts a message of a source that came then, and tells whether it is one too many. Such a one
// doesn't count: a source that sends without end gets its share all the same.
func (m *meter) over(source netip.Addr, now time.Time) bool {
	key := source.As16()
	if source.Is6() {
		clear(key[8:]) // a host has 64 bits to itself
	}
	h := maphash.Bytes(m.seed, key[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	least := m.rate
	var at [meterRows]*meterCell
	for i := range at {
		c := &m.cells[i][h>>(32*i)%meterCells]
		if since := now.Sub(c.at); since > 0 { // another listener may have read a later one before
			c.level, c.at = max(0, c.level-since.Seconds()*m.rate), now
		}
		at[i], least = c, min(least, c.level)
	}
	if least > m.rate-1 {
		return true
	}
	for _, c := range at { // only what the source itself is judged by (conservative update)
		c.level = max(c.level, least+1)
	}
	return false
}

// acquaintances are the addresses from which somebody has shown a password lately, and
// those that we send requests to. Nothing else makes an entry, so forged packets make none.
type acquaintances struct {
	mu sync.Mutex
	at map[netip.Addr]time.Time
}

const (
	maxAcquaintances = 1 << 14
	remembered       = 2 * time.Hour
)

func newAcquaintances() *acquaintances { return &acquaintances{at: make(map[netip.Addr]time.Time)} }

func (a *acquaintances) add(source netip.Addr, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.at[source]; !known && len(a.at) >= maxAcquaintances {
		for old := range a.at { // any
			delete(a.at, old)
			break
		}
	}
	a.at[source] = now
}

func (a *acquaintances) has(source netip.Addr, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.at[source]
	return ok && now.Sub(at) < remembered
}

// flood keeps one source from taking what is everybody's.
type flood struct {
	strangers *meter
	friends   *meter // acquaintances
	known     *acquaintances
}

// friendsFactor is how much more than a stranger somebody known may send: many agents
// behind one NAT, a trunk that is known by its password, a gateway that answers.
const friendsFactor = 50

func newFlood(rate int) *flood {
	f := &flood{known: newAcquaintances()}
	if rate > 0 {
		f.strangers, f.friends = newMeter(float64(rate)), newMeter(float64(rate*friendsFactor))
	}
	return f
}

// tooMuch tells whether a datagram is beyond what its source may send. Trunks known by
// their address have limits of their own.
func (s *Stack) tooMuch(from netip.Addr, now time.Time) bool {
	f := s.flood
	if f.strangers == nil || !f.strangers.over(from, now) || s.access.Load().trunkAt(from) != nil {
		return false
	}
	return !f.known.has(from, now) || f.friends.over(from, now)
}

// expect notes whom a request goes to: the answers are no flood.
func (f *flood) expect(destination string) {
	if to, err := netip.ParseAddrPort(destination); err == nil {
		f.known.add(to.Addr().Unmap().WithZone(""), time.Now())
	}
}
