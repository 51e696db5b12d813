package media

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hotline/playout"
	"hotline/sound"
)

// ErrMixed says that a leg is in a mix already.
var ErrMixed = errors.New("leg is in a mix already")

// Audience is who hears a party of a [Mix]: all others, nobody, or one leg.
type Audience struct {
	all bool
	leg *Leg
}

var (
	// Everyone hears who barges in or is part of a conference.
	Everyone = Audience{all: true}
	// Nobody hears who only listens.
	Nobody = Audience{}
)

// Only lets one leg hear a party: a whisper.
func Only(l *Leg) Audience { return Audience{leg: l} }

// Mix lets three legs or more hear each other: a conference, or a supervisor beside a talk. Unlike a bridge
// it decodes, so it has a jitter buffer for each party, and it costs as much as it does only while
// it is there. It mixes at 8 kHz; a party that speaks G.722 hears no more than that here.
type Mix struct {
	engine *Engine

	mu      sync.Mutex // held for a beat; taken before a seat's and a sender's lock
	seats   []*mixSeat
	sum     *sound.Mixer
	out     [frameSamples]int16
	encoded [frameSamples]byte
}

// mixSeat is a leg's place in a mix.
type mixSeat struct {
	mix *Mix
	leg *Leg

	mu         sync.Mutex // the leg's packets come while a beat is under way
	buffer     *playout.Buffer
	generation uint32
	codec      Codec
	noise      sound.ComfortNoise
	keys       []press // to be passed on

	// Guarded by the mix's lock.
	audience  Audience
	ear       ear
	concealer *sound.Concealer
	activity  sound.Activity
	gain      *sound.Gain // of a whisper; nil otherwise
	pcm       [frameSamples]int16
	mouth     mouth

	joined time.Duration // on the engine's clock
}

// whisperLevel suits telephones: about -13 dBm0.
const (
	whisperLevel = -19 // dBov
	whisperGain  = 15  // dB at most
)

// firstDelay is how late packets are expected to come before any have. With half a beat more, and what the filters of
// G.722 take, nobody is heard more than 45 ms later for the mix.
const firstDelay = 25 * time.Millisecond

// NewMix makes a mix without parties.
func (e *Engine) NewMix() *Mix {
	return &Mix{engine: e, sum: sound.NewMixer(frameSamples)}
}

// Join brings a leg in, who hears all that are meant for it. What it plays goes on, instead of the
// others, to its end; a bridge ends. It fails with ErrMixed when the leg is in another mix, and with
// ErrClosed.
func (m *Mix) Join(l *Leg, heardBy Audience) error {
	if l.engine != m.engine {
		return errors.New("joining: need legs of one engine")
	}
	m.engine.bridging.Lock()
	defer m.engine.bridging.Unlock()
	switch seat := l.seat.Load(); {
	case l.gone:
		return fmt.Errorf("joining: %w", ErrClosed)
	case seat != nil && seat.mix == m:
		m.let(seat, heardBy)
		return nil
	case seat != nil:
		return fmt.Errorf("joining: %w", ErrMixed)
	}
	if other := l.peer.Load(); other != nil {
		part(l, other)
	}
	seat := &mixSeat{mix: m, leg: l, buffer: playout.New(playout.Options{Start: firstDelay}), concealer: sound.NewConcealer(clockRate), joined: m.engine.now()}
	m.let(seat, heardBy)
	m.mu.Lock()
	m.seats = append(m.seats, seat)
	m.conduct()
	m.mu.Unlock()
	l.sender.mix(true)
	l.seat.Store(seat)
	return nil
}

// let sets who hears a party.
func (m *Mix) let(seat *mixSeat, heardBy Audience) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passKeys(seat) // a key that changes who hears is for those before
	seat.audience = heardBy
	seat.gain = nil
	if heardBy.leg != nil {
		seat.gain = sound.NewGain(clockRate, whisperLevel, whisperGain)
	}
}

// Leave takes a leg out, which falls back to silence. One that isn't in the mix is none of its business.
func (m *Mix) Leave(l *Leg) {
	m.engine.bridging.Lock()
	defer m.engine.bridging.Unlock()
	if seat := l.seat.Load(); seat != nil && seat.mix == m {
		m.leave(seat)
	}
}

// leave is Leave with the engine's bridging lock held.
func (m *Mix) leave(seat *mixSeat) {
	seat.leg.seat.Store(nil)
	seat.leg.conducts.CompareAndSwap(m, nil)
	m.mu.Lock()
	m.seats = slices.DeleteFunc(m.seats, func(s *mixSeat) bool { return s == seat })
	m.conduct()
	m.mu.Unlock()
	seat.leg.sender.mix(false)
}

// Close takes all legs out.
func (m *Mix) Close() {
	m.engine.bridging.Lock()
	defer m.engine.bridging.Unlock()
	m.mu.Lock()
	seats := slices.Clone(m.seats)
	m.mu.Unlock()
	for _, s := range seats {
		m.leave(s)
	}
}

// conduct lets the beats of the first party's leg be those of the mix.
func (m *Mix) conduct() {
	if len(m.seats) > 0 {
		m.seats[0].leg.conducts.Store(m)
	}
}

// put takes a packet of the party.
func (s *mixSeat) put(in incoming, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.generation != s.generation {
		s.buffer.Reset()
		s.generation = in.generation
	}
	switch {
	case in.codec.voice():
		s.codec = in.codec
		s.buffer.Put(in.seq, in.ts, in.payload, now)
	case in.codec == noise:
		s.noise.Set(in.payload)
		fallthrough
	default:
		s.buffer.Put(in.seq, in.ts, nil, now)
	}
}

// beat mixes 20 ms.
func (m *Mix) beat(now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Begin(frameSamples)
	for _, s := range m.seats {
		s.hear(now)
		m.passKeys(s)
		if s.audience.all {
			m.sum.Add(s.pcm[:])
		}
	}
	for _, s := range m.seats {
		own := s.pcm[:]
		if !s.audience.all {
			own = nil
		}
		m.sum.Without(m.out[:], own)
		for _, other := range m.seats {
			if other.audience.leg == s.leg {
				addTo(m.out[:], other.pcm[:])
			}
		}
		s.say(m.out[:], m.encoded[:], now)
	}
}

// addTo adds saturated.
func addTo(sum, more []int16) {
	for i, v := range more {
		sum[i] = added(sum[i], v)
	}
}

// hear fills pcm with the party's next 20 ms.
func (s *mixSeat) hear(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := 0; part < frameSamples; part += playout.PieceLen {
		to := s.pcm[part : part+playout.PieceLen]
		switch piece := s.buffer.Next(now); piece.Kind {
		case playout.Voice:
			s.decode(to, piece)
			s.concealer.Good(to)
		case playout.Lost:
			s.concealer.Lost(to)
		default:
			s.noise.Fill(to)
			s.concealer.Good(to)
		}
	}
	s.buffer.Quiet(!s.activity.Add(s.pcm[:]))
	if s.gain != nil {
		s.gain.Apply(s.pcm[:])
	}
}

// decode writes the piece's sound, with what was left out before it faded in.
func (s *mixSeat) decode(to []int16, piece playout.Piece) {
	if piece.Skipped == nil {
		copy(to, s.ear.hear(s.codec, piece.Payload))
		return
	}
	var skipped [playout.PieceLen]int16
	copy(skipped[:], s.ear.hear(s.codec, piece.Skipped))
	copy(to, s.ear.hear(s.codec, piece.Payload))
	sound.Fade(to, skipped[:], to)
}

// say sends the party what it hears.
func (s *mixSeat) say(pcm []int16, frame []byte, now time.Duration) {
	out := &s.leg.sender
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.closed || !out.mixed || out.play != nil || out.digits.busy(now) {
		return
	}
	s.mouth.say(frame, out.voice.codec, pcm)
	out.sendVoice(now, fromMix, frame)
}

// mix makes the sender leave the beats to a mix, or not any more.
func (s *sender) mix(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mixed = on
	s.relayed = relay{}
}
