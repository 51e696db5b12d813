package media

import (
	"bytes"
	"testing"
	"time"
)

// couple is two phones of a server, who say tones.
type couple struct {
	far, near [2]*Leg
	stay      []*Leg // those of near whose phones' voice stays in userland
}

// newCouple connects two phones, the first one of A law; change may alter the first one's leg and its offer.
func newCouple(t *testing.T, server *Engine, to Codec, change func(far *Leg, offer []byte) []byte) *couple {
	t.Helper()
	p := new(couple)
	for i, codec := range []Codec{PCMA, to} {
		e := openEngine(t, func(c *Config) { c.Codecs = []Codec{codec} })
		p.far[i], p.near[i] = openLeg(t, e), openLeg(t, server)
		if i > 0 || change == nil {
			connect(t, p.far[i], p.near[i])
		} else {
			p.connect(t, change)
		}
		p.far[i].Play(Tone(400, 2*time.Second, 0.5), PlayOptions{Loop: true})
	}
	p.stay = p.near[:]
	return p
}

// connect connects the first phone, whose offer is changed.
func (p *couple) connect(t *testing.T, change func(far *Leg, offer []byte) []byte) {
	t.Helper()
	change(p.far[0], nil)
	offer, err := p.far[0].Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.near[0].Answer(change(nil, offer))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.far[0].SetAnswer(answer); err != nil {
		t.Fatal(err)
	}
}

// heard is how many packets the phone that heard fewer has heard.
func (p *couple) heard() uint64 {
	return min(p.far[0].Stats().PacketsReceived, p.far[1].Stats().PacketsReceived)
}

// throughKernel is how many packets of phones that stay the kernel has forwarded, and whether it may forward now.
func (p *couple) throughKernel() (packets uint64, now bool) {
	for _, l := range p.stay {
		s := l.Stats()
		packets += s.Forwarded
		now = now || s.InKernel
	}
	return packets, now
}

// Bridges that are encrypted, that have reports among the voice, that transcode, or that are none but a
// mix, stay in userland, while the kernel forwards one that is plain beside them.
func TestStaysInUserland(t *testing.T) {
	server := openKernelEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	all := map[string]*couple{}
	for _, c := range []struct {
		name   string
		to     Codec
		change func(far *Leg, offer []byte) []byte
	}{
		{name: "SRTP", to: PCMA, change: func(far *Leg, offer []byte) []byte {
			if far != nil {
				far.Protect(Protection{SRTPRequired, true})
			}
			return offer
		}},
		{name: "rtcp-mux", to: PCMA, change: func(_ *Leg, offer []byte) []byte { return append(offer, "a=rtcp-mux\r\n"...) }},
		{name: "10 ms to 20 ms", to: PCMA, change: func(_ *Leg, offer []byte) []byte { return append(offer, "a=maxptime:10\r\n"...) }},
		{name: "mix", to: PCMA},
		{name: "A to µ", to: PCMU},
		{name: "G.711 to G.722", to: G722},
	} {
		p := newCouple(t, server, c.to, c.change)
		all[c.name] = p
		switch c.name {
		case "rtcp-mux":
			p.stay = p.near[:1] // what is said to the phone is voice alone
		case "10 ms to 20 ms":
			p.stay = p.near[1:] // what that phone says is cut in pieces for the other
		}
		if c.name != "mix" {
			if err := Bridge(p.near[0], p.near[1]); err != nil {
				t.Fatal(err)
			}
			continue
		}
		m := server.NewMix()
		for _, l := range p.near {
			if err := m.Join(l, Everyone); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain := newCouple(t, server, PCMA, nil)
	if err := Bridge(plain.near[0], plain.near[1]); err != nil {
		t.Fatal(err)
	}
	await(t, "the kernel forwards the plain bridge both ways", func() bool {
		return plain.near[0].Stats().InKernel && plain.near[1].Stats().InKernel
	})
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			first := p.heard()
			await(t, "half a second was heard", func() bool {
				if _, now := p.throughKernel(); now {
					t.Fatal("the kernel forwards it")
				}
				return p.heard() > first+25
			})
			if n, _ := p.throughKernel(); n != 0 {
				t.Errorf("the kernel forwarded %d packets", n)
			}
		})
	}
	if n, _ := plain.throughKernel(); n < 25 {
		t.Errorf("the kernel forwarded %d packets of the plain bridge", n)
	}
	if s := all["SRTP"].near[0].Stats(); s.Secure == Plain {
		t.Error("the bridge that was to be encrypted isn't")
	}
	if !all["rtcp-mux"].near[0].muxed.Load() {
		t.Error("the bridge that was to have reports among its voice hasn't")
	}
}

// A phone that sends its packets five at a time is taken over behind the last of them, and not again and again.
func TestKernelTakesOverBehindABurst(t *testing.T) {
	c := newTalk(t, nil)
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	burst := func() {
		<-pace.C
		var last byte
		for range 5 {
			last = byte(c.phones[0].seq)&0x7F | 1
			c.phones[0].speak(c.legs[0], bytes.Repeat([]byte{last}, wordSize))
		}
		for p := c.phones[1].hear(); p.Payload[0] != last || p.PayloadType != 8; p = c.phones[1].hear() {
		}
	}
	await(t, "the kernel forwards", func() bool { burst(); return c.legs[0].Stats().InKernel })
	for range 20 {
		burst()
	}
	l := c.legs[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	// Once it may have begun in the middle of a burst that was still coming in.
	if most := c.e.settled; !l.inKernel() || l.rx.wait > most {
		t.Errorf("in the kernel %v; it waited for %s, at most %s was to be", l.inKernel(), l.rx.wait, most)
	}
}
