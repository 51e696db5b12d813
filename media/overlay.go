package media

// Overlay mixes a short clip over whatever the leg sends from now on, in place of what was still being mixed:
// a tone that lets nothing of what is said get lost. Where the peer hears no G.711 the clip takes the place of the
// rest, as with [Leg.Play]. It does not wait.
func (l *Leg) Overlay(c *Clip) {
	switch l.Codec() {
	case PCMA, PCMU:
	default:
		l.Play(c, PlayOptions{})
		return
	}
	pcm := c.PCM()
	s := &l.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
	s.over = pcm
}

// overlay mixes the next samples of what is to lie over the sound into a packet. The sender's lock is held.
func (s *sender) overlay(codec Codec, sound []byte) {
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
