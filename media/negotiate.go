package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/pion/sdp/v3"
)

// ErrNoOffer says that an answer came although the leg made no offer.
var ErrNoOffer = errors.New("answer without an offer")

// offeredEvent is the payload type of telephone-event in our first offer.
const offeredEvent = 101

// negotiation is what a leg's offers and answers have settled. Guarded by the leg's lock.
type negotiation struct {
	session, version uint64 // of our SDP's o= line
	offered          bool   // an offer of ours went out
	codec            Codec
	event            format // telephone-event as the peer takes it; its codec is 0 if it doesn't
	noise            format // comfort noise likewise
	quiet            bool   // our offers list comfort noise
	held             bool
}

func newNegotiation() negotiation {
	// RFC 3264 section 5 wants numbers below 2^62; a random one tells nothing of us.
	return negotiation{session: rand.Uint64() >> 2}
}

// Offer makes our SDP offer: the codecs in the leg's order, telephone-event, sendrecv. The leg
// receives in any of them from now on. It may be called again for a re-INVITE without SDP: the
// session's version increments, port and SSRC stay. It fails with ErrKeysInClear, see [Protection].
func (l *Leg) Offer() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.secrets.kind == DTLS {
		return l.offerBrowser()
	}
	ours := l.offered()
	if err := l.secrets.offer(ours); err != nil {
		return nil, fmt.Errorf("making SDP offer: %w", err)
	}
	text, err := ours.description([]*sdp.MediaDescription{ours.stream()})
	if err != nil {
		return nil, fmt.Errorf("making SDP offer: %w", err)
	}
	l.nego.version, l.nego.offered = ours.version, true
	l.rx.expect(ours.formats)
	return text, nil
}

// offered is what our offers say of the stream. The leg's lock is held.
func (l *Leg) offered() *localMedia {
	telephone := format{offeredEvent, event}
	if l.nego.event.codec == event {
		telephone = l.nego.event
	}
	var formats []format
	for _, c := range l.codecs {
		formats = append(formats, format{c.PayloadType(), c})
	}
	if n := l.nego.noise; n.codec == noise {
		formats = append(formats, n)
	} else if l.nego.quiet {
		formats = append(formats, format{noise.PayloadType(), noise})
	}
	if l.keysBy.Load() != nil {
		return l.local(formats, sendRecv)
	}
	return l.local(append(formats, telephone), sendRecv)
}

// Answer takes the peer's offer and makes our answer: the codec that comes first in the leg's
// order among those offered, telephone-event if offered, the direction mirrored. The first usable
// audio stream is taken, all others are refused with port 0. The leg starts to send. It may be
// called again for a re-INVITE: the session's version increments, port and SSRC stay.
//
// ErrNoCommonCodec, ErrNotEncrypted, ErrEncrypted, ErrKeysInClear and ErrBadKeys mean 488, ErrBadSDP 400
// or 488; then nothing changes.
func (l *Leg) Answer(offer []byte) ([]byte, error) {
	session, err := parseSDP(offer)
	if err != nil {
		return nil, fmt.Errorf("reading SDP offer: %w", err)
	}
	remote, err := activeAudio(session, l.judge((*secrets).judge))
	if err != nil {
		return nil, fmt.Errorf("reading SDP offer: %w", err)
	}
	chosen, err := l.choose(remote)
	if err != nil {
		return nil, fmt.Errorf("reading SDP offer: %w", err)
	}
	defer l.sender.widen(chosen[0].codec)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	ours := l.local(chosen, remote.dir.mirror())
	ours.mux, ours.metrics = remote.mux, remote.metrics
	if err := l.protect(ours, remote); err != nil {
		return nil, fmt.Errorf("making SDP answer: %w", err)
	}
	text, err := ours.description(ours.answerStreams(session, remote.index))
	if err != nil {
		return nil, fmt.Errorf("making SDP answer: %w", err)
	}
	if err := l.secure(remote); err != nil {
		return nil, fmt.Errorf("reading SDP offer: %w", err)
	}
	l.nego.version, l.nego.offered = ours.version, false
	l.settle(remote, chosen)
	return text, nil
}

// SetAnswer takes the peer's answer to the last [Leg.Offer]; the codec it lists first is used. The
// leg starts to send. It may be called more than once for one offer: early media, then the 200.
func (l *Leg) SetAnswer(answer []byte) error { return l.setAnswer("", answer) }

func (l *Leg) setAnswer(party string, answer []byte) error {
	session, err := parseSDP(answer)
	if err != nil {
		return fmt.Errorf("reading SDP answer: %w", err)
	}
	remote, err := activeAudio(session, l.judge(judgeAnswerOf(party)))
	if err != nil {
		return fmt.Errorf("reading SDP answer: %w", err)
	}
	if err := l.reachable(remote); err != nil {
		return fmt.Errorf("reading SDP answer: %w", err)
	}
	var chosen []format
	for _, f := range remote.formats {
		if f.codec.voice() && len(chosen) == 0 {
			chosen = append(chosen, f)
		}
	}
	chosen = append(chosen, l.beside(remote)...)
	defer l.sender.widen(chosen[0].codec)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case !l.nego.offered:
		return ErrNoOffer
	}
	if l.secrets.kind != Plain && remote.kind == Plain {
		l.disarm() // judged to be another's
	}
	if err := l.secure(remote); err != nil {
		return fmt.Errorf("reading SDP answer: %w", err)
	}
	if party != "" {
		l.secrets.party = party
	}
	l.settle(remote, chosen)
	return nil
}

// choose picks from an offer what we answer with: one codec, then telephone-event and comfort noise
// if offered.
func (l *Leg) choose(remote *remoteMedia) ([]format, error) {
	if err := l.reachable(remote); err != nil {
		return nil, err
	}
	for _, c := range l.codecs {
		voice, ok := remote.find(c)
		if !ok {
			continue
		}
		return append([]format{voice}, l.beside(remote)...), nil
	}
	return nil, ErrNoCommonCodec
}

// reachable refuses an address of the family that the leg's sockets don't speak.
func (l *Leg) reachable(remote *remoteMedia) error {
	if remote.ufrag != "" {
		return nil // checks tell
	}
	if remote.rtp.Addr().Is4() != l.at.Bind.Is4() {
		return fmt.Errorf("%w: the peer's address is of the other IP version", ErrBadSDP)
	}
	if remote.rtcp.Addr().Is4() != l.at.Bind.Is4() {
		remote.rtcp = netip.AddrPort{} // no reports there
	}
	return nil
}

// settle puts into force what was agreed. The leg's lock is held.
func (l *Leg) settle(remote *remoteMedia, chosen []format) {
	now := l.engine.now()
	l.takeBack()
	n := &l.nego
	n.codec, n.event, n.noise, n.held = chosen[0].codec, format{}, format{}, remote.held()
	for _, f := range chosen {
		switch f.codec {
		case event:
			n.event = f
		case noise:
			n.noise = f
		}
	}
	l.rx.expect(chosen)
	if remote.ufrag == "" && !remote.rtp.Addr().IsUnspecified() && l.rx.latch.signal(remote.rtp, now) {
		l.sender.redirect(remote.rtp)
		l.reports.redirect(remote.rtcp)
	}
	l.mux(remote)
	l.reports.want(remote.metrics)
	l.sender.agree(agreement{!n.held, chosen[0], n.event, n.noise, remote.packing})
	limit := l.engine.cfg.RTPTimeout
	if remote.dir != sendRecv {
		limit = l.engine.cfg.HoldTimeout
	}
	l.alive.watch(limit, now)
	l.reports.start(now)
}

// local prepares our next SDP. The leg's lock is held.
func (l *Leg) local(formats []format, dir direction) *localMedia {
	return &localMedia{
		session: l.nego.session, version: l.nego.version + 1,
		rtp:     netip.AddrPortFrom(l.at.Advertise, l.port),
		formats: formats, dir: dir, protos: []string{"RTP", "AVP"},
	}
}

// Codec is the codec the leg sends, or the zero Codec before anything was agreed.
func (l *Leg) Codec() Codec {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nego.codec
}

// Held tells whether the peer has put us on hold: it does not want to hear us (sendonly, inactive
// or 0.0.0.0). The leg sends nothing meanwhile; prompts run on unheard.
func (l *Leg) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nego.held
}
