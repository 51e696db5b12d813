package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

// In these tests nothing waits for a clock: the legs have been taken from their shards, and the test gives them
// their packets and beats with the times that it likes. What they send crosses a real socket, at no time at all.

// guest is a phone and its leg in virtual time.
type guest struct {
	*phone
	near  *Leg
	mouth mouth
	ear   ear
	grid  time.Duration   // phase of the leg's beats
	said  []time.Duration // when each packet left it
	read  uint64          // packets of the leg's that were taken in
	sent  []rtp.Packet    // by the leg
	at    []time.Duration // when
	heard []int16         // their sound at 8 kHz
}

// newGuest calls a new leg that no shard serves.
func newGuest(t testing.TB, e *Engine, codec Codec, lines ...string) *guest {
	t.Helper()
	g := &guest{phone: newPhone(t, codec), near: openLeg(t, e)}
	shard := g.near.pair.shard
	if err := shard.remove(g.near); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // Close takes it out again
		if err := shard.add(g.near); err != nil {
			t.Error(err)
		}
	})
	if _, err := g.near.Answer(g.offer(lines...)); err != nil {
		t.Fatal(err)
	}
	return g
}

// say hands a packet with these samples at 8 kHz, 20 ms, to the leg.
func (g *guest) say(pcm []int16, now time.Duration) {
	g.t.Helper()
	g.said = append(g.said, now)
	frame := make([]byte, frameSamples)
	g.mouth.say(frame, g.codec, pcm)
	g.near.receive(g.packet(g.codec.PayloadType(), frame, frameSamples), addrOf(g.rtp), now)
}

// listen takes in what the leg has sent by now.
func (g *guest) listen(now time.Duration) {
	g.t.Helper()
	g.near.sender.mu.Lock()
	sent := g.near.sender.packets
	g.near.sender.mu.Unlock()
	for ; g.read < sent; g.read++ {
		pkt := g.hear()
		if pkt.PayloadType != g.codec.PayloadType() {
			g.t.Fatalf("payload type %d", pkt.PayloadType)
		}
		g.heard = append(g.heard, g.ear.hear(g.codec, pkt.Payload)...)
		g.at = append(g.at, now)
		g.sent = append(g.sent, *pkt)
	}
}

// speaker is a guest that says something: next gives the sound of packet n, and when the one after it is due.
type speaker struct {
	*guest
	due  time.Duration
	next func(n int) (pcm []int16, after time.Duration)
	n    int
}

// pass lets virtual time go from one instant to another: who speaks does so when it is due, each leg beats on its
// grid, packets before beats, and all listen.
func pass(from, to time.Duration, guests []*guest, speakers []*speaker) {
	for now := from; now < to; {
		next := to
		for _, s := range speakers {
			if s.due <= now {
				s.turn(guests)
			}
			next = min(next, s.due)
		}
		for _, g := range guests {
			if (now-g.grid)%ptime == 0 {
				g.near.beat(now)
				for _, o := range guests {
					o.listen(now)
				}
			}
			next = min(next, now+ptime-((now-g.grid)%ptime+ptime)%ptime)
		}
		now = next
	}
}

// turn says the next packet, which a relay passes on at once.
func (s *speaker) turn(guests []*guest) {
	pcm, after := s.next(s.n)
	s.say(pcm, s.due)
	for _, g := range guests {
		g.listen(s.due)
	}
	s.n++
	s.due += after
}
