package media

import (
	"errors"
	"math"
	"testing"
	"time"
)

// mixed is a phone in a mix that says a tone of its own.
type mixed struct {
	name      string
	far, near *Leg
	freq      float64
}

// mixedPhones connects a phone for each codec to one engine.
func mixedPhones(t *testing.T, codecs ...Codec) []*mixed {
	t.Helper()
	server := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	var all []*mixed
	for i, codec := range codecs {
		e := openEngine(t, func(c *Config) { c.Codecs = []Codec{codec} })
		p := &mixed{name: []string{"caller", "agent", "supervisor"}[i], far: openLeg(t, e), near: openLeg(t, server), freq: []float64{400, 650, 1000}[i]}
		connect(t, p.far, p.near)
		p.far.Play(Tone(p.freq, 2*time.Second, 0.25), PlayOptions{Loop: true})
		all = append(all, p)
	}
	return all
}

// hears waits until the phone hears exactly the tones of those, within so many dB of what they say.
func (p *mixed) hears(t *testing.T, all []*mixed, within float64, from ...*mixed) {
	t.Helper()
	want := map[*mixed]bool{}
	for _, f := range from {
		want[f] = true
	}
	windows := make(chan []int16, 1)
	var pcm []int16
	p.far.OnAudio(func(frame []int16) {
		if pcm = append(pcm, frame...); len(pcm) < clockRate/5 {
			return
		}
		select {
		case windows <- pcm[:clockRate/5]:
		default:
		}
		pcm = nil
	})
	defer p.far.OnAudio(nil)
	var levels map[string]float64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		heard := wait(t, "sound", windows)
		right := true
		levels = map[string]float64{}
		for _, o := range all {
			db := 20 * math.Log10(Goertzel(heard, o.freq, clockRate)/0.25+1e-9)
			levels[o.name] = db
			right = right && (want[o] && math.Abs(db) <= within || !want[o] && db < -30)
		}
		if right {
			return
		}
	}
	t.Fatalf("%s hears %v dB, want only %d tones", p.name, levels, len(from))
}

// join puts a phone into the mix.
func join(t *testing.T, m *Mix, p *mixed, heardBy Audience) {
	t.Helper()
	if err := m.Join(p.near, heardBy); err != nil {
		t.Fatal(err)
	}
}

// Three hear each other, whatever they speak, none itself.
func TestConference(t *testing.T) {
	for _, codecs := range [][]Codec{{PCMA, PCMA, PCMU}, {G722, PCMA, G722}} {
		all := mixedPhones(t, codecs...)
		m := all[0].near.engine.NewMix()
		for _, p := range all {
			join(t, m, p, Everyone)
		}
		all[0].hears(t, all, 0.5, all[1], all[2])
		all[1].hears(t, all, 0.5, all[0], all[2])
		all[2].hears(t, all, 0.5, all[0], all[1])
		m.Leave(all[0].near) // who kept the time
		all[1].hears(t, all, 0.5, all[2])
		all[0].hears(t, all, 0.5)
		m.Close()
		all[1].hears(t, all, 0.5)
	}
}

// A supervisor listens unheard, whispers to the agent alone, and barges in.
func TestSupervision(t *testing.T) {
	all := mixedPhones(t, PCMA, PCMU, PCMA)
	caller, agent, supervisor := all[0], all[1], all[2]
	if err := Bridge(caller.near, agent.near); err != nil {
		t.Fatal(err)
	}
	caller.hears(t, all, 0.5, agent)
	m := caller.near.engine.NewMix()
	join(t, m, caller, Everyone)
	join(t, m, agent, Everyone)
	join(t, m, supervisor, Nobody)
	supervisor.hears(t, all, 0.5, caller, agent)
	caller.hears(t, all, 0.5, agent)
	agent.hears(t, all, 0.5, caller)

	join(t, m, supervisor, Only(agent.near))
	const leveled = 15 // the gain is automatic
	agent.hears(t, all, leveled, caller, supervisor)
	caller.hears(t, all, 0.5, agent)

	join(t, m, supervisor, Everyone)
	caller.hears(t, all, 0.5, agent, supervisor)
	m.Close()
	if err := Bridge(caller.near, agent.near); err != nil {
		t.Fatal(err)
	}
	caller.hears(t, all, 0.5, agent)
}

// A leg is in one mix or one bridge, and a closed one in none.
func TestMixRefuses(t *testing.T) {
	all := mixedPhones(t, PCMA, PCMA)
	a, b := all[0].near, all[1].near
	m, other := a.engine.NewMix(), a.engine.NewMix()
	join(t, m, all[0], Everyone)
	if err := other.Join(a, Everyone); !errors.Is(err, ErrMixed) {
		t.Errorf("a second mix: %v", err)
	}
	if err := Bridge(a, b); !errors.Is(err, ErrBridged) {
		t.Errorf("a bridge beside a mix: %v", err)
	}
	if err := m.Join(openLeg(t, openEngine(t, nil)), Everyone); err == nil {
		t.Error("a leg of another engine came in")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Join(a, Everyone); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed leg: %v", err)
	}
	if len(m.seats) != 0 {
		t.Errorf("%d seats are left after the leg closed", len(m.seats))
	}
	join(t, m, all[1], Everyone)
	m.Close()
}

// A prompt takes the place of the others for the one who is played it.
func TestPromptInAMix(t *testing.T) {
	all := mixedPhones(t, PCMA, PCMU, PCMA)
	m := all[0].near.engine.NewMix()
	for _, p := range all {
		join(t, m, p, Everyone)
	}
	prompt := &mixed{name: "prompt", freq: 1500}
	play := all[0].near.Play(Tone(1500, time.Second, 0.25), PlayOptions{Loop: true})
	all[0].hears(t, append(all, prompt), 0.5, prompt)
	all[1].hears(t, append(all, prompt), 0.5, all[0], all[2])
	play.Stop()
	all[0].hears(t, append(all, prompt), 0.5, all[1], all[2])
	m.Close()
}

// BenchmarkMixBeat is 20 ms of a conference of three.
func BenchmarkMixBeat(b *testing.B) {
	e := openEngine(b, nil)
	m := e.NewMix()
	var seats []*mixSeat
	for range 3 {
		l := newPhone(b, PCMA).call(e)
		if err := m.Join(l, Everyone); err != nil {
			b.Fatal(err)
		}
		l.conducts.Store(nil)
		seats = append(seats, l.seat.Load())
	}
	b.ReportAllocs()
	var now time.Duration
	for i := 0; b.Loop(); i++ {
		now += ptime
		for _, s := range seats {
			s.put(frame(uint16(i), uint32(i*frameSamples)), now)
		}
		m.beat(now)
	}
}

// A supervisor who whispers softly is raised to what the agent hears well.
func TestSoftWhisperIsRaised(t *testing.T) {
	all := mixedPhones(t, PCMA, PCMU, PCMA)
	caller, agent, supervisor := all[0], all[1], all[2]
	const soft, raised = 0.05, 0.12 // -29 dBov; the gain aims at -19, which is 0.16
	supervisor.far.Play(Tone(supervisor.freq, 2*time.Second, soft), PlayOptions{Loop: true})
	m := caller.near.engine.NewMix()
	defer m.Close()
	join(t, m, caller, Everyone)
	join(t, m, agent, Everyone)
	join(t, m, supervisor, Only(agent.near))
	windows := make(chan []int16, 1)
	var pcm []int16
	agent.far.OnAudio(func(frame []int16) {
		if pcm = append(pcm, frame...); len(pcm) >= clockRate/5 {
			select {
			case windows <- pcm[:clockRate/5]:
			default:
			}
			pcm = nil
		}
	})
	defer agent.far.OnAudio(nil)
	level := 0.0
	for deadline := time.Now().Add(patience); level < raised; {
		level = Goertzel(wait(t, "sound", windows), supervisor.freq, clockRate)
		if time.Now().After(deadline) {
			t.Fatalf("a whisper of %.2f is heard at %.3f, want %.2f at least", soft, level, raised)
		}
	}
}
