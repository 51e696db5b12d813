package media

import (
	"slices"

	"hotline/sound"
)

// Overlay mixes a short clip over whatever the leg sends from now on, in place of what was still being mixed:
// a tone that lets nothing of what is said get lost. Where the peer hears G.722 the clip begins a fifth of a second
// later, and has no more than telephone's bandwidth. It does not wait.
func (l *Leg) Overlay(c *Clip) {
	pcm := c.PCM()
	var low []int16
	codec := l.Codec()
	if codec == G722 {
		pcm = append(slices.Clone(pcm), make([]int16, 32)...) // until the filter is empty
		wide := make([]int16, 2*len(pcm))
		new(sound.Upsampler).Process(wide, pcm)
		pcm, low = nil, sound.G722LowBand(wide)
	}
	s := &l.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	s.over = pcm
	switch {
	case codec != G722:
		s.overWide = nil
	case s.overWide == nil:
		s.overWide = &overWide{follow: followFor, low: low}
	default:
		s.overWide.low = low
	}
}

// followFor is how long, in bytes, a stream of G.722 is followed before anything is laid over it.
const followFor = clockRate / 5

// overWide is what lies over a stream of G.722.
type overWide struct {
	sound.G722Overlay
	follow int     // bytes still to be followed
	low    []int16 // to be laid over it
}

// lay mixes into a packet, and says that nothing more need be done.
func (o *overWide) lay(code []byte) (done bool) {
	if o.follow > 0 {
		o.follow -= len(code)
		o.Follow(code)
		return false
	}
	o.Add(code, o.low)
	o.low = o.low[min(len(code), len(o.low)):]
	return len(o.low) == 0 && o.Settled()
}

// overlay mixes the next samples of what is to lie over the sound into a packet. The sender's lock is held.
func (s *sender) overlay(codec Codec, sound []byte) {
	if s.overWide != nil && (codec != G722 || s.overWide.lay(sound)) {
		s.overWide = nil
	}
	if codec == G722 {
		s.over = nil // it began before the codec changed
		return
	}
	n := min(len(s.over), len(sound))
	for i, v := range s.over[:n] {
		switch codec {
		case PCMA:
			sound[i] = EncodeALaw(added(DecodeALaw(sound[i]), v))
		case PCMU:
			sound[i] = EncodeULaw(added(DecodeULaw(sound[i]), v))
		}
	}
	s.over = s.over[n:]
}

// added is the sum, saturated.
func added(a, b int16) int16 { return int16(max(-32768, min(32767, int(a)+int(b)))) }
