package media

import (
	"math"
	"testing"
	"time"
)

// What comes from a phone is scored by what was lost of it and how: G.107's best without loss, less
// for losses in bursts than for as many at random.
func TestQualityOfALeg(t *testing.T) {
	score := func(missing func(i int) bool) LegStats {
		e := openEngine(t, nil)
		p := newPhone(t, PCMA)
		l := p.call(e)
		loud := Tone(440, ptime, 0.5).aLaw
		src := addrOf(p.rtp)
		for i := range 1000 {
			datagram := p.packet(8, loud, frameSamples)
			if !missing(i) {
				l.receive(datagram, src, time.Duration(i)*ptime)
			}
		}
		return l.Stats()
	}
	clean := score(func(int) bool { return false })
	random := score(func(i int) bool { return i%20 == 10 })
	bursts := score(func(i int) bool { return i%100 >= 50 && i%100 < 55 })
	if clean.MOS < 4.35 || clean.MOS > 4.41 || clean.Burst != 1 || clean.Lost != 0 {
		t.Errorf("without loss: MOS %.2f, burst %.2f, %d lost", clean.MOS, clean.Burst, clean.Lost)
	}
	if random.Lost != 50 || bursts.Lost != 50 {
		t.Fatalf("%d and %d lost, want 50", random.Lost, bursts.Lost)
	}
	if !(bursts.MOS < random.MOS && random.MOS < clean.MOS) || math.Abs(bursts.Burst-4.75) > 0.3 {
		t.Errorf("MOS %.2f at random, %.2f in bursts (burst ratio %.2f), %.2f without", random.MOS, bursts.MOS, bursts.Burst, clean.MOS)
	}
	if clean.Fault() != "" || clean.SoundAt.IsZero() {
		t.Errorf("fault %q, sound at %v", clean.Fault(), clean.SoundAt)
	}
}

// A phone that sends nothing, or nothing but silence, is found.
func TestSoundOneWay(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMU, PCMA, G722} })
	speech := Tone(440, 10*time.Second, 0.03)
	for _, codec := range []Codec{PCMU, G722} {
		for _, what := range []struct {
			frame func(i int) []byte
			fault string
		}{
			{func(int) []byte { return silence(codec) }, "silent"},
			{func(i int) []byte { return speech.Frame(codec, i) }, ""},
		} {
			p := newPhone(t, codec)
			l := p.call(e)
			for i := range 500 {
				l.receive(p.packet(codec.PayloadType(), what.frame(i), frameSamples), addrOf(p.rtp), time.Duration(i)*ptime)
			}
			if s := l.Stats(); s.Fault() != what.fault {
				t.Errorf("%v: fault %q, want %q", codec, s.Fault(), what.fault)
			}
		}
	}
	for _, c := range []struct {
		s    LegStats
		want string
	}{
		{LegStats{PacketsSent: 250}, "one_way"},
		{LegStats{PacketsSent: 249}, ""},
		{LegStats{PacketsSent: 250, PacketsReceived: 1}, ""},
		{LegStats{PacketsReceived: 1000, Codec: G722}, "silent"},
		{LegStats{PacketsReceived: 499, Codec: PCMA}, ""},
	} {
		if got := c.s.Fault(); got != c.want {
			t.Errorf("%+v: fault %q, want %q", c.s, got, c.want)
		}
	}
	deaf := newPhone(t, PCMA).call(e)
	wait(t, "the end of a clip", deaf.Play(Tone(440, 100*time.Millisecond, 0.5), PlayOptions{}).Done())
	now := e.now()
	deaf.mu.Lock()
	defer deaf.mu.Unlock()
	if deaf.deaf(now) || !deaf.deaf(now+deafAfter-ptime) {
		t.Error("a phone that says nothing for five seconds isn't told from others")
	}
}
