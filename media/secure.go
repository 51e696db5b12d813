package media

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// SRTP says how a leg deals with encryption (RFC 3711). A leg that has been encrypted never goes back
// to plain RTP: an offer of it is refused.
type SRTP uint8

// The policies of [Protection].
const (
	SRTPAccepted  SRTP = iota // what the peer offers, encrypted where there is a choice; we offer plain RTP
	SRTPOff                   // plain RTP only
	SRTPPreferred             // as accepted, and our offers hold keys that the peer may leave aside
	SRTPRequired              // encrypted or not at all
)

// Security is how the sound of a leg is encrypted.
type Security uint8

// The values of [LegStats].Secure.
const (
	Plain Security = iota
	SDES           // SRTP with keys from signalling (RFC 4568)
	DTLS           // SRTP with keys from a handshake of the media's own (RFC 5764)
)

// String is "none", "sdes" or "dtls".
func (s Security) String() string { return [...]string{"none", "sdes", "dtls"}[s%3] }

var (
	// ErrNotEncrypted says that the peer takes plain RTP only where we need SRTP. The call should be
	// refused with 488.
	ErrNotEncrypted = errors.New("plain RTP where SRTP is required")

	// ErrEncrypted says that the peer takes SRTP only, which is switched off for it. The call should
	// be refused with 488.
	ErrEncrypted = errors.New("SRTP, which is switched off")

	// ErrKeysInClear says that keys would have to travel in signalling that isn't encrypted itself.
	// The call should be refused with 488.
	ErrKeysInClear = errors.New("SRTP keys over signalling that anybody on the way can read")

	// ErrBadKeys says that the peer's keys can't be used, or answer none of ours.
	ErrBadKeys = errors.New("unusable SRTP keys")

	errKeyless = errors.New("no keys yet")
)

// Protection is how a leg's sound is to be encrypted.
type Protection struct {
	Policy SRTP
	// Private tells that signalling with the peer is encrypted (TLS, WSS) as far as we see. Without it
	// SRTPRequired refuses keys in SDP.
	Private bool
}

// Protect sets how the leg's sound is to be encrypted. Call it before the first Offer or Answer.
func (l *Leg) Protect(p Protection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets.Protection = p
	if p.Policy == SRTPRequired && l.opener.Load() == nil {
		l.opener.Store(new(opener)) // nothing is taken before there are keys
	}
}

// secrets are a leg's keys. Guarded by the leg's lock.
type secrets struct {
	Protection
	ours    map[string]sdesKey // by suite, without a tag
	offered []sdesKey          // in our last offer
	// offeredDTLS tells that an offer of ours was for a browser; client that we began the handshake.
	offeredDTLS, client bool
	party               string   // who gave the last answer; "": not known
	mid, bundle         string   // in force with DTLS
	kind                Security // in force
	protos              []string // in force, of the m= line
}

// own is our key for the suite: the same as long as the suite is, so that a re-INVITE doesn't
// interrupt the stream.
func (s *secrets) own(of suite, tag string) sdesKey {
	c, ok := s.ours[of.name]
	if !ok {
		c = sdesKey{suite: of, keys: of.newKeys()}
		if s.ours == nil {
			s.ours = map[string]sdesKey{}
		}
		s.ours[of.name] = c
	}
	c.tag = tag
	return c
}

// offer fills in what our offer says of encryption.
func (s *secrets) offer(ours *localMedia) error {
	s.offered = nil
	names := offeredSuites
	switch {
	case s.kind == SDES:
		ours.protos = s.protos
		names = slices.Collect(maps.Keys(s.ours)) // the one in force
	case s.Policy == SRTPRequired && !s.Private:
		return ErrKeysInClear
	case s.Policy == SRTPRequired:
		ours.protos = []string{"RTP", "SAVP"}
	case s.Policy == SRTPPreferred:
	default:
		return nil
	}
	for i, name := range names {
		of, _ := suiteNamed(name)
		s.offered = append(s.offered, s.own(of, strconv.Itoa(i+1)))
	}
	ours.cryptos = s.offered
	return nil
}

// judge decides how an offered stream is to be carried, and refuses one that mustn't be.
func (s *secrets) judge(m *remoteMedia) error {
	if m.dtls {
		return s.judgeDTLS(m)
	}
	if len(m.cryptos) > 0 && (m.savp || s.Policy != SRTPOff) {
		m.kind, m.crypto = SDES, m.cryptos[0]
	}
	switch {
	case m.savp && s.Policy == SRTPOff:
		return ErrEncrypted
	case m.savp && m.kind == Plain:
		return ErrBadKeys
	case m.kind == Plain && (s.Policy == SRTPRequired || s.kind != Plain):
		return ErrNotEncrypted
	case m.kind == SDES && s.Policy == SRTPRequired && !s.Private:
		return ErrKeysInClear
	}
	return nil
}

// judgeAnswer likewise looks at the stream that answers our offer.
func (s *secrets) judgeAnswer(m *remoteMedia) error {
	if m.dtls && s.offeredDTLS {
		return s.judgeDTLS(m)
	}
	for _, ours := range s.offered {
		for _, theirs := range m.cryptos {
			if theirs.tag == ours.tag && theirs.suite == ours.suite {
				m.kind, m.crypto, m.own = SDES, theirs, ours
			}
		}
	}
	switch {
	case m.kind == Plain && (m.savp || len(s.offered) > 0 && len(m.cryptos) > 0):
		return ErrBadKeys
	case m.kind == Plain && (s.Policy == SRTPRequired || s.kind != Plain):
		return ErrNotEncrypted
	}
	return nil
}

// judge gives what decides about the streams of an SDP.
func (l *Leg) judge(by func(*secrets, *remoteMedia) error) func(*remoteMedia) error {
	return func(m *remoteMedia) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		return by(&l.secrets, m)
	}
}

// protect fills in what our answer says of encryption. The leg's lock is held.
func (l *Leg) protect(ours *localMedia, remote *remoteMedia) error {
	ours.protos = remote.protos
	switch remote.kind {
	case SDES:
		remote.own = l.secrets.own(remote.crypto.suite, remote.crypto.tag)
		ours.cryptos = []sdesKey{remote.own}
	case DTLS:
		return l.answerDTLS(ours, remote)
	}
	return nil
}

// secure puts into force what was agreed of encryption. The leg's lock is held.
func (l *Leg) secure(remote *remoteMedia) error {
	s := &l.secrets
	open := l.opener.Load()
	if open == nil {
		open = new(opener)
	}
	switch remote.kind {
	case Plain:
		return nil
	case DTLS:
		l.opener.Store(open)
		l.sender.holdBack()
		if i := l.ice.Load(); i != nil && remote.ufrag != "" {
			i.note(remote.ufrag)
		}
		l.shakeHands(remote)
		s.kind, s.protos, s.client = DTLS, remote.protos, remote.client
		s.mid, s.bundle = remote.mid, remote.bundle
		return nil
	}
	if err := open.rekey(remote.crypto, l.rx.stream.ssrc); err != nil {
		return fmt.Errorf("%w: %v", ErrBadKeys, err)
	}
	if err := l.sender.encrypt(remote.own); err != nil {
		return fmt.Errorf("%w: %v", ErrBadKeys, err)
	}
	l.opener.Store(open)
	s.ours = map[string]sdesKey{remote.own.suite.name: remote.own}
	s.kind, s.protos = SDES, remote.protos
	return nil
}

// holdBack keeps all packets until there are keys for them.
func (s *sender) holdBack() {
	s.mu.Lock()
	s.keyless = s.seal == nil
	s.mu.Unlock()
}

// encrypt has all packets sealed from now on.
func (s *sender) encrypt(with sdesKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seal != nil && s.seal.with.equal(with) {
		return nil
	}
	if slices.ContainsFunc(s.worn, with.equal) {
		return errors.New("a key of ours comes back") // and would encrypt other packets of the same numbers
	}
	seal, err := newSealer(with)
	if err != nil {
		return err
	}
	s.keyless = false
	s.seal, s.worn = seal, append(s.worn, with)
	return nil
}

// sealReport encrypts a compound RTCP packet if the leg is encrypted.
func (s *sender) sealReport(compound []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.keyless:
		return nil, errKeyless
	case s.seal == nil:
		return compound, nil
	}
	return s.seal.sealReport(compound)
}

// unseal decrypts a report if the leg is encrypted; ok is false when it isn't the peer's.
func (l *Leg) unseal(data []byte) (plain []byte, ok bool) {
	if o := l.opener.Load(); o != nil {
		return o.openReport(data)
	}
	return data, true
}
