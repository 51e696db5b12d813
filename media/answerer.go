package media

import "net/netip"

// SetAnswerOf is [Leg.SetAnswer] for an answer whose party is known: of a fork or a list of gateways one may
// be heard early, and another one answer. What is agreed with one says nothing of the next, so the policy decides
// anew whether that is encrypted. The same party, and one with an empty name, never goes back to plain RTP.
func (l *Leg) SetAnswerOf(party string, answer []byte) error { return l.setAnswer(party, answer) }

// another tells whether the party isn't the one that keys were agreed on with.
func (s *secrets) another(party string) bool {
	return party != "" && s.party != "" && party != s.party
}

// judgeAnswerOf is judgeAnswer of a party.
func judgeAnswerOf(party string) func(*secrets, *remoteMedia) error {
	return func(s *secrets, m *remoteMedia) error {
		if !s.another(party) {
			return s.judgeAnswer(m)
		}
		anew := *s
		anew.kind = Plain
		return anew.judgeAnswer(m)
	}
}

// disarm forgets what was agreed of encryption with another party than the one that takes plain RTP now. Its
// keys never come back. The leg's lock is held.
func (l *Leg) disarm() {
	s := &l.secrets
	l.log.Info("another party answers: sound isn't encrypted any more", "before", s.kind)
	l.takeBack()
	l.opener.Store(nil)
	l.ice.Store(nil)
	if h := l.handshake.Swap(nil); h != nil {
		_ = h.Close()
	}
	l.rx.latch.locked = netip.AddrPort{}
	s.kind, s.ours, s.offered, s.protos, s.mid, s.bundle = Plain, nil, nil, nil, "", ""
	l.sender.expose()
}

// expose has packets leave as they are.
func (s *sender) expose() {
	s.mu.Lock()
	s.seal, s.keyless = nil, false
	s.mu.Unlock()
}
