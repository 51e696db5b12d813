package media

import (
	"testing"
	"time"
)

// everyOf is how often the leg's shard looks.
func everyOf(l *Leg) time.Duration {
	s := l.pair.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.every
}

// paced waits until the leg's shard looks so often; packets that come are the signal to look again.
func paced(t *testing.T, l *Leg, p *phone, want time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(patience); everyOf(l) != want; p.hear() {
		if time.Now().After(deadline) {
			t.Fatalf("the shard looks each %s, want %s", everyOf(l), want)
		}
	}
}

// A shard looks seldom while its legs only play, at each tick as soon as somebody listens to what they hear,
// and not at all without legs.
func TestShardLooksAsOftenAsNeeded(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	a := p.call(e)
	paced(t, a, p, idleTick)
	if err := a.Echo(true); err != nil {
		t.Fatal(err)
	}
	paced(t, a, p, tick)
	if err := a.Echo(false); err != nil {
		t.Fatal(err)
	}
	paced(t, a, p, idleTick)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := everyOf(a); got != 0 {
		t.Errorf("a shard without legs looks each %s", got)
	}
}
