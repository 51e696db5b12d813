package media

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
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

// collect gathers n samples after the first loud one.
func collect(l *Leg, n int) <-chan []int16 {
	heard := make(chan []int16, 1)
	var mu sync.Mutex
	var all []int16
	l.OnAudio(func(pcm []int16) {
		mu.Lock()
		defer mu.Unlock()
		if len(all) == 0 && slices.Max(pcm) < 1000 || len(all) >= n {
			return
		}
		if all = append(all, pcm...); len(all) >= n {
			heard <- all[:n]
		}
	})
	return heard
}

// A caller's tone reaches the agent and the agent's the caller, whatever codec each has.
func TestBridgeCarriesTonesBothWays(t *testing.T) {
	for _, c := range []struct{ caller, agent Codec }{{PCMA, PCMA}, {PCMU, PCMU}, {PCMA, PCMU}, {PCMU, PCMA}} {
		t.Run(c.caller.String()+" to "+c.agent.String(), func(t *testing.T) {
			server := openEngine(t, nil)
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
			atAgent, atCaller := collect(agent, 4000), collect(caller, 4000)
			caller.Play(Tone(440, 2*time.Second, 0.5), PlayOptions{Loop: true})
			agent.Play(Tone(620, 2*time.Second, 0.5), PlayOptions{Loop: true})
			for _, ear := range []struct {
				name        string
				pcm         []int16
				loud, quiet float64
			}{
				{"agent", wait(t, "440 Hz at the agent", atAgent), 440, 620},
				{"caller", wait(t, "620 Hz at the caller", atCaller), 620, 440},
			} {
				if got := Goertzel(ear.pcm[800:], ear.loud, clockRate); got < 0.45 || got > 0.55 {
					t.Errorf("%s hears %v Hz at %.3f, want 0.5", ear.name, ear.loud, got)
				}
				if got := Goertzel(ear.pcm[800:], ear.quiet, clockRate); got > 0.02 {
					t.Errorf("%s hears %v Hz at %.3f, which is the own tone", ear.name, ear.quiet, got)
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
		if d.Key != want || d.Duration == 0 || time.Since(d.At) > patience {
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
			if d := wait(t, "a digit at the "+name, l.Digits()); d.Key != want || d.Duration != 80*time.Millisecond {
				t.Errorf("%s got %+v, want %c for 80 ms", name, d, want)
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
	real.speak(l, bytes.Repeat([]byte{0x31}, frameSamples))
	wait(t, "sound from behind the NAT", heard)
	real.hear()
	if got := l.Stats().RemoteAddr; got != addrOf(real.rtp) {
		t.Errorf("sending to %s, want where RTP comes from", got)
	}

	stray.speak(l, bytes.Repeat([]byte{0x77}, frameSamples))
	real.speak(l, bytes.Repeat([]byte{0x32}, frameSamples))
	if got := wait(t, "the phone's next frame", heard); got != 0x32 {
		t.Errorf("heard %#x: a stray source got through", got)
	}
	if s := l.Stats(); s.Stray != 1 || s.RemoteAddr != addrOf(real.rtp) {
		t.Errorf("%d stray, sending to %s", s.Stray, s.RemoteAddr)
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

func TestPortsRunOutAndComeBack(t *testing.T) {
	probe := openEngine(t, nil)
	free := openLeg(t, probe).LocalAddr().Port() // an even port with a free neighbour, just now
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	e := openEngine(t, func(c *Config) { c.PortMin, c.PortMax, c.PortRest = free, free+1, -1 })
	l := openLeg(t, e)
	if l.LocalAddr().Port() != free {
		t.Errorf("port %d, want %d", l.LocalAddr().Port(), free)
	}
	if _, err := e.NewLeg("one too many"); !errors.Is(err, ErrNoPorts) {
		t.Errorf("got %v, want %v", err, ErrNoPorts)
	}
	if s := e.Stats(); s.PortsInUse != 1 || s.PortsFree != 0 || s.Legs != 1 {
		t.Errorf("stats %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.PortsInUse != 0 || s.PortsFree != 1 || s.Legs != 0 {
		t.Errorf("stats after Close %+v", s)
	}
	openLeg(t, e)
}

func TestPortTakenBySomebodyElse(t *testing.T) {
	probe := openEngine(t, nil)
	l := openLeg(t, probe) // stays open: its ports are taken
	port := l.LocalAddr().Port()
	e := openEngine(t, func(c *Config) { c.PortMin, c.PortMax = port, port+1 })
	if _, err := e.NewLeg("x"); !errors.Is(err, ErrNoPorts) {
		t.Errorf("got %v, want %v", err, ErrNoPorts)
	}
	if s := e.Stats(); s.PortsInUse != 0 {
		t.Errorf("%d pairs in use, want none", s.PortsInUse)
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

func TestReports(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.ReportInterval = 50 * time.Millisecond })
	p := newPhone(t, PCMA)
	l := p.call(e)
	for _, skip := range []uint16{0, 0, 2} { // two lost
		p.seq += skip
		p.speak(l, silence(PCMA))
	}
	report := func() (sr *rtcp.SenderReport, bye bool) {
		packets, err := rtcp.Unmarshal(readDatagram(t, p.rtcp))
		if err != nil {
			t.Fatal(err)
		}
		for _, pkt := range packets {
			switch pkt := pkt.(type) {
			case *rtcp.SenderReport:
				sr = pkt
			case *rtcp.Goodbye:
				bye = true
			}
		}
		return sr, bye
	}
	var sr *rtcp.SenderReport
	for sr == nil || len(sr.Reports) == 0 || sr.Reports[0].TotalLost != 2 {
		sr, _ = report()
	}
	if sr.SSRC != p.hear().SSRC || sr.PacketCount == 0 || sr.Reports[0].SSRC != p.ssrc {
		t.Errorf("report %+v", sr)
	}

	// Our report comes back 30 ms after the phone got it, as the phone says; it lost a quarter.
	src := addrOf(p.rtcp)
	reply, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc, Reports: []rtcp.ReceptionReport{{
		SSRC: sr.SSRC, FractionLost: 64, TotalLost: 5, Jitter: 80,
		LastSenderReport: uint32(sr.NTPTime >> 16), Delay: ntpUnits(30 * time.Millisecond),
	}}}, &rtcp.Goodbye{Sources: []uint32{p.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Unix(int64(sr.NTPTime>>32)-2208988800, int64(sr.NTPTime&0xFFFFFFFF)*1e9>>32)
	l.receiveReport(reply, src, sent.Sub(e.start)+50*time.Millisecond)
	s := l.Stats()
	if d := s.RTT - 20*time.Millisecond; d < -time.Millisecond || d > time.Millisecond {
		t.Errorf("round trip %v, want 20 ms", s.RTT)
	}
	if s.PeerLost != 5 || s.PeerFraction != 0.25 || s.PeerJitter != 10*time.Millisecond || !s.PeerBye || s.Lost != 2 {
		t.Errorf("stats %+v", s)
	}

	l.receiveReport([]byte("garbage"), src, e.now())
	l.receiveReport(reply, netip.MustParseAddrPort("192.0.2.1:5"), e.now())
	if s := l.Stats(); s.Invalid != 1 || s.Stray != 1 {
		t.Errorf("%d invalid, %d stray; want 1, 1", s.Invalid, s.Stray)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, bye := report(); bye {
			return
		}
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

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no address":               func(c *Config) { *c = Config{} },
		"nothing to advertise":     func(c *Config) { c.Bind = netip.MustParseAddrPort("0.0.0.0:1").Addr() },
		"two IP versions":          func(c *Config) { c.Advertise = netip.MustParseAddrPort("[::1]:1").Addr() },
		"range without a pair":     func(c *Config) { c.PortMin, c.PortMax = 10001, 10002 },
		"range turned around":      func(c *Config) { c.PortMin, c.PortMax = 20000, 10000 },
		"range without a start":    func(c *Config) { c.PortMax = 10000 },
		"a codec twice":            func(c *Config) { c.Codecs = []Codec{PCMA, PCMA} },
		"a codec nobody knows":     func(c *Config) { c.Codecs = []Codec{9} },
		"the range's end is 65535": func(c *Config) { c.PortMin, c.PortMax = 65535, 65535 },
	} {
		cfg := Config{Bind: loopback}
		change(&cfg)
		if e, err := Open(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			e.Close()
		}
	}
}

// Whatever arrives: no panic, and the books agree.
func FuzzReceive(f *testing.F) {
	p := newPhone(f, PCMA)
	f.Add(p.packet(8, silence(PCMA), frameSamples))
	f.Add(p.packet(96, []byte{5, 0x8A, 1, 0x40}, 0))
	e, err := Open(Config{Bind: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLeg(e, "fuzz", &pair{port: 4000})
		l.rx.expect([]format{{8, PCMA}, {0, PCMU}, {96, event}})
		l.OnAudio(func(pcm []int16) {})
		src := netip.MustParseAddrPort("127.0.0.1:4000")
		for now := time.Duration(0); len(data) > 0 && now < 100*ptime; now += ptime {
			n := min(1+int(data[0]), len(data))
			l.receive(data[1:n], src, now)
			l.receive(data, src, now)
			data = data[n:]
		}
		if s := l.Stats(); s.Lost < 0 || s.Duplicates+s.Late > s.PacketsReceived {
			t.Errorf("stats %+v", s)
		}
	})
}

func FuzzReceiveReport(f *testing.F) {
	seed, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2, TotalLost: 0xFFFFFF}}},
		rtcp.NewCNAMESourceDescription(1, "x"), &rtcp.Goodbye{Sources: []uint32{1}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	e, err := Open(Config{Bind: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLeg(e, "fuzz", &pair{port: 4000})
		src := netip.MustParseAddrPort("127.0.0.1:4001")
		l.reports.redirect(src)
		l.receiveReport(data, src, time.Second)
		if s := l.Stats(); s.RTT < 0 || s.RTT > time.Minute {
			t.Errorf("round trip %v", s.RTT)
		}
	})
}
