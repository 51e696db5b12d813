package media

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// keyLine is an a=crypto line whose key is all of one byte.
func keyLine(tag int, name string, fill byte) string {
	of, _ := suiteNamed(name)
	keys := bytes.Repeat([]byte{fill}, of.key+of.salt)
	return fmt.Sprintf("a=crypto:%d %s inline:%s", tag, name, base64.StdEncoding.EncodeToString(keys))
}

const sha80 = "AES_CM_128_HMAC_SHA1_80"

func TestPolicyAgainstOffer(t *testing.T) {
	key := keyLine(7, sha80, 1)
	plain := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8")
	both := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", key)
	safe := sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", key)
	keyless := sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8")
	choice := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/SAVPF 8", key)
	const (
		asAVP, asBoth   = "RTP/AVP none", "RTP/AVP sdes"
		asSAVP, asSAVPF = "RTP/SAVP sdes", "RTP/SAVPF sdes"
	)
	type of map[SRTP]any
	for _, c := range []struct {
		name    string
		offer   []byte
		private bool
		want    of
	}{
		{"plain", plain, true, of{SRTPOff: asAVP, SRTPAccepted: asAVP, SRTPPreferred: asAVP, SRTPRequired: ErrNotEncrypted}},
		{"plain, signalling too", plain, false, of{SRTPOff: asAVP, SRTPAccepted: asAVP, SRTPPreferred: asAVP, SRTPRequired: ErrNotEncrypted}},
		{"plain with keys", both, true, of{SRTPOff: asAVP, SRTPAccepted: asBoth, SRTPPreferred: asBoth, SRTPRequired: asBoth}},
		{"plain with keys in clear", both, false, of{SRTPOff: asAVP, SRTPAccepted: asBoth, SRTPPreferred: asBoth, SRTPRequired: ErrKeysInClear}},
		{"encrypted", safe, true, of{SRTPOff: ErrEncrypted, SRTPAccepted: asSAVP, SRTPPreferred: asSAVP, SRTPRequired: asSAVP}},
		{"encrypted, keys in clear", safe, false, of{SRTPOff: ErrEncrypted, SRTPAccepted: asSAVP, SRTPPreferred: asSAVP, SRTPRequired: ErrKeysInClear}},
		{"encrypted without keys", keyless, true, of{SRTPOff: ErrEncrypted, SRTPAccepted: ErrBadKeys, SRTPPreferred: ErrBadKeys, SRTPRequired: ErrBadKeys}},
		{"the choice", choice, true, of{SRTPOff: asAVP, SRTPAccepted: asSAVPF, SRTPPreferred: asSAVPF, SRTPRequired: asSAVPF}},
	} {
		for policy, want := range c.want {
			t.Run(fmt.Sprintf("%s, policy %d", c.name, policy), func(t *testing.T) {
				l := openLeg(t, openEngine(t, nil))
				l.Protect(Protection{policy, c.private})
				answer, err := l.Answer(c.offer)
				if refused, ok := want.(error); ok {
					if !errors.Is(err, refused) || l.Stats().Secure != Plain {
						t.Fatalf("error %v, want %v", err, refused)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				m := regexp.MustCompile(`m=audio [1-9][0-9]* (\S+)`).FindSubmatch(answer)
				if got := string(m[1]) + " " + l.Stats().Secure.String(); got != want {
					t.Errorf("answered %s, want %s\n%s", got, want, answer)
				}
				if safe := l.Stats().Secure != Plain; safe != bytes.Contains(answer, []byte("a=crypto:7 "+sha80+" inline:")) {
					t.Errorf("secure %v, answer\n%s", safe, answer)
				}
				if bytes.Contains(answer, []byte(key)) {
					t.Error("the peer's own key comes back")
				}
			})
		}
	}
}

func TestPolicyOfOffers(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		p      Protection
		protos string
		keys   int
		err    error
	}{
		{Protection{SRTPOff, true}, "RTP/AVP", 0, nil},
		{Protection{SRTPAccepted, true}, "RTP/AVP", 0, nil},
		{Protection{SRTPPreferred, true}, "RTP/AVP", 4, nil},
		{Protection{SRTPPreferred, false}, "RTP/AVP", 4, nil},
		{Protection{SRTPRequired, true}, "RTP/SAVP", 4, nil},
		{Protection{SRTPRequired, false}, "", 0, ErrKeysInClear},
	} {
		l := openLeg(t, e)
		l.Protect(c.p)
		offer, err := l.Offer()
		if !errors.Is(err, c.err) {
			t.Errorf("%+v: %v, want %v", c.p, err, c.err)
		}
		if n := bytes.Count(offer, []byte("a=crypto:")); n != c.keys || c.err == nil && !bytes.Contains(offer, []byte(c.protos+" ")) {
			t.Errorf("%+v: want %s with %d keys\n%s", c.p, c.protos, c.keys, offer)
		}
	}
}

func TestAnswersToOurKeys(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		name   string
		policy SRTP
		answer []byte
		want   any
	}{
		{"our second key", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(2, sha80, 1)), SDES},
		{"keys left aside", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8"), Plain},
		{"keys taken", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", keyLine(1, "AEAD_AES_128_GCM", 1)), SDES},
		{"plain where it mustn't be", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8"), ErrNotEncrypted},
		{"a tag that we never gave", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(9, sha80, 1)), ErrBadKeys},
		{"a tag of another suite", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", keyLine(1, sha80, 1)), ErrBadKeys},
		{"no key", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8"), ErrBadKeys},
		{"keys that nobody asked for", SRTPAccepted, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(1, sha80, 1)), ErrBadKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, e)
			l.Protect(Protection{c.policy, true})
			if _, err := l.Offer(); err != nil {
				t.Fatal(err)
			}
			err := l.SetAnswer(c.answer)
			if refused, ok := c.want.(error); ok {
				if !errors.Is(err, refused) {
					t.Errorf("error %v, want %v", err, refused)
				}
			} else if err != nil || l.Stats().Secure != c.want {
				t.Errorf("%v, %s; want %s", err, l.Stats().Secure, c.want)
			}
		})
	}
}

func TestCryptoAttributes(t *testing.T) {
	key30 := base64.StdEncoding.EncodeToString(make([]byte, 30))
	for _, c := range []struct {
		value string
		ok    bool
		mki   string
	}{
		{"1 " + sha80 + " inline:" + key30, true, ""},
		{"1 aes_cm_128_hmac_sha1_80 inline:" + key30, true, ""},
		{"1 " + sha80 + " inline:" + key30 + "|2^20", true, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1048576|1:4", true, "\x00\x00\x00\x01"},
		{"1 " + sha80 + " inline:" + key30 + "|258:2", true, "\x01\x02"},
		{"1 " + sha80 + " inline:" + key30 + " WSH=128", true, ""},
		{"1 " + sha80 + " inline:" + key30 + " -UNKNOWN=1", true, ""},
		{"1 " + sha80 + " inline:" + key30 + " UNENCRYPTED_SRTP", false, ""},
		{"1 " + sha80 + " inline:" + key30 + " KDR=1", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|258:1", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1:0", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1:200", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|2^20|1:4|x", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|often", false, ""},
		{"1 " + sha80 + " inline:" + key30 + ";inline:" + key30, false, ""},
		{"1 " + sha80 + " inline:" + key30[:20], false, ""},
		{"1 " + sha80 + " inline:!", false, ""},
		{"1 " + sha80 + " uri:" + key30, false, ""},
		{"1 AES_CM_256_ROT13 inline:" + key30, false, ""},
		{"1234567890 " + sha80 + " inline:" + key30, false, ""},
		{"x " + sha80 + " inline:" + key30, false, ""},
		{"1 " + sha80, false, ""},
		{"", false, ""},
	} {
		got, ok := parseCrypto(c.value)
		if ok != c.ok || string(got.mki) != c.mki {
			t.Errorf("%q: %v with MKI %x; want %v, %x", c.value, ok, got.mki, c.ok, c.mki)
		}
	}
}

func FuzzCrypto(f *testing.F) {
	f.Add(keyLine(1, sha80, 1)[len("a=crypto:"):] + "|2^20|1:4 WSH=64")
	f.Add(keyLine(1, "AEAD_AES_256_GCM", 1)[len("a=crypto:"):])
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := parseCrypto(value)
		if !ok {
			return
		}
		again, ok := parseCrypto(c.attribute())
		if !ok || again.tag != c.tag || !bytes.Equal(again.keys, c.keys) {
			t.Errorf("%q comes back as %q", value, c.attribute())
		}
		if _, err := c.context(); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	})
}

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

// Encryption leaves nothing to collect either.
func TestEncryptedRelayAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("the race detector makes SHA-1 allocate")
	}
	for _, s := range suites {
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

// Ten thousand bad packets a second, half of them well-formed, while the call goes on: every packet of
// the peer's is heard.
func TestFloodOfBadPackets(t *testing.T) {
	e := openEngine(t, nil)
	p, l := callSecret(t, e, sha80)
	flood := newPhone(t, PCMA)
	const seconds, rate, burst = 2, 10000, 50
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for turn := range seconds * rate / burst {
		if turn%4 == 0 {
			p.send(l, p.next())
		}
		for i := range burst {
			bad := flood.packet(8, silence(PCMA), frameSamples)
			if i&1 == 0 {
				bad[i%20] ^= 0xFF
			}
			flood.send(l, bad)
		}
		<-tick.C
	}
	s := l.Stats()
	if s.PacketsReceived < seconds*50*99/100 || s.Lost > seconds*50/100 {
		t.Errorf("%d of %d packets heard, %d lost", s.PacketsReceived, seconds*50, s.Lost)
	}
	if s.Unauthentic < seconds*rate/2 || isClosed(l.Timeout()) {
		t.Errorf("%d unauthentic of %d", s.Unauthentic, seconds*rate)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
