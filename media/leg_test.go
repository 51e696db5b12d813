package media

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// connect joins two legs by an offer of the first and an answer of the second, as a softphone made of
// a leg would.
func connect(t testing.TB, a, b *Leg) {
	t.Helper()
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetAnswer(answer); err != nil {
		t.Fatal(err)
	}
}

// window is a tenth of a second: whole periods of 440 and of 620 Hz.
const window = clockRate / 10

// waitForTone waits until freq sounds at half of full scale for a window, and returns that window.
func waitForTone(t *testing.T, l *Leg, freq float64) []int16 {
	t.Helper()
	windows := make(chan []int16, 1)
	var pcm []int16 // of the leg's reader
	l.OnAudio(func(frame []int16) {
		if pcm = append(pcm, frame...); len(pcm) < window {
			return
		}
		select {
		case windows <- pcm[:window]:
		default:
		}
		pcm = nil
	})
	defer l.OnAudio(nil)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		pcm := wait(t, "sound", windows)
		if level := Goertzel(pcm, freq, clockRate); level > 0.45 && level < 0.55 {
			return pcm
		}
	}
	t.Fatalf("%v Hz was never heard at half of full scale", freq)
	return nil
}

// A caller's tone reaches the agent and the agent's the caller, whatever codec each has.
func TestBridgeCarriesTonesBothWays(t *testing.T) {
	all := []Codec{PCMA, PCMU, G722}
	for i := range len(all) * len(all) {
		c := struct{ caller, agent Codec }{all[i/len(all)], all[i%len(all)]}
		t.Run(c.caller.String()+" to "+c.agent.String(), func(t *testing.T) {
			server := openEngine(t, func(cfg *Config) { cfg.Codecs = all })
			phone := func(codec Codec) (far, near *Leg) {
				e := openEngine(t, func(cfg *Config) { cfg.Codecs = []Codec{codec} })
				far, near = openLeg(t, e), openLeg(t, server)
				connect(t, far, near)
				if near.Codec() != codec || far.Codec() != codec {
					t.Fatalf("agreed on %s and %s, want %s", near.Codec(), far.Codec(), codec)
				}
				return far, near
			}
			caller, a := phone(c.caller)
			agent, b := phone(c.agent)
			if err := Bridge(a, b); err != nil {
				t.Fatal(err)
			}
			caller.Play(Tone(440, 2*time.Second, 0.5), PlayOptions{Loop: true})
			agent.Play(Tone(620, 2*time.Second, 0.5), PlayOptions{Loop: true})
			for _, ear := range []struct {
				name      string
				leg       *Leg
				peer, own float64
			}{{"agent", agent, 440, 620}, {"caller", caller, 620, 440}} {
				waitForTone(t, ear.leg, ear.peer) // G.722's decoder settles
				pcm := waitForTone(t, ear.leg, ear.peer)
				if got := 20 * math.Log10(Goertzel(pcm, ear.peer, clockRate)/0.5); math.Abs(got) > 0.5 {
					t.Errorf("%s hears %v Hz %+.2f dB louder than it was sent", ear.name, ear.peer, got)
				}
				if got := Goertzel(pcm, ear.own, clockRate); got > 0.02 {
					t.Errorf("%s hears the own tone of %v Hz at %.3f", ear.name, ear.own, got)
				}
			}
		})
	}
}

// The wire towards one phone, over real sockets and the engine's own clock.
func TestPhoneHearsOneStream(t *testing.T) {
	e := openEngine(t, nil)
	ear, mouth := newPhone(t, PCMA), newPhone(t, PCMU)
	a, b := ear.call(e), mouth.call(e)
	var all []*rtp.Packet
	hear := func(n int) {
		t.Helper()
		for range n {
			all = append(all, ear.hear())
		}
	}
	hear(3)
	p := a.Play(Tone(440, 100*time.Millisecond, 0.5), PlayOptions{})
	wait(t, "the clip's end", p.Done())
	hear(5)
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		mouth.speak(b, bytes.Repeat([]byte{0x21}, frameSamples))
		hear(1)
	}
	Unbridge(a, b)
	wait(t, "the second clip's end", a.Play(Tone(440, 60*time.Millisecond, 0.5), PlayOptions{}).Done())
	hear(3)
	for i, p := range all[1:] {
		before := all[i]
		if p.SSRC != before.SSRC || p.SequenceNumber != before.SequenceNumber+1 || int32(p.Timestamp-before.Timestamp) < frameSamples {
			t.Errorf("packet %d: %v after %v", i+1, p.Header, before.Header)
		}
		if p.PayloadType != 8 || len(p.Payload) != frameSamples {
			t.Errorf("packet %d has type %d and %d bytes", i+1, p.PayloadType, len(p.Payload))
		}
	}
	if !slices.ContainsFunc(all, func(p *rtp.Packet) bool { return p.Payload[0] == uToA[0x21] }) {
		t.Error("the bridge's sound did not come, turned from µ-law into A-law")
	}
}

func TestPlayback(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	clip := Concat(Quiet(20*time.Millisecond), Tone(440, 40*time.Millisecond, 0.5))
	loop := l.Play(clip, PlayOptions{Loop: true, From: 40 * time.Millisecond})
	first := p.hearUntil("sound", func(pkt *rtp.Packet) bool { return !bytes.Equal(pkt.Payload, silence(PCMA)) })
	if !bytes.Equal(first.Payload, clip.Frame(PCMA, 2)) {
		t.Error("it did not begin where it should")
	}
	for i, want := range []int{0, 1, 2, 0} {
		if got := p.hear(); !bytes.Equal(got.Payload, clip.Frame(PCMA, want)) {
			t.Errorf("packet %d of the loop is not frame %d", i, want)
		}
	}
	next := l.Play(clip, PlayOptions{Loop: true})
	wait(t, "the replaced clip's end", loop.Done())
	l.Silence()
	wait(t, "the silenced clip's end", next.Done())
	for name, nothing := range map[string]*Playback{
		"no clip":      l.Play(nil, PlayOptions{}),
		"an empty one": l.Play(NewClip(nil), PlayOptions{Loop: true}),
		"past the end": l.Play(clip, PlayOptions{From: time.Minute}),
	} {
		wait(t, name, nothing.Done())
		nothing.Stop()
	}
	last := l.Play(clip, PlayOptions{Loop: true})
	if pos := last.Position(); pos < 0 || pos > clip.Duration() {
		t.Errorf("position %v", pos)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end of what played when the leg closed", last.Done())
	wait(t, "what is played on a closed leg", l.Play(clip, PlayOptions{Loop: true}).Done())
}

func TestDigitsOverTheWire(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	for _, key := range []byte("1*1") {
		for i := 1; i <= 3; i++ {
			p.press(l, key, uint16(i*160), i == 3)
		}
		p.press(l, key, 480, true)
		p.ts += 1600
	}
	p.press(l, '9', 160, false) // its end is lost
	if err := l.InjectDigit('x'); !errors.Is(err, ErrBadKey) {
		t.Errorf("key x: %v", err)
	}
	for _, want := range []byte("1*19") {
		d := wait(t, "a digit", l.Digits())
		if d.Key != want || d.Duration == 0 || e.now()-d.At > patience {
			t.Errorf("got %+v, want %c", d, want)
		}
	}
	if err := l.InjectDigit('d'); err != nil {
		t.Fatal(err)
	}
	if d := wait(t, "the injected digit", l.Digits()); d.Key != 'D' {
		t.Errorf("got %c, want D", d.Key)
	}
	for range maxWaitingDigits + 3 {
		if err := l.InjectDigit('0'); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Stats().DigitsDropped; got != 3 {
		t.Errorf("%d digits dropped, want 3", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	left := 0
	for range l.Digits() {
		left++
	}
	if left != maxWaitingDigits {
		t.Errorf("%d digits left to read after Close, want %d", left, maxWaitingDigits)
	}
}

// A caller's key press is heard by the agent's phone, too.
func TestDigitsCrossTheBridge(t *testing.T) {
	server, phones := openEngine(t, nil), openEngine(t, nil)
	caller, a, agent, b := openLeg(t, phones), openLeg(t, server), openLeg(t, phones), openLeg(t, server)
	connect(t, caller, a)
	connect(t, agent, b)
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	for _, key := range []byte("42") {
		if err := caller.SendDigit(key, 80*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []byte("42") {
		for name, l := range map[string]*Leg{"server": a, "agent": agent} {
			if d := wait(t, "a digit at the "+name, l.Digits()); d.Key != want || d.Duration <= 0 || d.Duration > 80*time.Millisecond {
				t.Errorf("%s got %+v, want %c for 80 ms at most", name, d, want)
			}
		}
	}
}

func TestSymmetricRTP(t *testing.T) {
	e := openEngine(t, nil)
	signalled, real, stray := newPhone(t, PCMA), newPhone(t, PCMA), newPhone(t, PCMA)
	l := signalled.call(e)
	signalled.hear() // at first we send where SDP says

	heard := make(chan byte, 100)
	l.OnAudio(func(pcm []int16) { heard <- EncodeALaw(pcm[0]) })
	before := e.now()
	real.speak(l, bytes.Repeat([]byte{0x31}, frameSamples))
	wait(t, "sound from behind the NAT", heard)
	real.hear()
	if got := l.Stats().RemoteAddr; got != addrOf(real.rtp) {
		t.Errorf("sending to %s, want where RTP comes from", got)
	}

	l.receive(stray.packet(8, bytes.Repeat([]byte{0x77}, frameSamples), frameSamples), addrOf(stray.rtp), before)
	real.speak(l, bytes.Repeat([]byte{0x32}, frameSamples))
	if got := wait(t, "the phone's next frame", heard); got != 0x32 {
		t.Errorf("heard %#x: a stray source got through", got)
	}
	if s := l.Stats(); s.Stray != 1 || s.RemoteAddr != addrOf(real.rtp) {
		t.Errorf("%d stray, sending to %s", s.Stray, s.RemoteAddr)
	}
}

// A re-INVITE from another place takes the stream there, before any RTP comes from it.
func TestReinviteMovesTheStream(t *testing.T) {
	e := openEngine(t, nil)
	desk, mobile := newPhone(t, PCMA), newPhone(t, PCMA)
	l := desk.call(e)
	desk.speak(l, silence(PCMA))
	before := desk.hear()
	for l.Stats().PacketsReceived == 0 { // read later, it would take the stream back
		before = desk.hear()
	}
	if _, err := l.Answer(mobile.offer()); err != nil {
		t.Fatal(err)
	}
	if after := mobile.hear(); after.SSRC != before.SSRC {
		t.Error("the SSRC changed")
	}
	if got := l.Stats().RemoteAddr; got != addrOf(mobile.rtp) {
		t.Errorf("sending to %s, want the new place", got)
	}
}

func TestStrictLegTakesOnlyTheSignalledAddress(t *testing.T) {
	e := openEngine(t, nil)
	l := openLeg(t, e)
	l.SetStrict(true)
	if _, err := l.Answer(sdpText("192.0.2.1", "m=audio 4000 RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	p := newPhone(t, PCMA)
	l.receive(p.packet(8, silence(PCMA), frameSamples), addrOf(p.rtp), e.now())
	if s := l.Stats(); s.Stray != 1 || s.PacketsReceived != 0 {
		t.Errorf("%d stray, %d received; want 1, 0", s.Stray, s.PacketsReceived)
	}
}

func TestGarbageIsCountedAndDropped(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	src := addrOf(p.rtp)
	for _, datagram := range [][]byte{nil, {0x80}, bytes.Repeat([]byte{0x00}, 172), bytes.Repeat([]byte{0xFF}, 20), {0xA0, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 200}} {
		l.receive(datagram, src, e.now())
	}
	l.receive(p.packet(96, []byte{5}, 0), src, e.now()) // an event too short
	l.receive(p.packet(13, []byte{60}, 0), src, e.now())
	if s := l.Stats(); s.Invalid != 6 || s.Unknown != 1 || s.PacketsReceived != 2 {
		t.Errorf("%d invalid, %d unknown, %d received; want 6, 1, 2", s.Invalid, s.Unknown, s.PacketsReceived)
	}
}

func TestRTPTimeout(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.RTPTimeout = 100 * time.Millisecond })
	p := newPhone(t, PCMA)
	wait(t, "the timeout of a phone that says nothing", p.call(e).Timeout())
	held := newPhone(t, PCMA).call(e, "a=sendonly")
	if limit := held.alive.limit.Load(); limit != 0 {
		t.Errorf("a held leg times out after %v, want never", time.Duration(limit))
	}
}

// A phone on hold may be silent for another time than one that talks.
func TestHoldTimeout(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.RTPTimeout, c.HoldTimeout = time.Hour, 100*time.Millisecond })
	talks := newPhone(t, PCMA).call(e)
	wait(t, "the timeout of a phone on hold that says nothing", newPhone(t, PCMA).call(e, "a=sendonly").Timeout())
	if isClosed(talks.Timeout()) {
		t.Error("a phone that isn't on hold timed out, too")
	}
}

func TestBridgeRefusals(t *testing.T) {
	e, other := openEngine(t, nil), openEngine(t, nil)
	a, b, c := openLeg(t, e), openLeg(t, e), openLeg(t, e)
	if err := Bridge(a, a); err == nil {
		t.Error("a leg was bridged with itself")
	}
	if err := Bridge(a, openLeg(t, other)); err == nil {
		t.Error("legs of two engines were bridged")
	}
	for range 2 { // the second time does nothing
		if err := Bridge(a, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := Bridge(b, c); !errors.Is(err, ErrBridged) {
		t.Errorf("got %v, want %v", err, ErrBridged)
	}
	Unbridge(a, c) // not bridged with each other
	if a.peer.Load() != b {
		t.Error("a foreign leg broke the bridge")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Bridge(a, b); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	if err := Bridge(a, c); err != nil {
		t.Errorf("after the other leg closed: %v", err)
	}
}

func TestClosed(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, offerErr := l.Offer()
	_, answerErr := l.Answer(p.offer())
	for name, err := range map[string]error{
		"Offer": offerErr, "Answer": answerErr, "SetAnswer": l.SetAnswer(p.offer()),
		"InjectDigit": l.InjectDigit('1'), "SendDigit": l.SendDigit('1', 0),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed leg: %v", name, err)
		}
	}
	l.Silence()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.NewLeg("x"); !errors.Is(err, ErrClosed) {
		t.Errorf("NewLeg on a closed engine: %v", err)
	}
}

// Everything at once, for the race detector and for the order of locks.
func TestLegsUnderFire(t *testing.T) {
	e := openEngine(t, nil)
	var legs []*Leg
	for range 4 {
		p := newPhone(t, PCMA)
		legs = append(legs, p.call(e))
	}
	clip := Tone(440, 40*time.Millisecond, 0.5)
	var wg sync.WaitGroup
	for i, l := range legs {
		p := newPhone(t, PCMA)
		wg.Go(func() {
			for range 200 {
				l.receive(p.packet(8, silence(PCMA), frameSamples), addrOf(p.rtp), e.now())
			}
		})
		wg.Go(func() {
			for n := range 50 {
				other := legs[(i+1+n%3)%4]
				if Bridge(l, other) == nil {
					l.Play(clip, PlayOptions{}).Stop()
					Unbridge(l, other)
				}
				l.Stats()
				e.Stats()
			}
		})
	}
	wg.Wait()
	for _, l := range legs[:2] {
		wg.Go(func() { l.Close() })
		wg.Go(func() { l.Close() })
	}
	wg.Wait()
}
