package media

import (
	"testing"
	"time"
)

// Before its call is answered a leg that hears nothing isn't broken; from the answer on the time counts.
func TestEarlySilenceIsNoFault(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.RTPTimeout = time.Second })
	l := newPhone(t, PCMA).call(e)
	l.Early(true)
	l.alive.heard(e.now() - time.Minute)
	l.beat(e.now())
	if isClosed(l.Timeout()) {
		t.Error("timed out before the answer")
	}
	l.mu.Lock()
	deaf := l.deaf(e.now())
	l.mu.Unlock()
	wait(t, "the end of a clip", l.Play(Tone(440, 300*time.Millisecond, 0.5), PlayOptions{}).Done())
	if s := l.Stats(); s.PacketsSent == 0 || s.SentEarly != s.PacketsSent || deaf {
		t.Errorf("%d packets sent, %d early; deaf: %t", s.PacketsSent, s.SentEarly, deaf)
	}
	l.Early(false)
	now := e.now()
	was := l.Stats().SentEarly
	if heard := time.Duration(l.alive.heardAt.Load()); now-heard > time.Second/2 || was == 0 {
		t.Errorf("heard last %v ago; %d packets sent early", now-heard, was)
	}
	l.beat(now + 2*time.Second)
	if !isClosed(l.Timeout()) {
		t.Error("no time-out after the answer")
	}
	for sent, want := range map[uint64]string{300: "", 349: "", 350: "one_way"} {
		if s := (LegStats{PacketsSent: sent, SentEarly: 100}); s.Fault() != want {
			t.Errorf("%d sent, 100 of them early: fault %q, want %q", sent, s.Fault(), want)
		}
	}
}
