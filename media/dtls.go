package media

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/deadline"
)

// ErrFingerprint says that another certificate shook hands than the one that signalling announced: the
// media are somebody else's.
var ErrFingerprint = errors.New("the DTLS certificate isn't the one of the SDP")

const (
	handshakeWithin  = 20 * time.Second
	waitingDatagrams = 32 // of a handshake; more are dropped, and sent again by the peer
)

// fingerprint is an a=fingerprint attribute (RFC 8122).
type fingerprint struct {
	hash crypto.Hash
	sum  []byte
}

var fingerprintHashes = map[string]crypto.Hash{"sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512}

func parseFingerprint(value string) (f fingerprint, ok bool) {
	name, text, _ := strings.Cut(strings.TrimSpace(value), " ")
	f.hash = fingerprintHashes[strings.ToLower(name)]
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	f.sum = sum
	return f, err == nil && f.hash != 0 && len(sum) == f.hash.Size()
}

func (f fingerprint) equal(o fingerprint) bool { return f.hash == o.hash && bytes.Equal(f.sum, o.sum) }

// of tells whether it is the certificate's.
func (f fingerprint) of(certificate []byte) bool {
	h := f.hash.New()
	h.Write(certificate)
	return subtle.ConstantTimeCompare(h.Sum(nil), f.sum) == 1
}

// identity is the certificate of an engine, made when first needed: it says nothing but that the hands
// shaken are those of the SDP.
type identity struct {
	once        sync.Once
	certificate tls.Certificate
	fingerprint string // as SDP says it
	err         error
}

func (i *identity) get() (*identity, error) {
	i.once.Do(func() {
		if i.certificate, i.err = selfsign.GenerateSelfSigned(); i.err != nil {
			return
		}
		h := crypto.SHA256.New()
		h.Write(i.certificate.Certificate[0])
		i.fingerprint = "sha-256 " + strings.ReplaceAll(fmt.Sprintf("% X", h.Sum(nil)), " ", ":")
	})
	return i, i.err
}

// handshake is a leg's DTLS association (RFC 5763, RFC 5764): a net.PacketConn over the RTP socket, fed by
// who reads that. It has a goroutine of its own until the leg closes.
type handshake struct {
	leg    *Leg
	peer   fingerprint
	client bool
	lite   bool // ICE tells where the peer is

	in    chan []byte
	read  *deadline.Deadline
	ready chan struct{} // closed when it is known where the peer is
	done  chan struct{}

	mu     sync.Mutex
	closed bool
	known  bool
	heard  bool // from where SDP says; nobody else is the peer any more
	to     target
	src    netip.AddrPort
}

func newHandshake(l *Leg, peer fingerprint, client, lite bool) *handshake {
	return &handshake{
		leg: l, peer: peer, client: client, lite: lite, in: make(chan []byte, waitingDatagrams),
		read: deadline.New(), ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// redirect says where the peer is.
func (h *handshake) redirect(to netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.src, h.to = to, newTarget(to)
	if !h.known {
		h.known = true
		close(h.ready)
	}
}

// take hands on what came by the RTP port; false when it is from a stranger or too much. Without ICE, a
// peer behind a NAT is where the first datagram comes from, until one comes from where SDP says.
func (h *handshake) take(data []byte, src, signalled netip.AddrPort, strict bool) bool {
	h.mu.Lock()
	from := h.src
	h.heard = h.heard || src == signalled
	moves := !h.lite && (src == signalled || from == signalled && !strict && !h.heard)
	h.mu.Unlock()
	if src != from {
		if !moves {
			return false
		}
		h.redirect(src)
	}
	select {
	case h.in <- bytes.Clone(data):
		return true
	default:
		return false
	}
}

// ReadFrom implements net.PacketConn.
func (h *handshake) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case data := <-h.in:
		return copy(p, data), h.RemoteAddr(), nil
	case <-h.read.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-h.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn; where to is for the peer to say, not for DTLS.
func (h *handshake) WriteTo(p []byte, _ net.Addr) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, net.ErrClosed
	}
	if h.known {
		_ = h.leg.pair.rtp.send(p, &h.to) // DTLS sends again what is lost
	}
	return len(p), nil
}

// Close implements net.PacketConn. The socket is the leg's.
func (h *handshake) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	return nil
}

// RemoteAddr is a name that stays: the way may change.
func (h *handshake) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero, Port: 1} }

// LocalAddr implements net.PacketConn.
func (h *handshake) LocalAddr() net.Addr { return &net.UDPAddr{Port: int(h.leg.port)} }

// SetDeadline implements net.PacketConn.
func (h *handshake) SetDeadline(t time.Time) error { return h.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (h *handshake) SetReadDeadline(t time.Time) error { h.read.Set(t); return nil }

// SetWriteDeadline implements net.PacketConn; writes never wait.
func (h *handshake) SetWriteDeadline(time.Time) error { return nil }

// run shakes hands, gives the leg its keys, and answers what the peer sends again until the leg closes.
func (h *handshake) run() {
	conn, err := h.shake()
	if err == nil {
		err = h.keys(conn)
	}
	if err != nil {
		h.leg.unsafe(h, err)
	}
	if conn == nil {
		return
	}
	var buf [256]byte
	for err == nil {
		_, err = conn.Read(buf[:])
	}
	_ = h.Close()
	_ = conn.Close()
}

func (h *handshake) shake() (*dtls.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWithin)
	defer cancel()
	select {
	case <-h.ready:
	case <-h.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, errors.New("no way to the peer was found")
	}
	own, err := h.leg.engine.identity.get()
	if err != nil {
		return nil, err
	}
	conn, err := h.open(own.certificate)
	if err != nil {
		return nil, err
	}
	return conn, conn.HandshakeContext(ctx)
}

// open makes the connection, in our role.
func (h *handshake) open(own tls.Certificate) (*dtls.Conn, error) {
	shared := []dtls.Option{
		dtls.WithCertificates(own),
		dtls.WithInsecureSkipVerify(true), // the fingerprint says whose it is
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || !h.peer.of(raw[0]) {
				return ErrFingerprint
			}
			return nil
		}),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_256_GCM),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithFlightInterval(200 * time.Millisecond),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled, Writer: discard{}}),
	}
	if h.client {
		var options []dtls.ClientOption
		for _, o := range shared {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(h, h.RemoteAddr(), options...)
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range shared {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(h, h.RemoteAddr(), options...)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// keys takes the keys from the handshake (RFC 5764 section 4.2) and gives them to the leg.
func (h *handshake) keys(conn *dtls.Conn) error {
	state, ok := conn.ConnectionState()
	profile, agreed := conn.SelectedSRTPProtectionProfile()
	if !ok || !agreed {
		return errors.New("the peer agrees to no SRTP profile")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, h.client); err != nil {
		return err
	}
	of := suite{profile: cfg.Profile, key: len(cfg.Keys.LocalMasterKey), salt: len(cfg.Keys.LocalMasterSalt)}
	return h.leg.safe(h,
		sdesKey{suite: of, keys: append(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt...)},
		sdesKey{suite: of, keys: append(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt...)})
}

// safe puts the keys of a handshake into force.
func (l *Leg) safe(h *handshake, peer, own sdesKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.handshake.Load() != h {
		return net.ErrClosed
	}
	if err := l.opener.Load().rekey(peer, l.rx.stream.ssrc); err != nil {
		return err
	}
	return l.sender.encrypt(own)
}

// unsafe ends the leg's life after a handshake that came to nothing, unless nobody waits for it any more.
func (l *Leg) unsafe(h *handshake, err error) {
	l.mu.Lock()
	over := l.closed || l.handshake.Load() != h
	if !over {
		l.failure = fmt.Errorf("agreeing on keys: %w", err)
	}
	l.mu.Unlock()
	if over {
		return
	}
	l.log.Warn("sound can't be encrypted: the DTLS handshake failed", "error", err)
	if l.expired.CompareAndSwap(false, true) {
		close(l.timedOut)
	}
}

// Failure tells why [Leg.Timeout] was closed early: keys for the sound could not be agreed on (DTLS). Nil
// while all is well.
func (l *Leg) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// shakeHands begins a handshake with the peer unless one with it is under way or over. The leg's lock is
// held.
func (l *Leg) shakeHands(remote *remoteMedia) {
	old := l.handshake.Load()
	if old != nil && old.peer.equal(remote.fingerprint) && old.client == remote.client {
		return
	}
	h := newHandshake(l, remote.fingerprint, remote.client, remote.ufrag != "")
	switch {
	case l.rx.latch.locked.IsValid() && h.lite:
		h.redirect(l.rx.latch.locked)
	case !h.lite && !remote.rtp.Addr().IsUnspecified():
		h.redirect(remote.rtp)
	}
	l.handshake.Store(h)
	if old != nil {
		_ = old.Close()
	}
	l.engine.handshakes.Go(h.run)
}
