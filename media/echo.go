package media

import (
	"fmt"
	"math"
	"sync"
	"time"

	"hotline/sound"
)

// Echo has the phone hear itself, or ends that: what it says comes back at once, as it came where codec and
// packets allow it. What the leg plays ends. A loss on the way here is a gap in the time of what comes back and
// no gap in its numbers, so that the phone can tell the losses of one direction from those of the other. It
// fails with ErrBridged when the leg is bridged or in a mix, and with ErrClosed; Close ends it, too.
func (l *Leg) Echo(on bool) error {
	if !on {
		Unbridge(l, l)
		return nil
	}
	l.engine.bridging.Lock()
	defer l.engine.bridging.Unlock()
	switch peer := l.peer.Load(); {
	case l.gone:
		return fmt.Errorf("echoing: %w", ErrClosed)
	case peer == l:
		return nil
	case peer != nil || l.seat.Load() != nil:
		return fmt.Errorf("echoing: %w", ErrBridged)
	}
	l.peer.Store(l)
	l.sender.bridge(l)
	return nil
}

// echoes tells whether the sender sends back what came to its own leg.
func (s *sender) echoes() bool { return s.relayed.from != nil && &s.relayed.from.sender == s }

// ReferenceHz and ReferenceLevel are what test calls measure levels by: a tone in the middle of the band that
// shares no period with the frames of a codec, in dBm0.
const (
	ReferenceHz    = 1004
	ReferenceLevel = -10.0
)

// Reference is one second of the reference tone.
var Reference = sync.OnceValue(func() *Clip {
	return Tone(ReferenceHz, time.Second, SineAmplitude(ReferenceLevel))
})

// SineAmplitude is the amplitude of a sine of a level in dBm0, 1 being full scale.
func SineAmplitude(dBm0 float64) float64 {
	return math.Sqrt2 * math.Pow(10, (dBm0-sound.DBm0(0))/20)
}
