package media

// A mix makes its sound anew, and so it does with keys: a press goes to those who hear the party when it
// is over, as an event of their own stream, in place of the sound. So two who press at once get in
// nobody's way, and lost packets are made good.

// pressed takes a key of the party's. A press that began before is left out: a bridge may have passed on
// its beginning, and it would count twice.
func (s *mixSeat) pressed(p press) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.at >= s.joined && len(s.keys) < maxDigits {
		s.keys = append(s.keys, p)
	}
}

// passKeys gives the party's keys to those who hear it. The mix's lock is held.
func (m *Mix) passKeys(from *mixSeat) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for _, to := range m.seats {
		if to != from && (from.audience.all || from.audience.leg == to.leg) {
			to.leg.sender.passOn(from.keys)
		}
	}
	from.keys = from.keys[:0]
}

// passOn queues keys; those that the peer doesn't take or that are too many are left out.
func (s *sender) passOn(keys []press) {
	if len(keys) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.keys.codec != event {
		return
	}
	for _, p := range keys {
		if code, ok := keyCode(p.key); ok {
			s.digits.add(code, p.duration)
		}
	}
}
