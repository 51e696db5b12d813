package sip

import (
	"testing"
	"time"
)

// one offers one piece of work.
func (m *machine) one(who standing) bool {
	m.offered[who]++
	m.probe()
	if !m.a.decide(who, m.now, m.now) {
		return false
	}
	m.admitted[who]++
	m.backlog += m.cost
	return true
}

// idle lets time pass without new work.
func (m *machine) idle(d time.Duration) {
	end := m.now.Add(d)
	if !m.back.IsZero() && !m.back.After(end) {
		m.a.came(m.back.Sub(m.sent), m.back)
		m.a.probing.Store(0)
		m.back = time.Time{}
	}
	m.now, m.backlog = end, max(0, m.backlog-d)
}

// What came before a quiet time says nothing of what the machine manages in the storm after it.
func TestAdmissionInAStormAfterQuiet(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 10 * time.Minute} {
		m := newMachine(time.Millisecond)
		for range 30 {
			m.one(familiar)
			m.idle(gap)
		}
		m.reset()
		m.run(4*time.Second, map[standing]float64{familiar: 2000})
		if got := float64(m.admitted[familiar]) / 4000; got < 0.85 {
			t.Errorf("goodput %.2f in the four seconds after a call each %v, want 0.85", got, gap)
		}
		if m.worst > 300*time.Millisecond {
			t.Errorf("work waited %v", m.worst)
		}
	}
}

// Bursts that the machine is done with at once are no reason for a limit that an overload before them left.
func TestAdmissionOfBurstsAfterAnOverload(t *testing.T) {
	for _, n := range []int{2, 20, 50, 100} {
		m := newMachine(time.Millisecond)
		m.run(5*time.Second, map[standing]float64{familiar: 5000})
		m.cost = 100 * time.Microsecond
		m.reset()
		for range 120 {
			for range n {
				m.one(familiar)
			}
			m.idle(time.Second)
		}
		if got := float64(m.admitted[familiar]) / float64(m.offered[familiar]); got < 0.95 || m.a.rate > 0 {
			t.Errorf("admitted %.2f of %d a second, and then there is a limit of %.0f", got, n, m.a.rate)
		}
	}
}

// The first call a minute after a flood is let in, whoever makes it.
func TestAdmissionOfTheFirstAfterAFlood(t *testing.T) {
	for _, who := range []standing{stranger, familiar, favoured} {
		for k := range 20 {
			m := newMachine(time.Millisecond)
			m.run(3*time.Second+time.Duration(k)*37*time.Millisecond, map[standing]float64{who: 5000})
			m.idle(time.Minute)
			if !m.one(who) {
				t.Errorf("refused one of standing %d", who)
			}
		}
	}
}

// Where others make work wait, and there is hardly any, a limit that an overload left lets it in.
func TestAdmissionWhereOthersMakeItWait(t *testing.T) {
	m := newMachine(time.Millisecond)
	m.run(3*time.Second, map[standing]float64{familiar: 3000})
	m.idle(10 * time.Millisecond)
	in := 0
	for range 300 {
		came := m.now.Add(-80 * time.Millisecond)
		m.a.probing.Store(int64(came.Sub(m.a.epoch)) + 1)
		if m.a.decide(familiar, came, m.now) {
			in++
		}
		m.a.came(80*time.Millisecond, m.now)
		m.a.probing.Store(0)
		m.now = m.now.Add(200 * time.Millisecond)
	}
	if in < 240 {
		t.Errorf("%d of 300 calls were let in, want 240", in)
	}
}

// A moment without a processor costs nobody his call at up to half of what the machine manages.
func TestAdmissionBearsAStall(t *testing.T) {
	for _, load := range []float64{100, 300, 500} {
		m := newMachine(time.Millisecond)
		m.run(5*time.Second, map[standing]float64{familiar: load})
		m.reset()
		m.backlog += 300 * time.Millisecond
		m.run(4*time.Second, map[standing]float64{familiar: load})
		if m.admitted[familiar] < m.offered[familiar] {
			t.Errorf("%d of %d let in at %.0f a second", m.admitted[familiar], m.offered[familiar], load)
		}
	}
}

// Where other work holds the processor for some ten milliseconds again and again, as a garbage collector does where there
// is one processor, or for longer where few calls come, they are late, but none too many.
func TestAdmissionBearsOtherWork(t *testing.T) {
	for _, tc := range []struct {
		load float64
		long time.Duration
	}{{30, 0}, {100, 0}, {300, 0}, {30, 120 * time.Millisecond}, {100, 120 * time.Millisecond}} {
		m := newMachine(time.Millisecond)
		m.run(5*time.Second, map[standing]float64{familiar: tc.load})
		m.reset()
		for range 20 {
			held := 0
			for end := m.now.Add(700 * time.Millisecond); m.now.Before(end); {
				if m.backlog < 30*time.Millisecond {
					m.backlog += 40 * time.Millisecond
					if held++; held%4 == 0 {
						m.backlog += tc.long
					}
				}
				m.run(time.Millisecond, map[standing]float64{familiar: tc.load})
			}
			m.run(4*time.Second, map[standing]float64{familiar: tc.load})
		}
		if m.admitted[familiar] < m.offered[familiar] {
			t.Errorf("%d of %d let in at %.0f a second, held for %v now and then", m.admitted[familiar], m.offered[familiar], tc.load, tc.long)
		}
	}
}

// A little too much is noticed before anybody waits long for it, whatever target is set, and however little the machine manages.
func TestAdmissionOfALittleTooMuch(t *testing.T) {
	for _, tc := range []struct {
		target, cost time.Duration
		load         float64
		most         time.Duration
	}{
		{20 * time.Millisecond, time.Millisecond, 1.05, 150 * time.Millisecond},
		{20 * time.Millisecond, time.Millisecond, 1.3, 250 * time.Millisecond},
		{20 * time.Millisecond, time.Millisecond, 1.5, 350 * time.Millisecond},
		{5 * time.Millisecond, time.Millisecond, 1.05, 150 * time.Millisecond},
		{200 * time.Millisecond, time.Millisecond, 1.05, 300 * time.Millisecond},
		{200 * time.Millisecond, time.Millisecond, 1.5, 500 * time.Millisecond},
		{20 * time.Millisecond, 20 * time.Millisecond, 1.3, 700 * time.Millisecond},
		{20 * time.Millisecond, 20 * time.Millisecond, 2, 1500 * time.Millisecond},
	} {
		m := newMachine(tc.cost)
		m.a.target = tc.target
		for m.a.rate == 0 && m.worst <= tc.most {
			m.run(10*time.Millisecond, map[standing]float64{familiar: tc.load * float64(time.Second/tc.cost)})
		}
		if m.worst > tc.most {
			t.Errorf("where %d are managed a second and the target is %v, work waits for %v at %.2f times that, and there is no limit",
				time.Second/tc.cost, tc.target, m.worst, tc.load)
		}
	}
}

// A limit that fell far below what was too high last comes back in half a second, not in one and a half.
func TestAdmissionComesBackFromFarBelow(t *testing.T) {
	m := newMachine(time.Millisecond)
	m.run(5*time.Second, map[standing]float64{familiar: 5000})
	m.a.rate = 50
	m.run(100*time.Millisecond, map[standing]float64{familiar: 5000})
	m.reset()
	m.run(1200*time.Millisecond, map[standing]float64{familiar: 5000})
	if got := float64(m.admitted[familiar]) / 1200; got < 0.4 {
		t.Errorf("goodput %.2f in the time after it, want 0.4; the rate is %.0f", got, m.a.rate)
	}
}
