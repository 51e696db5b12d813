package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// ways are the families and modes that each test is run in.
func ways(t *testing.T, run func(t *testing.T, p *Path, addr netip.Addr)) {
	for _, addr := range []netip.Addr{loopback4, loopback6} {
		for _, m := range []Mode{TCX, XDPGeneric} {
			t.Run(fmt.Sprintf("%s by %s", addr, m), func(t *testing.T) {
				run(t, openPath(t, Options{Addr: addr, Modes: []Mode{m}}), addr)
			})
		}
	}
}

func TestForwards(t *testing.T) {
	ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
		l := newLine(t, p, addr)
		l.set()
		begun := monotonic()
		for i := range 20 { // over the wrap of sequence numbers
			l.marker = i == 3
			in := l.speak()
			out, from := receive(t, "the packet", l.far)
			if from != addrOf(l.out) {
				t.Fatalf("it came from %s, want %s", from, addrOf(l.out))
			}
			want := bytes.Clone(in)
			binary.BigEndian.PutUint16(want[2:], binary.BigEndian.Uint16(in[2:])+100)
			binary.BigEndian.PutUint32(want[4:], binary.BigEndian.Uint32(in[4:])+5000)
			binary.BigEndian.PutUint32(want[8:], 0x55667788)
			if !bytes.Equal(out, want) {
				t.Fatalf("got % x, want % x", out[:14], want[:14])
			}
		}
		s := l.state()
		if s.Packets != 20 || s.OutPackets != 20 || s.Octets != 3200 || s.OutOctets != 3200 || s.Received != 21 {
			t.Errorf("state %+v", s)
		}
		if s.Highest != 1<<16+65529+20 || s.NextSeq != l.seq+100 || s.NextTS != l.ts+5000 {
			t.Errorf("state %+v", s)
		}
		if now := monotonic(); p.Seen(l.port) != s.Seen || s.Seen < begun || s.Seen > now {
			t.Errorf("seen at %d by memory, %d by the state, want one between %d and %d", p.Seen(l.port), s.Seen, begun, now)
		}
	})
}

// What isn't exactly what was set goes up unchanged, leaves nothing behind in the state, and what is
// sent after it goes on.
func TestSendsUp(t *testing.T) {
	sound := make([]byte, soundSize)
	for name, make := range map[string]func(l *line) []byte{
		"another payload type":  func(l *line) []byte { return l.packet(96, sound[:4]) },
		"another length":        func(l *line) []byte { return l.packet(8, sound[:80]) },
		"no sound":              func(l *line) []byte { return l.packet(8, nil) },
		"too little for RTP":    func(l *line) []byte { return []byte{0x80, 8} },
		"another SSRC":          func(l *line) []byte { b := l.packet(8, sound); b[8]++; return b },
		"a header extension":    func(l *line) []byte { b := l.packet(8, sound); b[0] |= 0x10; return b },
		"padding":               func(l *line) []byte { b := l.packet(8, sound); b[0] |= 0x20; return b },
		"STUN":                  func(l *line) []byte { b := l.packet(8, sound); b[0] = 0; return b },
		"a jump of the numbers": func(l *line) []byte { l.seq += 5000; b := l.packet(8, sound); l.seq -= 5000; return b },
		"a timestamp far ahead": func(l *line) []byte { l.ts += 9000; b := l.packet(8, sound); l.ts -= 9000; return b },
		"a timestamp far behind": func(l *line) []byte {
			l.ts -= 20000
			b := l.packet(8, sound)
			l.ts += 20000
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
				l := newLine(t, p, addr)
				l.set()
				l.speak()
				receive(t, "voice", l.far)
				before, seq, ts := l.state(), l.seq, l.ts
				b := make(l)
				l.send(l.phone, b)
				got, from := receive(t, "what goes up", l.up)
				if !bytes.Equal(got, b) || from != addrOf(l.phone) {
					t.Errorf("% x from %s came up, want % x", got, from, b)
				}
				if after := l.state(); after != before {
					t.Errorf("state %+v, want %+v", after, before)
				}
				l.seq, l.ts = seq, ts
				l.speak()
				receive(t, "voice after it", l.far)
			})
		})
	}
}

func TestComfortNoiseHasNoLength(t *testing.T) {
	ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
		l := newLine(t, p, addr)
		l.set()
		before := l.state()
		l.send(l.phone, l.packet(13, []byte{60}))
		if got, _ := receive(t, "comfort noise", l.far); got[1] != 14 || len(got) != 13 {
			t.Errorf("got % x", got)
		}
		if s := l.state(); s.NextTS != before.NextTS || s.NextSeq != before.NextSeq+1 || s.Timed {
			t.Errorf("state %+v", s)
		}
	})
}

// A foreign source reaches neither the other phone nor the socket while the phone speaks.
func TestStraysAreDropped(t *testing.T) {
	ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
		l := newLine(t, p, addr)
		l.set()
		stranger := listen(t, addr)
		for range 50 {
			b := l.packet(8, make([]byte, soundSize))
			l.seq--
			l.ts -= soundSize
			l.send(stranger, b)
		}
		in := l.speak()
		if got, _ := receive(t, "the phone's packet", l.far); !bytes.Equal(got[12:], in[12:]) {
			t.Error("a stranger was heard")
		}
		if s := l.state(); s.Stray != 50 || s.Packets != 1 || s.OutPackets != 1 {
			t.Errorf("state %+v", s)
		}
		// When the phone has been silent for long, userland judges.
		if _, err := p.Remove(l.port); err != nil {
			t.Fatal(err)
		}
		l.setAt(monotonic() - int64(2*time.Second))
		l.send(stranger, []byte("hello"))
		if got, _ := receive(t, "what the stranger says", l.up); string(got) != "hello" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTracksAsUserlandDoes(t *testing.T) {
	ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
		l := newLine(t, p, addr)
		first := l.seq
		l.floor = first + 2 + l.forward.SeqOffset
		l.set()
		type want struct{ received, late, twice, out uint64 }
		for _, c := range []struct {
			seq  uint16
			want want
		}{
			{2, want{2, 0, 0, 1}}, {4, want{3, 0, 0, 2}}, {3, want{4, 1, 0, 3}}, {3, want{4, 1, 1, 3}},
			{1, want{5, 2, 1, 3}}, // below the floor: counted, not sent
			{4, want{5, 2, 2, 3}}, {104, want{6, 2, 2, 4}}, {20, want{6, 2, 3, 4}},
		} {
			l.seq, l.ts = first+c.seq, 1000
			l.speak()
			s := l.state()
			if got := (want{uint64(s.Received), s.Late, s.Duplicates, s.OutPackets}); got != c.want {
				t.Errorf("after %d: %+v, want %+v", c.seq, got, c.want)
			}
		}
		if s := l.state(); s.Highest != 1<<16+uint32(first)+104 {
			t.Errorf("highest %d", s.Highest)
		}
	})
}

// After Remove nothing leaves, and all that left is in the state it returned.
func TestRemoveIsExact(t *testing.T) {
	ways(t, func(t *testing.T, p *Path, addr netip.Addr) {
		l := newLine(t, p, addr)
		stop, done := make(chan struct{}), make(chan struct{})
		l.set()
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					l.speak()
					l.ts = 1000
				}
			}
		}()
		receive(t, "the first packet", l.far)
		heard := 1
		for range 100 {
			receive(t, "a packet", l.far)
			heard++
		}
		s, err := p.Remove(l.port)
		if err != nil {
			t.Fatal(err)
		}
		if after := l.state(); after != s {
			t.Errorf("the state went on: %+v after %+v", after, s)
		}
		close(stop)
		<-done
		l.speak()
		for ; uint64(heard) < s.OutPackets && heard < 150; heard++ {
			receive(t, "a packet that was counted", l.far)
		}
		if up, _ := receive(t, "the first that goes up", l.up); binary.BigEndian.Uint16(up[2:]) != uint16(s.Highest)+1 {
			t.Errorf("number %d came up after %d was forwarded", binary.BigEndian.Uint16(up[2:]), uint16(s.Highest))
		}
	})
}

func TestPortsOutsideAreRefused(t *testing.T) {
	p := openPath(t, Options{Addr: loopback4, PortMin: 20000, PortMax: 20010})
	f := Forward{Source: netip.MustParseAddrPort("127.0.0.1:1"), Destination: netip.MustParseAddrPort("127.0.0.1:2")}
	for port, ok := range map[uint16]bool{19999: false, 20000: true, 20010: true, 20011: false} {
		if err := p.Set(port, f, State{}); (err == nil) != ok {
			t.Errorf("port %d: %v", port, err)
		}
	}
	f.Source = netip.MustParseAddrPort("[::1]:1")
	if err := p.Set(20000, f, State{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a source of the other family: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"every address":        {Addr: netip.MustParseAddr("0.0.0.0")},
		"an address elsewhere": {Addr: netip.MustParseAddr("203.0.113.1")},
		"a link-local address": {Addr: netip.MustParseAddr("fe80::1%lo")},
	} {
		if p, err := Open(o); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}
