package media

import "time"

// Voice is a packet of sound that passed a leg, as its tap is given it.
type Voice struct {
	Sent    bool          // to the phone; otherwise it came from there
	At      time.Duration // when it passed, on a clock that all legs of the engine share
	TS      uint32        // RTP timestamp, 8000 a second; it jumps when the phone begins another stream
	Codec   Codec
	Payload []byte
}

// Tap has fn see all sound that the phone sends and is sent, for a recording. It is called on the
// packet path, from two goroutines at most, in the order of each direction: it must not block, keep the
// payload, or close the leg. Packets that come late are shown, those that come twice are not. Nil ends
// it; a call under way may outlast Tap.
func (l *Leg) Tap(fn func(Voice)) {
	if fn == nil {
		l.sender.tap.Store(nil)
		return
	}
	l.sender.tap.Store(&fn)
	l.mu.Lock()
	l.takeBack()
	l.mu.Unlock()
	l.sender.mu.Lock()
	l.sender.takeBack()
	l.sender.mu.Unlock()
}

// heard shows the tap what came from the phone.
func (l *Leg) heard(in incoming, now time.Duration) {
	if fn := l.sender.tap.Load(); fn != nil && in.codec.voice() {
		(*fn)(Voice{false, now, in.ts, in.codec, in.payload})
	}
}

// said shows the tap what went to the phone.
func (s *sender) said(codec Codec, ts uint32, payload []byte, now time.Duration) {
	fn := s.tap.Load()
	if fn == nil {
		return
	}
	if s.tapped == nil {
		s.tapped = make([]byte, maxPayload)
	}
	// A copy, so that packets made on the stack can stay there.
	n := copy(s.tapped, payload)
	(*fn)(Voice{true, now, ts, codec, s.tapped[:n]})
}
