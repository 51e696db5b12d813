package media

import (
	"io"
	"log/slog"
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

// idleShard is a shard without legs whose goroutine is the test.
func idleShard(t *testing.T, clock func() time.Duration) *shard {
	t.Helper()
	poll, err := newPoller(clock, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := poll.close(); err != nil {
			t.Error(err)
		}
	})
	s := &shard{now: clock, poll: poll, done: make(chan struct{})}
	for i := range s.slots {
		s.slots[i].grid.phase = time.Duration(i) * tick
		s.slots[i].idle = true
	}
	return s
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

// A shard looks twice as often while very many legs have somebody waiting for what they hear.
func TestShardLooksMoreOftenForMany(t *testing.T) {
	e := openEngine(t, nil)
	s := idleShard(t, func() time.Duration { return 0 })
	var legs []*Leg
	for range hurriedLegs + 1 {
		l := newLeg(e, "leg", &pair{port: 4000})
		l.peer.Store(l)
		if err := s.add(l); err != nil {
			t.Fatal(err)
		}
		legs = append(legs, l)
	}
	s.rest()
	if s.every != hurriedTick {
		t.Errorf("it looks each %s with %d legs, want %s", s.every, len(legs), hurriedTick)
	}
	legs[0].peer.Store(nil)
	s.rest()
	if s.every != tick {
		t.Errorf("it looks each %s with one less that is listened to, want %s", s.every, tick)
	}
}
