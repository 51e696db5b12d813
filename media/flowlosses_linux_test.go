package media

import (
	"testing"
)

// Losses cluster in the kernel as they do here: the same packets give the same burst ratio, score and densities.
func TestLossesThroughKernelCluster(t *testing.T) {
	c := newTalk(t, nil)
	first := c.phones[0].seq
	var before []int // words said before each five that get lost
	said := 0
	say := func() { c.speak(); said++ }
	for _, words := range []int{30, 3, 40, 60} {
		await(t, "the kernel forwards", func() bool {
			say()
			f := c.legs[0].flow.Load()
			return f != nil && !f.over()
		})
		for range words {
			say()
		}
		if words == 40 {
			c.legs[0].Stats() // the figures are looked at meanwhile
		}
		before, said = append(before, said), 0
		c.phones[0].seq += 5
		c.phones[0].ts += 5 * wordSize
		c.last = nil
	}
	say()
	got := c.legs[0].Stats()
	if !got.InKernel || got.Forwarded < 100 || got.Lost != 20 {
		t.Fatalf("stats %+v", got)
	}

	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	p.seq = first
	words := func(n int) {
		for range n {
			p.speak(l, make([]byte, wordSize))
		}
	}
	for _, n := range before {
		words(n)
		p.seq += 5
	}
	words(1)
	await(t, "all has come", func() bool { return l.Stats().PacketsReceived == got.PacketsReceived })
	want := l.Stats()
	score := func(s LegStats) float64 {
		return rate(PCMA, float64(s.Lost)/float64(s.Lost+int64(s.PacketsReceived)), s.Burst, 0, 0) // whatever the jitter was
	}
	if got.Burst != want.Burst || want.Burst < 4 || got.Lost != want.Lost || score(got) != score(want) {
		t.Errorf("the kernel: burst ratio %v, %d lost, MOS %v; here %v, %d, %v", got.Burst, got.Lost, score(got), want.Burst, want.Lost, score(want))
	}
	counted := func(l *Leg) bursts {
		l.mu.Lock() // reports bring the figures up to date
		defer l.mu.Unlock()
		return l.rx.quality.bursts
	}
	if a, b := counted(c.legs[0]), counted(l); a != b || a.Bursts+1 != 3 {
		t.Errorf("the kernel counted %+v, we %+v", a, b)
	}
}
