package media

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"hotline/media/kernel"
)

// withKernel turns the kernel's path on, which takes a bridge over as soon as it can.
func withKernel(c *Config) { c.Kernel, c.settled = true, time.Millisecond }

// openKernelEngine needs the rights that the program needs; without them the test fails and says so.
func openKernelEngine(t testing.TB, change func(*Config)) *Engine {
	t.Helper()
	var why error
	e := openEngine(t, func(c *Config) {
		withKernel(c)
		if change != nil {
			change(c)
		}
		c.openKernel = func(o kernel.Options) (p *kernel.Path, err error) {
			p, why = kernel.Open(o)
			return p, why
		}
	})
	if why != nil {
		t.Fatalf("these tests need root, or CAP_BPF and CAP_NET_ADMIN: %v", why)
	}
	return e
}

// await waits until the condition holds; it is looked at after each of the phones' packets.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// All that bridged legs do, they do with the kernel too.
func TestThroughKernel(t *testing.T) {
	openKernelEngine(t, nil) // else the tests below would pass without it
	throughKernel = true
	defer func() { throughKernel = false }()
	for name, test := range map[string]func(*testing.T){
		"tones": TestBridgeCarriesTonesBothWays, "one stream": TestPhoneHearsOneStream, "digits cross": TestDigitsCrossTheBridge,
		"symmetric": TestSymmetricRTP, "moves": TestReinviteMovesTheStream, "timeout": TestRTPTimeout,
		"refusals": TestBridgeRefusals, "closed": TestClosed, "fire": TestLegsUnderFire, "reports": TestReports, "tap": TestTapSeesBothDirections,
	} {
		t.Run(name, test)
	}
}

// talk is two phones in a bridge that the kernel forwards.
type talk struct {
	t      testing.TB
	e      *Engine
	phones [2]*phone
	legs   [2]*Leg
	last   *rtp.Packet // that the second phone heard
}

func newTalk(t testing.TB, change func(*Config)) *talk {
	t.Helper()
	c := &talk{t: t, e: openKernelEngine(t, change)}
	for i := range c.legs {
		c.phones[i] = newPhone(t, PCMA)
		c.legs[i] = c.phones[i].call(c.e)
	}
	if err := Bridge(c.legs[0], c.legs[1]); err != nil {
		t.Fatal(err)
	}
	return c
}

// wordSize is the size of frames in a talk, 2 ms of sound: so that a test that doesn't wait between them
// doesn't run ahead of the clock.
const wordSize = 16

// speak sends a frame from the first phone and checks all that the second hears up to it: each packet
// follows the one before.
func (c *talk) speak() {
	c.t.Helper()
	mark := byte(c.phones[0].seq)&0x7F | 1
	c.phones[0].speak(c.legs[0], bytes.Repeat([]byte{mark}, wordSize))
	c.hear(func(p *rtp.Packet) bool { return p.Payload[0] == mark && p.PayloadType == 8 })
}

// hear checks packets until one fits.
func (c *talk) hear(fits func(*rtp.Packet) bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		p := c.phones[1].hear()
		if b := c.last; b != nil {
			if p.SSRC != b.SSRC || p.SequenceNumber != b.SequenceNumber+1 {
				c.t.Fatalf("packet %v after %v", p.Header, b.Header)
			}
			if step := int32(p.Timestamp - b.Timestamp); step < wordSize && p.PayloadType == 8 && b.PayloadType == 8 {
				c.t.Fatalf("timestamp %d after %d", p.Timestamp, b.Timestamp)
			}
		}
		c.last = p
		if fits(p) {
			return
		}
	}
	c.t.Fatal("what was said was not heard")
}

// enter speaks until the kernel forwards the first phone's voice.
func (c *talk) enter() {
	c.t.Helper()
	for deadline := time.Now().Add(patience); c.legs[0].flow.Load() == nil; {
		if time.Now().After(deadline) {
			c.t.Fatal("the kernel didn't take the bridge over")
		}
		c.speak()
		<-time.After(time.Millisecond)
	}
}

// The kernel carries a bridge's voice, and figures, reports and the stream go on through it.
func TestKernelForwards(t *testing.T) {
	for _, bind := range []netip.Addr{loopback, netip.MustParseAddr("::1")} {
		t.Run(bind.String(), func(t *testing.T) {
			server := openKernelEngine(t, func(c *Config) { c.Bind = bind })
			phones := openEngine(t, func(c *Config) { c.Bind = bind })
			caller, a, agent, b := openLeg(t, phones), openLeg(t, server), openLeg(t, phones), openLeg(t, server)
			connect(t, caller, a)
			connect(t, agent, b)
			caller.Play(Tone(440, 2*time.Second, 0.5), PlayOptions{Loop: true})
			agent.Play(Tone(620, 2*time.Second, 0.5), PlayOptions{Loop: true})
			if err := Bridge(a, b); err != nil {
				t.Fatal(err)
			}
			await(t, "the kernel forwards both ways", func() bool { return server.Stats().KernelLegs == 2 })
			before := server.Stats()
			for _, ear := range []struct {
				leg       *Leg
				peer, own float64
			}{{agent, 440, 620}, {caller, 620, 440}} {
				waitForTone(t, ear.leg, ear.peer)
				pcm := waitForTone(t, ear.leg, ear.peer)
				if got := 20 * math.Log10(Goertzel(pcm, ear.peer, clockRate)/0.5); math.Abs(got) > 0.5 {
					t.Errorf("%v Hz are heard %+.2f dB louder than sent", ear.peer, got)
				}
				if got := Goertzel(pcm, ear.own, clockRate); got > 0.02 {
					t.Errorf("the own tone of %v Hz is heard at %.3f", ear.own, got)
				}
			}
			after := server.Stats()
			all, kernels := after.PacketsSent-before.PacketsSent, after.KernelPackets-before.KernelPackets
			if kernels*100 < all*90 || kernels < 20 {
				t.Errorf("the kernel forwarded %d of %d packets, want 90 %%", kernels, all)
			}
			if s := a.Stats(); s.Lost != 0 || s.Duplicates != 0 || !s.InKernel || s.Jitter > 20*time.Millisecond {
				t.Errorf("stats %+v", s)
			}
			for _, l := range []*Leg{caller, agent} {
				if s := l.Stats(); s.Lost != 0 || s.SSRCChanges != 0 || s.Late != 0 {
					t.Errorf("a phone heard %+v", s)
				}
			}
		})
	}
}

// Whatever takes the bridge out of the kernel: the other phone hears one stream.
func TestLeavesTheKernelWithoutAGap(t *testing.T) {
	clip := Tone(440, 60*time.Millisecond, 0.5)
	for name, act := range map[string]func(c *talk){
		"a prompt": func(c *talk) {
			p := c.legs[1].Play(clip, PlayOptions{})
			for deadline := time.Now().Add(patience); p.Position() < 40*time.Millisecond && time.Now().Before(deadline); {
				c.phones[0].speak(c.legs[0], make([]byte, wordSize)) // unheard
				<-time.After(2 * time.Millisecond)
			}
			wait(c.t, "the prompt's end", p.Done())
		},
		"part and join": func(c *talk) { Unbridge(c.legs[0], c.legs[1]); c.must(Bridge(c.legs[0], c.legs[1])) },
		"a listener": func(c *talk) {
			heard := make(chan struct{}, 100)
			c.legs[0].OnAudio(func([]int16) { heard <- struct{}{} })
			c.speak()
			wait(c.t, "what the phone says", heard)
			c.legs[0].OnAudio(nil)
		},
		"a tap": func(c *talk) {
			seen := make(chan Voice, 100)
			c.legs[1].Tap(func(v Voice) { seen <- v })
			c.speak()
			if v := wait(c.t, "what is sent", seen); !v.Sent {
				c.t.Errorf("%+v", v)
			}
			c.legs[1].Tap(nil)
		},
		"a supervisor": func(c *talk) {
			m := c.e.NewMix()
			for _, l := range c.legs {
				c.must(m.Join(l, Everyone))
			}
			c.hear(func(p *rtp.Packet) bool { return len(p.Payload) == frameSamples })
			m.Close()
			c.must(Bridge(c.legs[0], c.legs[1]))
		},
		"own digits": func(c *talk) {
			c.must(c.legs[1].SendDigit('5', 40*time.Millisecond))
			for range endings {
				c.hear(func(p *rtp.Packet) bool { return p.PayloadType == 96 && p.Payload[1]&0x80 != 0 })
			}
		},
		"the phone's digits": func(c *talk) {
			for i := range 5 {
				c.phones[0].press(c.legs[0], '7', uint16(160*(i+1)), i > 1)
				c.hear(func(p *rtp.Packet) bool { return p.PayloadType == 96 })
			}
			c.phones[0].ts += 800
			if d := wait(c.t, "the digit", c.legs[0].Digits()); d.Key != '7' {
				c.t.Errorf("got %+v", d)
			}
		},
		"another SSRC":   func(c *talk) { c.phones[0].ssrc++; c.phones[0].seq, c.phones[0].ts = 7, 9 },
		"a jump of time": func(c *talk) { c.phones[0].ts += 80000 },
		"silence": func(c *talk) {
			c.hear(func(p *rtp.Packet) bool { return bytes.Equal(p.Payload, silence(PCMA)) })
		},
		"hold and resume": func(c *talk) {
			_, err := c.legs[1].Answer(c.phones[1].offer("a=sendonly"))
			c.must(err)
			_, err = c.legs[1].Answer(c.phones[1].offer())
			c.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTalk(t, nil)
			for range 2 {
				c.enter()
				for range 10 {
					c.speak()
				}
				act(c)
				for range 10 {
					c.speak()
				}
			}
			if s := c.legs[0].Stats(); s.Lost != 0 || s.Duplicates != 0 || s.Forwarded < 20 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func (c *talk) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Whatever is done with a bridge, in whatever order: the other phone hears one stream.
func TestStreamNeverBreaksThroughTheKernel(t *testing.T) {
	var through uint64
	rapid.Check(t, func(rt *rapid.T) {
		c := newTalk(t, nil)
		defer c.e.Close()
		c.phones[0].seq, c.phones[0].ts = rapid.Uint16().Draw(rt, "seq"), rapid.Uint32().Draw(rt, "ts")
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 7).Draw(rt, "what") {
			case 0:
				c.legs[1].Play(Tone(440, 40*time.Millisecond, 0.5), PlayOptions{}).Stop()
			case 1:
				Unbridge(c.legs[0], c.legs[1])
				c.must(Bridge(c.legs[0], c.legs[1]))
			case 2:
				c.phones[0].ssrc++
				c.phones[0].seq = rapid.Uint16().Draw(rt, "seq")
			case 3:
				_, err := c.legs[1].Answer(c.phones[1].offer("a=inactive"))
				c.must(err)
				_, err = c.legs[1].Answer(c.phones[1].offer())
				c.must(err)
			case 4:
				c.phones[0].ts += uint32(rapid.IntRange(0, 1<<31-1).Draw(rt, "jump"))
			case 5:
				c.legs[0].Stats()
				c.legs[1].Stats()
			default:
				c.enter()
			}
			for range rapid.IntRange(1, 5).Draw(rt, "words") {
				c.speak()
			}
		}
		through += c.legs[0].Stats().Forwarded
	})
	if through == 0 {
		t.Error("nothing went through the kernel")
	}
}

// A phone that vanishes is missed as soon as ever.
func TestRTPTimeoutThroughTheKernel(t *testing.T) {
	c := newTalk(t, func(cfg *Config) { cfg.RTPTimeout = 300 * time.Millisecond })
	c.enter()
	for start := c.e.now(); c.e.now()-start < 600*time.Millisecond; {
		c.speak()
		<-time.After(2 * time.Millisecond)
	}
	select {
	case <-c.legs[0].Timeout():
		t.Fatal("timed out while the phone spoke")
	default:
	}
	last := c.e.now()
	wait(t, "the timeout", c.legs[0].Timeout())
	if after := c.e.now() - last; after < 250*time.Millisecond {
		t.Errorf("timed out after %v", after)
	}
}

// Nobody but the phone is heard, and a flood from elsewhere doesn't take the call out of the kernel.
func TestNoForeignPacketThroughTheKernel(t *testing.T) {
	c := newTalk(t, nil)
	stranger := newPhone(t, PCMA)
	c.enter()
	for range 100 {
		stranger.ssrc, stranger.seq, stranger.ts = c.phones[0].ssrc, c.phones[0].seq, c.phones[0].ts
		stranger.speak(c.legs[0], bytes.Repeat([]byte{0x7E}, wordSize))
		c.speak()
	}
	if c.last.Payload[0] == 0x7E {
		t.Error("a stranger was heard")
	}
	if s := c.legs[0].Stats(); s.Stray != 100 || !s.InKernel || s.Duplicates != 0 || s.Forwarded < 100 {
		t.Errorf("stats %+v", s)
	}
}

// Without the kernel's consent calls go on, and the log says once why.
func TestFallsBack(t *testing.T) {
	var log bytes.Buffer
	e := openEngine(t, func(c *Config) {
		withKernel(c)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.openKernel = func(kernel.Options) (*kernel.Path, error) { return nil, errors.Join(unix.EPERM) }
	})
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "operation not permitted") {
		t.Errorf("log: %s", got)
	}
	mouth, ear := newPhone(t, PCMA), newPhone(t, PCMA)
	a, b := mouth.call(e), ear.call(e)
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	mouth.speak(a, bytes.Repeat([]byte{0x21}, frameSamples))
	ear.hearUntil("voice", func(p *rtp.Packet) bool { return p.Payload[0] == 0x21 })
	if s := e.Stats(); s.Kernel || s.KernelLegs != 0 || s.KernelPackets != 0 {
		t.Errorf("stats %+v", s)
	}
}
