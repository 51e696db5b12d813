package playout

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Comfort noise announces a pause: nothing is concealed.
func TestComfortNoise(t *testing.T) {
	b := New(Options{})
	voice := make([]byte, 160)
	var seq uint16
	kinds := make(map[Kind]int)
	for n := range 3000 {
		now := time.Duration(n) * 20 * ms
		switch second := n / 50 % 2; {
		case second == 0:
			b.Put(seq, uint32(n*160), voice, now)
			seq++
		case n%50 == 0:
			b.Put(seq, uint32(n*160), nil, now)
			seq++
		}
		kinds[b.Next(now).Kind]++
		kinds[b.Next(now).Kind]++
	}
	if kinds[Lost] > 0 || kinds[Voice] != 3000 || b.Stats().Lost > 0 {
		t.Errorf("%v %+v", kinds, b.Stats())
	}
}

// What is missing while later packets wait already: a gap in the sequence numbers is a loss of
// its length, a jump of timestamps without one is a pause, and so is all behind comfort noise.
// Both counters wrap meanwhile.
func TestGaps(t *testing.T) {
	for name, c := range map[string]struct {
		packets, want string // packets: voice, lost, pause without a packet, comfort noise
	}{
		"loss":                     {"vvvvvvvLvvvv", "------vvvvvvvvvvvvvvLLvv"},
		"pause":                    {"vvvvvv  vvvv", "------vvvvvvvvvvvv----vv"},
		"noise":                    {"vvvvvvN vvvv", "------vvvvvvvvvvvv----vv"},
		"loss between noise, talk": {"vvvvvvNLvvvv", "------vvvvvvvvvvvv----vv"},
	} {
		b := New(Options{Start: 60 * ms, Min: 60 * ms})
		seq, ts := uint16(65532), uint32(1<<32-700)
		got := ""
		for n, kind := range c.packets {
			now := time.Duration(n) * 20 * ms
			switch kind {
			case 'v':
				b.Put(seq, ts, make([]byte, 160), now)
			case 'N':
				b.Put(seq, ts, nil, now)
			}
			if kind != ' ' {
				seq++
			}
			ts += 160
			for range 2 {
				got += string("-vL"[b.Next(now).Kind])
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// Of a packet that comes in the midst of its turn the rest is heard.
func TestHalfLate(t *testing.T) {
	b := New(Options{Period: 10 * ms})
	payload := make([]byte, 320)
	for i := range payload {
		payload[i] = byte(i / PieceLen)
	}
	b.Put(1, 0, payload, 0)
	now := time.Duration(0)
	for ; b.Stats().Concealed == 0; now += 10 * ms {
		b.Next(now)
	}
	b.Put(2, 320, payload, now-ms)
	p := b.Next(now)
	for ; p.Kind == Lost; now += 10 * ms {
		p = b.Next(now)
	}
	if p.Kind != Voice || p.Payload[0] != 1 || p.Payload[79] != 1 {
		t.Error(p)
	}
	if s := b.Stats(); s.Late != 0 || s.Concealed != 1 {
		t.Errorf("%+v", s)
	}
}

// A number far off is not a thousand losses.
func TestWildNumber(t *testing.T) {
	b := New(Options{})
	for n := range 100 {
		seq := uint16(n)
		if n == 50 {
			seq += 10000
		}
		now := time.Duration(n) * 20 * ms
		b.Put(seq, uint32(n*160), make([]byte, 160), now)
		b.Next(now)
		b.Next(now)
	}
	if s := b.Stats(); s.Strays != 1 || s.Lost != 1 || s.Resyncs != 0 {
		t.Errorf("%+v", s)
	}
}

func TestReset(t *testing.T) {
	b := New(Options{})
	b.Put(1, 0, make([]byte, 160), 0)
	b.Put(3, 320, make([]byte, 160), 0)
	b.Next(0)
	b.Reset()
	if p := b.Next(time.Second); p.Kind != Silence {
		t.Error(p.Kind)
	}
	b.Put(40000, 1<<31, bytes.Repeat([]byte{7}, 160), 2*time.Second)
	if p := b.Next(2*time.Second + 30*ms); p.Kind != Voice || p.Payload[79] != 7 {
		t.Error(p)
	}
	if s := b.Stats(); s.Lost != 1 || s.Received != 3 || s.Resyncs != 0 {
		t.Errorf("%+v", s)
	}
}

// The last 10 ms that were left out come along, so that they can be faded from.
func TestSkipped(t *testing.T) {
	res := sim{ppm: 500, length: 5 * time.Minute, quiet: sentence}.run(t)
	if res.Dropped == 0 || res.skippedSeen == 0 || 2*res.skippedSeen != int(res.Dropped) {
		t.Errorf("%d of %d pieces seen, two at once are left out", res.skippedSeen, res.Dropped)
	}
}

// Whatever comes, voice is what was sent for that time, given out once and in order, and the
// delay stays within its bounds.
func TestAnyTraffic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := time.Duration(rapid.SampledFrom([]int{10, 20}).Draw(t, "period")) * ms
		high := time.Duration(rapid.IntRange(20, 300).Draw(t, "max")) * ms
		b := New(Options{Period: period, Max: high})
		pieces := rapid.IntRange(1, 6).Draw(t, "pieces")
		seq, ts := rapid.Uint16().Draw(t, "seq"), rapid.Uint32().Draw(t, "ts")
		var queue []event
		n, last := 0, -1
		for now := time.Duration(0); now < 6*time.Second; now += period {
			for ; time.Duration(n)*time.Duration(pieces)*10*ms <= now; n++ {
				payload := make([]byte, pieces*PieceLen)
				for i := range pieces {
					binary.BigEndian.PutUint32(payload[i*PieceLen:], uint32(n*pieces+i))
				}
				for range rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(t, "copies") {
					late := time.Duration(rapid.IntRange(0, 240).Draw(t, "late")) * ms
					queue = insert(queue, event{now + late, seq + uint16(n), ts + uint32(len(payload)*n), payload})
				}
			}
			for len(queue) > 0 && queue[0].at <= now {
				b.Put(queue[0].seq, queue[0].ts, queue[0].payload, queue[0].at)
				queue = queue[1:]
			}
			for range period / (10 * ms) {
				p := b.Next(now)
				if (p.Kind == Voice) != (len(p.Payload) == PieceLen) {
					t.Fatalf("kind %d with %d bytes", p.Kind, len(p.Payload))
				}
				if p.Kind == Voice {
					k := int(binary.BigEndian.Uint32(p.Payload))
					if k <= last || k >= n*pieces {
						t.Fatalf("piece %d after %d, %d sent", k, last, n*pieces)
					}
					last = k
				}
			}
			if s := b.Stats(); s.Delay > high+2*period || s.Target > high {
				t.Fatalf("delay %v, target %v", s.Delay, s.Target)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b := New(Options{})
	payload := make([]byte, 160)
	n := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		now := time.Duration(n) * 20 * ms
		if n%10 != 3 {
			b.Put(uint16(n), uint32(160*n), payload, now)
		}
		b.Next(now)
		b.Next(now)
		b.Stats()
		n++
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzBuffer takes any calls: each ten bytes are a Put, a Next, a Reset or a long packet.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x00\x00\x00\x00\x50\x05\x00"), int64(0))
	f.Add(bytes.Repeat([]byte("\x01\xff\xff\xff\xff\xff\xff\x50\x05\x00\x03\x00\x00\x00\x00\x00\x00\x00\xff\x00"), 40), int64(1)<<62)
	f.Fuzz(func(t *testing.T, data []byte, start int64) {
		b := New(Options{})
		payload := make([]byte, 1100)
		now := time.Duration(start)
		for ; len(data) >= 10; data = data[10:] {
			seq, ts := binary.BigEndian.Uint16(data[1:]), binary.BigEndian.Uint32(data[3:])
			size := int(binary.BigEndian.Uint16(data[7:])) % len(payload)
			now += time.Duration(int8(data[9])) * ms
			switch data[0] % 8 {
			case 0, 1:
				b.Put(seq, ts, payload[:size], now)
			case 2:
				now += time.Duration(int32(ts)) * time.Microsecond
			case 3:
				b.Reset()
			case 4:
				b.Quiet(seq%2 == 0)
			default:
				if p := b.Next(now); (p.Kind == Voice) != (len(p.Payload) == PieceLen) {
					t.Fatalf("kind %d with %d bytes", p.Kind, len(p.Payload))
				}
			}
			if b.hold > b.period || !b.idle && b.head < b.heard {
				t.Fatalf("the head waits for %d, at %d of %d", b.hold, b.head, b.heard)
			}
			if s := b.Stats(); s.Target > 200*ms {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func BenchmarkPutNext20ms(b *testing.B) {
	buf := New(Options{})
	payload := make([]byte, 160)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		now := time.Duration(n) * 20 * ms
		buf.Put(uint16(n), uint32(160*n), payload, now)
		buf.Next(now)
		buf.Next(now)
	}
}
