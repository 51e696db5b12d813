package media

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pion/sdp/v3"
)

// browserMedia is what our SDP says beside when keys come by DTLS.
type browserMedia struct {
	fingerprint string
	setup       string
	ufrag, pwd  string // "" without ICE
	mid, bundle string
	source      string // our SSRC and name: some browsers play nothing that they don't know by SSRC
}

// readDTLS reads what a peer says of DTLS and ICE (RFC 8842, RFC 8839).
func (m *remoteMedia) readDTLS(session *sdp.SessionDescription, d *sdp.MediaDescription) {
	attribute := func(key string) string {
		if value, ok := d.Attribute(key); ok {
			return strings.TrimSpace(value)
		}
		value, _ := session.Attribute(key)
		return strings.TrimSpace(value)
	}
	// Older browsers offer RTP/SAVPF and mean DTLS.
	m.dtls = m.protos[0] == "UDP" || m.savp && len(m.cryptos) == 0 && attribute("fingerprint") != ""
	if !m.dtls {
		return
	}
	if f, ok := parseFingerprint(attribute("fingerprint")); ok {
		m.fingerprint = f
	}
	if m.setup = attribute("setup"); m.setup == "" {
		m.setup = "active" // RFC 4145 section 4
	}
	if _, lite := session.Attribute("ice-lite"); !lite {
		m.ufrag = attribute("ice-ufrag")
	}
	m.mid, _ = d.Attribute("mid")
	if group, ok := session.Attribute("group"); ok && m.mid != "" && strings.HasPrefix(group, "BUNDLE ") {
		m.bundle = m.mid
	}
	if !m.mux {
		m.rtcp = netip.AddrPort{} // reports would need a handshake of their own
	}
}

// session adds the lines for the session.
func (b *browserMedia) session(d *sdp.SessionDescription) {
	if b == nil {
		return
	}
	if b.bundle != "" {
		d.WithValueAttribute("group", "BUNDLE "+b.bundle)
	}
	if b.ufrag != "" {
		d.WithPropertyAttribute("ice-lite")
	}
}

// stream adds the lines for the audio stream, which is at addr.
func (b *browserMedia) stream(m *sdp.MediaDescription, addr netip.AddrPort) {
	if b == nil {
		return
	}
	if b.mid != "" {
		m.WithValueAttribute("mid", b.mid)
	}
	m.WithValueAttribute("fingerprint", b.fingerprint)
	m.WithValueAttribute("setup", b.setup)
	m.WithValueAttribute("msid", "hotline audio")
	m.WithValueAttribute("ssrc", b.source)
	if b.ufrag == "" {
		return
	}
	m.WithValueAttribute("ice-ufrag", b.ufrag)
	m.WithValueAttribute("ice-pwd", b.pwd)
	m.WithValueAttribute("candidate", fmt.Sprintf("1 1 udp 2130706431 %s %d typ host", addr.Addr(), addr.Port()))
	m.WithPropertyAttribute("end-of-candidates")
}

// judgeDTLS decides who begins the handshake, and refuses a stream that has no fingerprint.
func (s *secrets) judgeDTLS(m *remoteMedia) error {
	switch {
	case s.Policy == SRTPOff:
		return ErrEncrypted
	case s.Policy == SRTPRequired && !s.Private:
		return ErrKeysInClear
	case m.fingerprint.hash == 0:
		return ErrBadKeys
	}
	m.kind = DTLS
	m.client = m.setup == "passive"
	if m.setup == "actpass" && s.kind == DTLS {
		m.client = s.client // as it was (RFC 8842 section 5.3)
	}
	return nil
}

// answerDTLS fills in our answer to a peer that wants DTLS. The leg's lock is held.
func (l *Leg) answerDTLS(ours *localMedia, remote *remoteMedia) error {
	own, err := l.engine.identity.get()
	if err != nil {
		return err
	}
	b := &browserMedia{fingerprint: own.fingerprint, setup: "passive", mid: remote.mid, bundle: remote.bundle, source: l.source()}
	if remote.client {
		b.setup = "active"
	}
	if remote.ufrag != "" {
		b.ufrag, b.pwd = l.openICE(remote.ufrag).credentials()
	}
	ours.browser = b
	return nil
}

// source is our a=ssrc (RFC 5576).
func (l *Leg) source() string {
	ssrc, _, _, _, _ := l.sender.report(0)
	return fmt.Sprintf("%d cname:%s", ssrc, l.engine.cname)
}

// openICE answers the peer's checks from now on.
func (l *Leg) openICE(peer string) *ice {
	i := l.ice.Load()
	if i == nil {
		i = newICE()
		l.ice.Store(i)
	}
	if peer != "" {
		i.meet(peer)
	}
	return i
}

// OfferBrowser makes an SDP offer as browsers need it: SRTP with keys by DTLS, ICE (lite) and rtcp-mux. It
// may be made beside [Leg.Offer], for phones that ring together; SetAnswer takes what answers either. With
// SRTPOff it is the plain offer.
func (l *Leg) OfferBrowser() ([]byte, error) {
	l.mu.Lock()
	if l.secrets.Policy == SRTPOff {
		l.mu.Unlock()
		return l.Offer()
	}
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	return l.offerBrowser()
}

func (l *Leg) offerBrowser() ([]byte, error) {
	s := &l.secrets
	if s.Policy == SRTPRequired && !s.Private {
		return nil, fmt.Errorf("making SDP offer: %w", ErrKeysInClear)
	}
	own, err := l.engine.identity.get()
	if err != nil {
		return nil, fmt.Errorf("making SDP offer: %w", err)
	}
	ours := l.offered()
	ours.protos, ours.mux = []string{"UDP", "TLS", "RTP", "SAVPF"}, true
	b := &browserMedia{fingerprint: own.fingerprint, setup: "actpass", mid: "0", bundle: "0", source: l.source()}
	if s.kind == DTLS { // again to a peer that we know
		ours.protos, b.mid, b.bundle = s.protos, s.mid, s.bundle
	}
	if s.kind != DTLS || l.ice.Load() != nil {
		b.ufrag, b.pwd = l.openICE("").credentials()
	}
	ours.browser = b
	text, err := ours.description([]*sdp.MediaDescription{ours.stream()})
	if err != nil {
		return nil, fmt.Errorf("making SDP offer: %w", err)
	}
	s.offeredDTLS = true
	l.nego.version, l.nego.offered = ours.version, true
	l.rx.expect(ours.formats)
	return text, nil
}
