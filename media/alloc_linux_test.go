package media

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

// numbered gives the packet the next number and time.
func numbered(packet []byte, seq *uint16, ts *uint32) {
	packet[2], packet[3] = byte(*seq>>8), byte(*seq)
	packet[4], packet[5], packet[6], packet[7] = byte(*ts>>24), byte(*ts>>16), byte(*ts>>8), byte(*ts)
	*seq++
	*ts += uint32(len(packet) - rtpHeader)
}

// A turn of the poller, from the tick over the socket and the bridge to the datagram written, leaves nothing to collect.
func TestPollerAllocatesNothing(t *testing.T) {
	e := openEngine(t, nil)
	mouth, ear := newPhone(t, PCMA), newPhone(t, PCMA)
	a, z := mouth.call(e), ear.call(e)
	if err := Bridge(a, z); err != nil {
		t.Fatal(err)
	}
	poll, err := newPoller(e.now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := openSocket(t)
	handled := 0
	s.listenTo(func(data []byte, src netip.AddrPort, now time.Duration) { a.receive(data, src, now); handled++ })
	if err := poll.add(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		poll.remove(s)
		if err := poll.close(); err != nil {
			t.Error(err)
		}
	})
	if err := poll.pace(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	packet := mouth.packet(8, silence(PCMA)[:clockRate/1000], clockRate/1000) // as long as a tick
	to := netip.AddrPortFrom(loopback, s.port)
	const runs = 500
	if n := testing.AllocsPerRun(runs, func() {
		numbered(packet, &mouth.seq, &mouth.ts)
		if _, err := mouth.rtp.WriteToUDPAddrPort(packet, to); err != nil {
			t.Fatal(err)
		}
		if err := poll.turn(); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations a turn", n)
	}
	if handled < runs*9/10 || z.Stats().PacketsSent < runs*9/10 {
		t.Errorf("%d of %d packets were read, %d sent on", handled, runs, z.Stats().PacketsSent)
	}
}

// Nor does a mix's beat, with what its parties say coming in.
func TestMixAllocatesNothing(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	m := e.NewMix()
	type party struct {
		phone  *phone
		leg    *Leg
		packet []byte
		src    netip.AddrPort
	}
	var all []*party
	for _, codec := range []Codec{PCMA, PCMU, G722} {
		p := &party{phone: newPhone(t, codec)}
		p.leg, p.src = p.phone.call(e), addrOf(p.phone.rtp)
		p.packet = p.phone.packet(codec.PayloadType(), Tone(440, ptime, 0.5).Frame(codec, 0), frameSamples)
		if err := m.Join(p.leg, Everyone); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	now := e.now()
	step := func() {
		now += ptime
		for _, p := range all {
			numbered(p.packet, &p.phone.seq, &p.phone.ts)
			p.leg.receive(p.packet, p.src, now)
		}
		m.beat(now)
	}
	for range 50 { // buffers, codecs and sources are found
		step()
	}
	if n := testing.AllocsPerRun(500, step); n >= 1 {
		t.Errorf("%v allocations a beat", n)
	}
}
