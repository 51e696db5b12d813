package media

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
)

// dtlsOffer is the SDP of a phone with DTLS and no ICE.
func dtlsOffer(p *phone, certificate []byte, setup string, lines ...string) []byte {
	h := fingerprintHashes["sha-256"].New()
	h.Write(certificate)
	sum := strings.ReplaceAll(fmt.Sprintf("% X", h.Sum(nil)), " ", ":")
	text := string(p.offer(append(lines, "a=fingerprint:SHA-256 "+sum, "a=setup:"+setup, "a=rtcp-mux")...))
	return []byte(strings.Replace(text, "RTP/AVP", "UDP/TLS/RTP/SAVP", 1))
}

// A phone without ICE shakes hands from where its SDP says, in both roles, and speaks.
func TestDTLSWithoutICE(t *testing.T) {
	for _, setup := range []string{"active", "actpass", "passive"} {
		t.Run(setup, func(t *testing.T) {
			certificate, err := selfsign.GenerateSelfSigned()
			if err != nil {
				t.Fatal(err)
			}
			e := openEngine(t, nil)
			l, p := openLeg(t, e), newPhone(t, PCMA)
			p.seq = 1 // RFC 3711 3.3.1: what is sent before the keys are known must not wrap
			answer, err := l.Answer(dtlsOffer(p, certificate.Certificate[0], setup))
			if err != nil {
				t.Fatal(err)
			}
			want, client := "a=setup:passive", true
			if setup == "passive" {
				want, client = "a=setup:active", false
			}
			if !bytes.Contains(answer, []byte(want)) || bytes.Contains(answer, []byte("ice")) {
				t.Fatalf("answer\n%s", answer)
			}
			conn, err := shakeWith(p, l, certificate, client)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := conn.HandshakeContext(ctx); err != nil {
				t.Fatal(err)
			}
			state, _ := conn.ConnectionState()
			keys := srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
			if err := keys.ExtractSessionKeysFromDTLS(&state, client); err != nil {
				t.Fatal(err)
			}
			out, err := srtp.CreateContext(keys.Keys.LocalMasterKey, keys.Keys.LocalMasterSalt, keys.Profile)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for deadline := time.Now().Add(patience); l.Stats().PacketsReceived == 0; {
				packet, err := out.EncryptRTP(nil, p.packet(8, silence(PCMA), frameSamples), nil)
				if err != nil {
					t.Fatal(err)
				}
				p.send(l, packet)
				if time.Now().After(deadline) {
					t.Fatalf("nothing heard: %+v, %v", l.Stats(), l.Failure())
				}
			}
			// A re-INVITE keeps the association.
			before := l.handshake.Load()
			if _, err := l.Answer(dtlsOffer(p, certificate.Certificate[0], "actpass")); err != nil || l.handshake.Load() != before {
				t.Errorf("re-INVITE: %v, another handshake %v", err, l.handshake.Load() != before)
			}
			if _, err := l.Answer(p.offer()); !errors.Is(err, ErrNotEncrypted) {
				t.Errorf("back to plain: %v", err)
			}
		})
	}
}

// shakeWith is the phone's end of a handshake with the leg.
func shakeWith(p *phone, l *Leg, certificate tls.Certificate, client bool) (*dtls.Conn, error) {
	conn, to := packetsOnly{p.rtp}, net.UDPAddrFromAddrPort(l.LocalAddr())
	profiles := dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	if client {
		return dtls.ClientWithOptions(conn, to, dtls.WithCertificates(certificate), dtls.WithInsecureSkipVerify(true), profiles)
	}
	return dtls.ServerWithOptions(conn, to, dtls.WithCertificates(certificate), dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), profiles)
}

// packetsOnly hides that the socket is a UDPConn, and its Close.
type packetsOnly struct{ net.PacketConn }

func (packetsOnly) Close() error { return nil }

func TestDTLSPolicy(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	good := dtlsOffer(p, []byte("x"), "actpass", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901")
	for _, c := range []struct {
		name  string
		p     Protection
		offer []byte
		err   error
	}{
		{"accepted", Protection{SRTPAccepted, false}, good, nil},
		{"off", Protection{SRTPOff, true}, good, ErrEncrypted},
		{"required", Protection{SRTPRequired, true}, good, nil},
		{"required, fingerprint in clear", Protection{SRTPRequired, false}, good, ErrKeysInClear},
		{"no fingerprint", Protection{SRTPAccepted, true}, bytes.Replace(good, []byte("a=fingerprint"), []byte("a=x"), 1), ErrBadKeys},
		{"a hash that is none", Protection{SRTPAccepted, true}, bytes.Replace(good, []byte("SHA-256"), []byte("MD5"), 1), ErrBadKeys},
	} {
		l := openLeg(t, e)
		l.Protect(c.p)
		answer, err := l.Answer(c.offer)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
			continue
		}
		for _, line := range []string{"UDP/TLS/RTP/SAVP 8", "a=ice-lite\r", "a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 ", "a=setup:passive\r", "a=rtcp-mux\r",
			fmt.Sprintf("a=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host\r", l.port)} {
			if err == nil && !bytes.Contains(answer, []byte(line)) {
				t.Errorf("%s: no %q in\n%s", c.name, line, answer)
			}
		}
	}
}

// Only who knows our password is answered, and told where it is seen from.
func TestChecks(t *testing.T) {
	i := newICE()
	ufrag, pwd := i.credentials()
	src := netip.MustParseAddrPort("192.0.2.7:4567")
	build := func(user, key string, more ...stun.Setter) []byte {
		m := new(stun.Message)
		setters := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(user)}, more...)
		if err := m.Build(append(setters, stun.NewShortTermIntegrity(key), stun.Fingerprint)...); err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	use := stun.RawAttribute{Type: stun.AttrUseCandidate}
	controlled := stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)}
	unmarked := new(stun.Message)
	if err := unmarked.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":p"), stun.NewShortTermIntegrity(pwd)); err != nil {
		t.Fatal(err)
	}
	spoiled := build(ufrag+":p", pwd)
	spoiled[30] ^= 1
	for _, c := range []struct {
		name             string
		data             []byte
		answered, chosen bool
	}{
		{"a check", build(ufrag+":p", pwd), true, false},
		{"a choice", build(ufrag+":p", pwd, setter{use}), true, true},
		{"who wants us to choose", build(ufrag+":p", pwd, setter{controlled}, setter{use}), true, false},
		{"another name", build("other:p", pwd), false, false},
		{"another password", build(ufrag+":p", "guess"), false, false},
		{"no fingerprint", unmarked.Raw, false, false},
		{"spoiled", spoiled, false, false},
		{"too long", make([]byte, maxCheck+1), false, false},
	} {
		answer, chosen := i.check(c.data, src)
		if (answer != nil) != c.answered || chosen != c.chosen {
			t.Errorf("%s: answered %v, chosen %v", c.name, answer != nil, chosen)
		}
		if c.name != "a check" {
			continue
		}
		m := new(stun.Message)
		m.Raw = append(m.Raw, answer...)
		var seen stun.XORMappedAddress
		if m.Decode() != nil || m.Type != stun.BindingSuccess || seen.GetFrom(m) != nil || seen.String() != src.String() ||
			stun.NewShortTermIntegrity(pwd).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
			t.Errorf("answer %s, seen from %s", m, seen)
		}
	}
	i.meet("p")
	i.meet("p")
	if same, _ := i.credentials(); same != ufrag {
		t.Error("credentials change without cause")
	}
	i.meet("q")
	if same, _ := i.credentials(); same == ufrag {
		t.Error("ICE begins anew with the old credentials")
	}
}

type setter struct{ stun.RawAttribute }

func (s setter) AddTo(m *stun.Message) error { m.Add(s.Type, s.Value); return nil }

func FuzzCheck(f *testing.F) {
	i := newICE()
	i.ufrag, i.pwd = "ufrag", "password"
	m := new(stun.Message)
	if err := m.Build(stun.NewTransactionIDSetter([12]byte{1}), stun.BindingRequest, stun.NewUsername("ufrag:p"), setter{stun.RawAttribute{Type: stun.AttrUseCandidate}},
		stun.NewShortTermIntegrity("password"), stun.Fingerprint); err != nil {
		f.Fatal(err)
	}
	f.Add(m.Raw)
	src := netip.MustParseAddrPort("[2001:db8::1]:4567")
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, chosen := i.check(data, src)
		if answer == nil && chosen || answer != nil && !bytes.Contains(data, []byte("ufrag:")) {
			t.Errorf("answer %x, chosen %v", answer, chosen)
		}
	})
}
