package media

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// secret is a phone with keys of its own.
type secret struct {
	*phone
	in, out *srtp.Context
}

// callSecret connects an encrypted phone to a new leg.
func callSecret(t testing.TB, e *Engine, name string) (*secret, *Leg) {
	p := &secret{phone: newPhone(t, PCMA)}
	l := openLeg(t, e)
	p.negotiate(l, keyLine(1, name, 1))
	return p, l
}

// negotiate offers a key to the leg and takes its.
func (p *secret) negotiate(l *Leg, key string) {
	p.t.Helper()
	offer := strings.Replace(string(p.offer(key)), "RTP/AVP", "RTP/SAVP", 1)
	answer, err := l.Answer([]byte(offer))
	if err != nil {
		p.t.Fatal(err)
	}
	theirs := regexp.MustCompile(`a=crypto:(.*)\r`).FindSubmatch(answer)
	in, ok1 := parseCrypto(string(theirs[1]))
	out, ok2 := parseCrypto(strings.TrimPrefix(key, "a=crypto:"))
	if !ok1 || !ok2 {
		p.t.Fatalf("keys:\n%s", answer)
	}
	if p.in == nil {
		if p.in, err = in.context(); err != nil {
			p.t.Fatal(err)
		}
	}
	if p.out, err = out.context(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *secret) next() []byte {
	p.t.Helper()
	packet, err := p.out.EncryptRTP(nil, p.packet(8, silence(PCMA), frameSamples), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return packet
}

func (p *secret) take(l *Leg, packet []byte) { l.receive(packet, addrOf(p.rtp), l.engine.now()) }

// Voice, keys and reports pass encrypted both ways, in each suite; the other side of the bridge is plain.
func TestEncryptedCall(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			e := openEngine(t, func(c *Config) { c.ReportInterval = 50 * time.Millisecond })
			p, l := callSecret(t, e, s.name)
			plain := newPhone(t, PCMU)
			other := plain.call(e)
			if err := Bridge(l, other); err != nil {
				t.Fatal(err)
			}
			voice := Tone(440, 20*time.Millisecond, 0.5).Frame(PCMA, 0)
			for range 3 {
				packet, err := p.out.EncryptRTP(nil, p.packet(8, bytes.Clone(voice), frameSamples), nil)
				if err != nil {
					t.Fatal(err)
				}
				p.send(l, packet)
			}
			want := make([]byte, len(voice))
			transcode(want, PCMU, voice, PCMA)
			for !bytes.Equal(plain.hear().Payload, want) {
			}
			for range 3 {
				plain.speak(other, want)
			}
			for deadline := time.Now().Add(patience); ; {
				packet, err := p.in.DecryptRTP(nil, readDatagram(t, p.rtp), nil)
				if err != nil {
					t.Fatal(err)
				}
				// µ-law and back costs a step or two, silence is far away.
				if Goertzel(linear(packet[12:]), 440, 8000) > 0.2 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the plain phone's voice did not come through")
				}
			}
			report, err := p.in.DecryptRTCP(nil, readDatagram(t, p.rtcp), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rtcp.Unmarshal(report); err != nil {
				t.Fatal(err)
			}
			bye, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc}, &rtcp.Goodbye{Sources: []uint32{p.ssrc}}})
			if err != nil {
				t.Fatal(err)
			}
			l.receiveReport(bytes.Clone(bye), addrOf(p.rtcp), e.now())
			if s := l.Stats(); s.PeerBye || s.Unauthentic != 1 {
				t.Errorf("a BYE in clear: %+v", s)
			}
			if bye, err = p.out.EncryptRTCP(nil, bye, nil); err != nil {
				t.Fatal(err)
			}
			l.receiveReport(bye, addrOf(p.rtcp), e.now())
			if s := l.Stats(); !s.PeerBye || s.Secure != SDES || s.Invalid != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func linear(payload []byte) []int16 {
	pcm := make([]int16, len(payload))
	for i, b := range payload {
		pcm[i] = DecodeALaw(b)
	}
	return pcm
}

// What isn't the peer's is counted and changes nothing: not where we send, nor what is heard.
func TestForgedPackets(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			e := openEngine(t, nil)
			p, l := callSecret(t, e, s.name)
			first := p.next()
			p.take(l, bytes.Clone(first))
			at := l.Stats().RemoteAddr
			stranger := newPhone(t, PCMA)
			other, _ := callSecret(t, e, s.name)
			other.negotiate(openLeg(t, e), keyLine(1, s.name, 2))
			spoiled := p.next()
			spoiled[20] ^= 1
			short := p.next()[:15]
			for _, bad := range [][]byte{bytes.Clone(first), p.packet(8, silence(PCMA), frameSamples), other.next(), spoiled, short, {}, {0x80}} {
				l.receive(bad, addrOf(stranger.rtp), e.now()+time.Minute)
			}
			if s := l.Stats(); s.Unauthentic != 7 || s.PacketsReceived != 1 || s.RemoteAddr != at {
				t.Errorf("%d unauthentic, %d received from %s; want 7, 1 from %s", s.Unauthentic, s.PacketsReceived, s.RemoteAddr, at)
			}
			p.take(l, p.next())
			if s := l.Stats(); s.PacketsReceived != 2 {
				t.Errorf("the peer isn't heard any more: %+v", s)
			}
		})
	}
}

// A leg that needs SRTP hears nothing before it has keys, and no re-INVITE makes an encrypted one plain.
func TestNoWayBackToPlain(t *testing.T) {
	e := openEngine(t, nil)
	l := openLeg(t, e)
	l.Protect(Protection{SRTPRequired, true})
	if _, err := l.Offer(); err != nil {
		t.Fatal(err)
	}
	plain := newPhone(t, PCMA)
	l.receive(plain.packet(8, silence(PCMA), frameSamples), addrOf(plain.rtp), e.now())
	if s := l.Stats(); s.PacketsReceived != 0 || s.Unauthentic != 1 {
		t.Errorf("early plain RTP: %+v", s)
	}
	p, m := callSecret(t, e, sha80)
	if _, err := m.Answer(p.offer()); !errors.Is(err, ErrNotEncrypted) {
		t.Errorf("back to plain: %v", err)
	}
	p.take(m, p.next())
	if s := m.Stats(); s.PacketsReceived != 1 || s.Secure != SDES {
		t.Errorf("after the refusal: %+v", s)
	}
	if offer, err := m.Offer(); err != nil || !bytes.Contains(offer, []byte("RTP/SAVP 8")) || bytes.Count(offer, []byte("a=crypto:1 "+sha80+" ")) != 1 {
		t.Errorf("our next offer: %v\n%s", err, offer)
	}
}

// A re-INVITE brings new keys: what is on its way with the old ones is heard, the stream goes on, our
// own key stays; and the peer's rollover counter may go on or begin anew.
func TestNewKeys(t *testing.T) {
	for _, goesOn := range []bool{false, true} {
		e := openEngine(t, nil)
		p, l := callSecret(t, e, sha80)
		p.take(l, p.next())
		for range 10 { // over the wrap
			p.take(l, p.next())
		}
		old := []([]byte){p.next(), p.next()}
		p.negotiate(l, keyLine(1, sha80, 9))
		if goesOn {
			p.out.SetROC(p.ssrc, 1)
		}
		for _, packet := range old {
			p.take(l, packet)
		}
		late := p.seq
		p.take(l, p.next())
		if s := l.Stats(); s.PacketsReceived != 14 || s.Unauthentic != 0 {
			t.Errorf("counter goes on %v: %d received, %d unauthentic (at %d)", goesOn, s.PacketsReceived, s.Unauthentic, late)
		}
		if n := len(l.opener.Load().try); n != 1 {
			t.Errorf("%d keys in force after the peer has changed over", n)
		}
		if _, err := p.in.DecryptRTP(nil, readDatagram(t, p.rtp), nil); err != nil {
			t.Errorf("our stream: %v", err)
		}
	}
}

// racing tells that the race detector watches.
var racing bool

// Encryption leaves nothing to collect either. The race detector makes SHA-1 allocate, so with it only the
// suites without are asked; `make test` runs this once more without the detector.
func TestEncryptedRelayAllocatesNothing(t *testing.T) {
	for _, s := range suites {
		if racing && !strings.HasPrefix(s.name, "AEAD") {
			continue
		}
		if n := testing.AllocsPerRun(1000, secretStep(t, s.name)); n >= 1 {
			t.Errorf("%s: %v allocations a packet", s.name, n)
		}
	}
}

// secretStep bridges two encrypted legs and returns a function that passes one packet.
func secretStep(t testing.TB, name string) func() {
	e := openEngine(t, nil)
	mouth, a := callSecret(t, e, name)
	_, z := callSecret(t, e, name)
	if err := Bridge(a, z); err != nil {
		t.Fatal(err)
	}
	src, plain, packet := addrOf(mouth.rtp), mouth.packet(8, silence(PCMA), frameSamples), make([]byte, 0, 300)
	var at uint32
	var hdr rtp.Header
	step := func() {
		at++
		plain[2], plain[3] = byte(at>>8), byte(at)
		plain[6], plain[7] = byte(at*160>>8), byte(at*160)
		sealed, err := mouth.out.EncryptRTP(packet, plain, &hdr)
		if err != nil {
			t.Fatal(err)
		}
		a.receive(sealed, src, e.now())
	}
	step()
	return step
}

func BenchmarkEncryptedRelay(b *testing.B) {
	for _, s := range suites {
		b.Run(s.name, func(b *testing.B) {
			step := secretStep(b, s.name)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// Ten thousand bad packets a second, half of them well-formed and a quarter from the phone's own address with a
// wrong tag, some ahead of the true packet, while the call goes on: the peer is heard (not one packet is lost where the
// test doesn't share its processor).
func TestFloodOfBadPackets(t *testing.T) {
	e := openEngine(t, nil)
	p, l := callSecret(t, e, sha80)
	flood := newPhone(t, PCMA)
	const seconds, rate, voice = 2, 10000, 50
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, bad, said, last := time.Now(), 0, 0, []byte(nil)
	for bad < seconds*rate { // as much as is due by now, whatever ticks were missed
		for elapsed := time.Since(began); said < int(elapsed.Seconds()*voice); said++ {
			last = p.next()
			p.send(l, spoiled(last)) // that must not make the true one a repetition
			p.send(l, last)
		}
		due := min(int(time.Since(began).Seconds()*rate), seconds*rate)
		for ; bad < due; bad++ {
			b := flood.packet(8, silence(PCMA), frameSamples)
			if bad&1 == 0 {
				b[bad%20] ^= 0xFF
			}
			if bad&3 == 1 && last != nil {
				p.send(l, spoiled(last))
				continue
			}
			flood.send(l, b)
		}
		<-tick.C
	}
	s := l.Stats()
	if s.PacketsReceived < seconds*voice*90/100 || s.Lost > seconds*voice*10/100 {
		t.Errorf("%d of %d packets heard, %d lost", s.PacketsReceived, said, s.Lost)
	}
	if s.Unauthentic < seconds*rate/2 || isClosed(l.Timeout()) {
		t.Errorf("%d unauthentic of %d", s.Unauthentic, seconds*rate)
	}
}

// spoiled is the packet with another tag.
func spoiled(packet []byte) []byte {
	b := bytes.Clone(packet)
	b[len(b)-1] ^= 0xFF
	return b
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
