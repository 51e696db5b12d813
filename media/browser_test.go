package media

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// browser is a PeerConnection with one audio track, as a browser phone has it.
type browser struct {
	t     testing.TB
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	heard chan []byte // payloads
}

func openBrowser(t testing.TB) *browser {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	m := new(webrtc.MediaEngine)
	pcma := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: pcma, PayloadType: 8}, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, pc: pc, heard: make(chan []byte, 100)}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	if b.track, err = webrtc.NewTrackLocalStaticRTP(pcma, "audio", "phone"); err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTrack(b.track); err != nil {
		t.Fatal(err)
	}
	pc.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := r.ReadRTP()
			if err != nil {
				return
			}
			select {
			case b.heard <- p.Payload:
			default:
			}
		}
	})
	return b
}

// local sets the browser's description and waits for its candidates.
func (b *browser) local(d webrtc.SessionDescription, err error) []byte {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(d); err != nil {
		b.t.Fatal(err)
	}
	wait(b.t, "the browser's candidates", gathered)
	return []byte(b.pc.LocalDescription().SDP)
}

func (b *browser) remote(kind webrtc.SDPType, text []byte) {
	b.t.Helper()
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: string(text)}); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
}

// offersTo calls the leg.
func (b *browser) offersTo(l *Leg) {
	b.t.Helper()
	answer, err := l.Answer(b.local(b.pc.CreateOffer(nil)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.remote(webrtc.SDPTypeAnswer, answer)
}

// answers is called by the leg.
func (b *browser) answers(l *Leg) {
	b.t.Helper()
	offer, err := l.OfferBrowser()
	if err != nil {
		b.t.Fatal(err)
	}
	b.remote(webrtc.SDPTypeOffer, offer)
	if err := l.SetAnswer(b.local(b.pc.CreateAnswer(nil))); err != nil {
		b.t.Fatal(err)
	}
}

// speak sends a tone until the test is over.
func (b *browser) speak(p *phone, frame []byte) {
	stop, done := make(chan struct{}), make(chan struct{})
	b.t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(ptime)
		defer tick.Stop()
		for {
			_, _ = b.track.Write(p.packet(8, frame, frameSamples))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
}

// A browser calls, or is called: tones both ways through a bridge with a plain phone, while strangers spray
// STUN, DTLS and RTP at the leg.
func TestBrowser(t *testing.T) {
	for name, connect := range map[string]func(*browser, *Leg){"it calls": (*browser).offersTo, "it is called": (*browser).answers} {
		t.Run(name, func(t *testing.T) {
			e := openEngine(t, func(c *Config) { c.ReportInterval = 50 * time.Millisecond; c.RTPTimeout = time.Minute })
			l, b := openLeg(t, e), openBrowser(t)
			l.Protect(Protection{SRTPRequired, true})
			spray(t, l)
			connect(b, l)
			tone := Tone(440, 20*time.Millisecond, 0.5).Frame(PCMA, 0)
			back := Tone(700, 20*time.Millisecond, 0.5).Frame(PCMA, 0)
			b.speak(newPhone(t, PCMA), tone)
			plain := newPhone(t, PCMA)
			other := plain.call(e)
			if err := Bridge(l, other); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(patience); !bytes.Equal(plain.hear().Payload, tone); {
				plain.speak(other, back)
				if time.Now().After(deadline) {
					t.Fatalf("the browser isn't heard: %+v, failure %v", l.Stats(), l.Failure())
				}
			}
			for deadline := time.Now().Add(patience); !bytes.Equal(wait(t, "sound at the browser", b.heard), back); {
				plain.speak(other, back)
				if time.Now().After(deadline) {
					t.Fatal("the browser hears nothing")
				}
			}
			for deadline := time.Now().Add(patience); !l.Stats().PeerBye; {
				if err := b.pc.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, &rtcp.Goodbye{Sources: []uint32{1}}}); err != nil {
					t.Fatal(err)
				}
				wait(t, "sound at the browser", b.heard)
				if time.Now().After(deadline) {
					t.Fatalf("no reports from the browser: %+v", l.Stats())
				}
			}
			if s := l.Stats(); s.Secure != DTLS || s.SSRCChanges != 0 || s.Unauthentic == 0 || s.Stray != 0 || isClosed(l.Timeout()) {
				t.Errorf("%+v", s)
			}
			if n := cap(l.handshake.Load().in); len(l.handshake.Load().in) == n {
				t.Errorf("%d datagrams wait", n)
			}
		})
	}
}

// spray sends what a stranger may send until the test is over.
func spray(t *testing.T, l *Leg) {
	stranger := newPhone(t, PCMA)
	var check stun.Message
	if err := check.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("x:y"), stun.NewShortTermIntegrity("guess"), stun.Fingerprint); err != nil {
		t.Fatal(err)
	}
	hello := append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40}, make([]byte, 40)...)
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			for _, datagram := range [][]byte{check.Raw, hello, stranger.packet(8, silence(PCMA), frameSamples), {0}, {20}, {128, 200}} {
				_, _ = stranger.rtp.WriteToUDPAddrPort(datagram, l.LocalAddr())
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
}

// Whoever shakes hands must have the certificate that the SDP names.
func TestForeignFingerprint(t *testing.T) {
	e := openEngine(t, nil)
	l, b := openLeg(t, e), openBrowser(t)
	offer := b.local(b.pc.CreateOffer(nil))
	forged := regexp.MustCompile(`fingerprint:sha-256 ..`).ReplaceAll(offer, []byte("fingerprint:sha-256 00"))
	answer, err := l.Answer(forged)
	if err != nil {
		t.Fatal(err)
	}
	b.remote(webrtc.SDPTypeAnswer, answer)
	wait(t, "the end of the leg", l.Timeout())
	if err := l.Failure(); err == nil || !errors.Is(err, ErrFingerprint) {
		t.Errorf("failure %v, want %v", err, ErrFingerprint)
	}
	if s := l.Stats(); s.PacketsSent != 0 {
		t.Errorf("%d packets left without keys", s.PacketsSent)
	}
}

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
			cfg := &dtls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true, ClientAuth: dtls.RequireAnyClientCert,
				SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}}
			shake := dtls.Server
			if client {
				shake = dtls.Client
			}
			conn, err := shake(packetsOnly{p.rtp}, net.UDPAddrFromAddrPort(l.LocalAddr()), cfg)
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
