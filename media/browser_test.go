package media

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
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
			plain.seesNoGap(l, other, tone)
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
	hello, broken := clientHello(t), append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40}, make([]byte, 40)...)
	stop, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			for _, datagram := range [][]byte{check.Raw, hello, broken, stranger.packet(8, silence(PCMA), frameSamples), {0}, {20}, {128, 200}} {
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

// seesNoGap hears the browser's tone for a second, and longer until thousands of datagrams were refused: none of its packets is missing
// or replaced.
func (p *phone) seesNoGap(browser, own *Leg, tone []byte) {
	p.t.Helper()
	before, from := p.hear(), browser.Stats().Unauthentic
	const second, refused = int(time.Second / ptime), 3000
	for n := 0; n < second || browser.Stats().Unauthentic < from+refused; n++ {
		if n == 20*second {
			p.t.Fatalf("only %d datagrams of the spray were refused", browser.Stats().Unauthentic-from)
		}
		p.speak(own, silence(PCMA))
		pkt := p.hear()
		if pkt.SequenceNumber != before.SequenceNumber+1 || pkt.SSRC != before.SSRC || !bytes.Equal(pkt.Payload, tone) {
			p.t.Fatalf("after %d packets: %+v of %d bytes came after %+v", n, pkt.Header, len(pkt.Payload), before.Header)
		}
		before = pkt
	}
}

// clientHello is how a stranger would begin a handshake.
func clientHello(t *testing.T) []byte {
	t.Helper()
	from, to := newPhone(t, PCMA).rtp, newPhone(t, PCMA).rtp
	c, err := dtls.ClientWithOptions(from, to.LocalAddr(), dtls.WithInsecureSkipVerify(true), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.HandshakeContext(ctx)
	}()
	hello := readDatagram(t, to)
	cancel()
	<-done
	_ = c.Close()
	if hello[0] != 22 || hello[13] != 1 {
		t.Fatalf("% x is no ClientHello", hello[:14])
	}
	return hello
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
