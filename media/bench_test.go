package media

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRelayPacket is a packet's way through a bridge without the read from the socket: check,
// count, rewrite, write to the socket. It must not allocate.
func BenchmarkRelayPacket(b *testing.B) { benchmarkRelay(b, PCMA, PCMA) }

// BenchmarkRelayTranscoded is the same from A-law to µ-law.
func BenchmarkRelayTranscoded(b *testing.B) { benchmarkRelay(b, PCMA, PCMU) }

// BenchmarkRelayWideband is the same from A-law to G.722.
func BenchmarkRelayWideband(b *testing.B) { benchmarkRelay(b, PCMA, G722) }

func benchmarkRelay(b *testing.B, from, to Codec) {
	step := relayStep(b, from, to)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// relayStep bridges two legs and returns a function that passes one packet.
func relayStep(t testing.TB, from, to Codec) func() {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	mouth, ear := newPhone(t, from), newPhone(t, to)
	a, z := mouth.call(e), ear.call(e)
	if err := Bridge(a, z); err != nil {
		t.Fatal(err)
	}
	packet := mouth.packet(from.PayloadType(), silence(from), frameSamples)
	src := addrOf(mouth.rtp)
	seq, ts := mouth.seq, mouth.ts
	return func() {
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		packet[4], packet[5], packet[6], packet[7] = byte(ts>>24), byte(ts>>16), byte(ts>>8), byte(ts)
		seq++
		ts += frameSamples
		a.receive(packet, src, e.now())
	}
}

// The relay, from the parsed datagram to the written one, leaves nothing to collect.
func TestRelayAllocatesNothing(t *testing.T) {
	for _, c := range [][2]Codec{{PCMA, PCMA}, {PCMA, PCMU}, {PCMA, G722}, {G722, PCMU}} {
		step := relayStep(t, c[0], c[1])
		step() // the first packet finds the phone, which is logged
		if n := testing.AllocsPerRun(1000, step); n >= 1 {
			t.Errorf("%s to %s: %v allocations a packet", c[0], c[1], n)
		}
	}
}

// Nor does sending a clip.
func TestPlayingAllocatesNothing(t *testing.T) {
	l := newLine(t, PCMA)
	clip := Tone(440, time.Second, 0.5)
	l.setPlay(&Playback{audio: clip, frames: clip.Frames(), loop: true, done: make(chan struct{}), sender: l.sender})
	buf := make([]byte, 2048)
	if err := l.ear.rtp.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var src netip.AddrPort
	if n := testing.AllocsPerRun(1000, func() {
		l.now += ptime
		l.beat(l.now)
		_, src, _ = l.ear.rtp.ReadFromUDPAddrPort(buf)
	}); n >= 1 {
		t.Errorf("%v allocations a frame", n)
	}
	if src.Port() != l.socket.port {
		t.Errorf("read from %s", src)
	}
}

func BenchmarkPlayFrame(b *testing.B) {
	s := new(sender)
	s.init(openSocket(b))
	s.agree(agreement{wanted: true, voice: format{8, PCMA}})
	s.redirect(addrOf(newPhone(b, PCMA).rtp))
	clip := MusicOnHold()
	s.setPlay(&Playback{audio: clip, frames: clip.Frames(), loop: true, done: make(chan struct{}), sender: s})
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += ptime
		s.beat(now)
	}
}

func BenchmarkTranscode(b *testing.B) {
	dst, src := make([]byte, frameSamples), silence(PCMA)
	b.SetBytes(frameSamples)
	b.ReportAllocs()
	for b.Loop() {
		transcode(dst, PCMU, src, PCMA)
	}
}

// benchCalls is how many calls the load benchmarks run.
const benchCalls = 100

// BenchmarkHundredPlaying plays music on 100 legs for a second each round; nobody reads it.
func BenchmarkHundredPlaying(b *testing.B) {
	e := openEngine(b, nil)
	sink := newPhone(b, PCMA)
	for range benchCalls {
		sink.call(e).Play(MusicOnHold(), PlayOptions{Loop: true})
	}
	reportLoad(b, e)
}

// BenchmarkHundredBridged has 100 bridged calls, both legs speaking all the time. The phones are legs
// of a second engine in the same process, so the figure holds their share too: 200 legs that play,
// twice what BenchmarkHundredPlaying measures, and what they receive.
func BenchmarkHundredBridged(b *testing.B) {
	server, phones := openEngine(b, nil), openEngine(b, nil)
	bridgeTalks(b, server, phones)
	reportLoad(b, server)
}

// bridgeTalks has benchCalls calls of two phones that play music to each other.
func bridgeTalks(b *testing.B, server, phones *Engine) {
	for range benchCalls {
		var near [2]*Leg
		for i := range near {
			far := openLeg(b, phones)
			near[i] = openLeg(b, server)
			connect(b, far, near[i])
			far.Play(MusicOnHold(), PlayOptions{Loop: true})
		}
		if err := Bridge(near[0], near[1]); err != nil {
			b.Fatal(err)
		}
	}
}

// reportLoad lets the engine run for a second a round and reports CPU seconds for each second of a
// call, in millionths, late frames, and packets sent.
func reportLoad(b *testing.B, e *Engine) {
	before, sent := cpu(b), e.Stats().PacketsSent
	rounds := 0
	for b.Loop() {
		<-time.After(time.Second)
		rounds++
	}
	calls := float64(benchCalls * rounds)
	s := e.Stats()
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/calls, "cpu-µs/call-s")
	b.ReportMetric(float64(s.PacketsSent-sent)/calls, "packets/call-s")
	b.ReportMetric(float64(s.LateFrames+s.SkippedFrames), "late-frames")
}

// cpu is the process's CPU time, user and system.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
