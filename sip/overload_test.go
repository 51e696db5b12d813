package sip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// machine is a processor in the mind: what it is given waits until what came before is
// done. It shows the admission the delay that its probes would find.
type machine struct {
	a        *admission
	now      time.Time
	cost     time.Duration // of one piece of work
	backlog  time.Duration
	offered  map[standing]int
	admitted map[standing]int
	done     int
	worst    time.Duration
	dice     *rand.Rand

	sent, back time.Time // of the probe
}

func newMachine(cost time.Duration) *machine {
	m := &machine{a: newAdmission(20*time.Millisecond, nil), cost: cost, now: time.Unix(1, 0), dice: rand.New(rand.NewPCG(1, 2))}
	m.a.begun, m.a.epoch, m.a.since, m.a.asked = m.now, m.now, m.now, m.now
	m.reset()
	return m
}

func (m *machine) reset() {
	m.offered, m.admitted, m.done, m.worst = map[standing]int{}, map[standing]int{}, 0, 0
}

// probe comes back when what was there before it is done; then there is another one.
func (m *machine) probe() {
	if m.back.IsZero() || !m.now.Before(m.back) {
		if !m.back.IsZero() {
			m.a.came(m.back.Sub(m.sent), m.now)
		}
		m.sent, m.back = m.now, m.now.Add(m.backlog)
		m.a.probing.Store(int64(m.now.Sub(m.a.epoch)) + 1)
	}
}

// run offers work at the given rates for span, in random order.
func (m *machine) run(span time.Duration, rates map[standing]float64) {
	const step = 100 * time.Microsecond
	for end := m.now.Add(span); m.now.Before(end); m.now = m.now.Add(step) {
		m.backlog = max(0, m.backlog-step)
		for _, who := range []standing{stranger, familiar, favoured} {
			if m.dice.Float64() >= rates[who]*step.Seconds() {
				continue
			}
			m.backlog += m.cost / 50 // a refusal costs something, too
			m.one(who)
		}
		m.worst = max(m.worst, m.backlog)
	}
}

// What a machine that does a thousand a second gets done when more is asked of it, and
// how long that waits.
func TestAdmissionKeepsGoodput(t *testing.T) {
	for _, tc := range []struct{ load, want float64 }{{0.9, 0.89}, {2, 0.9}, {5, 0.8}, {10, 0.7}} {
		t.Run(fmt.Sprint(tc.load), func(t *testing.T) {
			m := newMachine(time.Millisecond)
			m.run(5*time.Second, map[standing]float64{familiar: tc.load * 1000})
			m.reset()
			m.run(20*time.Second, map[standing]float64{familiar: tc.load * 1000})
			if got := float64(m.admitted[familiar]) / 20000; got < tc.want {
				t.Errorf("goodput %.2f, want %.2f", got, tc.want)
			}
			if m.worst > 200*time.Millisecond {
				t.Errorf("work waited %v", m.worst)
			}
		})
	}
}

// A moment in which the processor was another program's costs that moment, and not the seconds after it.
func TestAdmissionComesBackFromAStall(t *testing.T) {
	m := newMachine(time.Millisecond)
	m.run(10*time.Second, map[standing]float64{familiar: 5000})
	before := m.a.rate
	for range 3 {
		m.backlog += 300 * time.Millisecond
		m.reset()
		m.run(2*time.Second, map[standing]float64{familiar: 5000})
		if got := float64(m.admitted[familiar]) / 2000; got < 0.6 {
			t.Errorf("goodput %.2f in the two seconds after it, want 0.6; the rate was %.0f and is %.0f", got, before, m.a.rate)
		}
		m.run(3*time.Second, map[standing]float64{familiar: 5000})
	}
}

// Calls that the machine was late for are none too many where hardly any others come.
func TestAdmissionLetsInTheLate(t *testing.T) {
	m := newMachine(time.Millisecond)
	for _, c := range []struct {
		gap time.Duration
		n   int
	}{{0, 4}, {120 * time.Millisecond, 3}, {time.Second, 1}, {60 * time.Millisecond, 1}, {60 * time.Millisecond, 1}, {time.Minute, 5}} {
		m.now = m.now.Add(c.gap)
		for range c.n {
			m.a.probing.Store(int64(m.now.Add(-60*time.Millisecond).Sub(m.a.epoch)) + 1)
			if !m.a.decide(familiar, m.now.Add(-60*time.Millisecond), m.now) {
				t.Errorf("refused %v after the last", c.gap)
			}
			m.a.came(80*time.Millisecond, m.now)
			m.a.probing.Store(0)
		}
	}
}

// Strangers are refused first, the favoured last; after the flood all are let in.
func TestAdmissionKnowsWhoGoesFirst(t *testing.T) {
	m := newMachine(time.Millisecond)
	m.run(5*time.Second, map[standing]float64{stranger: 5000, familiar: 300, favoured: 300})
	m.reset()
	m.run(20*time.Second, map[standing]float64{stranger: 5000, familiar: 300, favoured: 300})
	share := func(who standing) float64 { return float64(m.admitted[who]) / float64(m.offered[who]) }
	if share(favoured) < 0.99 || share(familiar) < 0.95 || share(stranger) > 0.2 {
		t.Errorf("admitted %.3f of the favoured, %.3f of the familiar, %.3f of strangers", share(favoured), share(familiar), share(stranger))
	}
	m.run(4*time.Second, map[standing]float64{familiar: 100})
	if m.a.rate != 0 {
		t.Errorf("there is still a limit of %.0f", m.a.rate)
	}
}

// A favoured flood is no way around the limit: it takes ahead only so much.
func TestTheFavouredAreLimitedToo(t *testing.T) {
	m := newMachine(time.Millisecond)
	m.run(20*time.Second, map[standing]float64{favoured: 5000})
	if m.worst > 2500*time.Millisecond {
		t.Errorf("work waited %v", m.worst)
	}
}

// One source's share doesn't depend on how many others there are, forged or not.
func TestMeterCantBeFilled(t *testing.T) {
	m, now := newMeter(200), time.Unix(1, 0)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	loud, quiet, refused, took := addr(1<<24-1), addr(1<<24-2), 0, 0
	for i := range 200_000 { // 20,000 a second from one, as many from 100,000 others
		now = now.Add(50 * time.Microsecond)
		if !m.over(loud, now) {
			took++
		}
		if m.over(addr(i%100_000), now) {
			refused++
		}
		if i%1000 == 0 && m.over(quiet, now) {
			t.Fatal("somebody who sends twenty a second was refused")
		}
	}
	if took > 200*11+10 || took < 200*9 {
		t.Errorf("the loud one got %d through in 10 s, want about 2,200", took)
	}
	if refused > 200_000/100 {
		t.Errorf("%d of 200,000 of others were refused", refused)
	}
	if a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff"); true {
		for range 200 {
			m.over(a, now)
		}
		if !m.over(b, now) {
			t.Error("a host with a /64 has as many shares as it wants")
		}
	}
}
