package media

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// eventPacket is one packet as it arrives.
type eventPacket struct {
	ts  uint32
	key byte
	dur uint16
	end bool
}

// digitsOf feeds the packets, 20 ms apart, lets the line fall idle and returns the keys reported.
func digitsOf(packets []eventPacket) (all []press) {
	var d digitReader
	now := time.Second
	for _, p := range packets {
		code, _ := keyCode(p.key)
		done, n := d.packet(p.ts, telephoneEvent{code, p.end, p.dur}, now)
		all = append(all, done[:n]...)
		now += ptime
	}
	if p, ok := d.idle(now + digitIdle); ok {
		all = append(all, p)
	}
	return all
}

func keysOf(presses []press) string {
	var b []byte
	for _, p := range presses {
		b = append(b, p.key)
	}
	return string(b)
}

func TestDigits(t *testing.T) {
	// press is a whole key press as a good phone sends it.
	press := func(ts uint32, key byte) []eventPacket {
		return []eventPacket{
			{ts, key, 160, false}, {ts, key, 320, false}, {ts, key, 480, false},
			{ts, key, 640, true}, {ts, key, 640, true}, {ts, key, 640, true},
		}
	}
	join := func(parts ...[]eventPacket) (all []eventPacket) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		packets []eventPacket
		want    string
	}{
		{"one press, its end three times", press(1000, '5'), "5"},
		{"the start was lost", press(1000, '5')[2:], "5"},
		{"only one end packet came", press(1000, '5')[5:], "5"},
		{"all ends were lost, the line falls idle", press(1000, '5')[:3], "5"},
		{"all ends were lost, another key follows", join(press(1000, '5')[:3], press(3000, '6')), "56"},
		{"all ends were lost, the same key follows", join(press(1000, '5')[:3], press(3000, '5')), "55"},
		{"the same key twice", join(press(1000, '5'), press(3000, '5')), "55"},
		{"the next begins before the third end came", join(press(1000, '1')[:5], press(3000, '2')[:1], press(1000, '1')[5:], press(3000, '2')[1:]), "12"},
		{"an overtaken packet of the press before", join(press(1000, '1'), press(3000, '2')[:2], press(1000, '1')[1:2], press(3000, '2')[2:]), "12"},
		{"the timestamp wraps", join(press(0xFFFFFFF0, '9'), press(0x500, '9')), "99"},
		{"star, hash and letters", join(press(1000, '*'), press(3000, '#'), press(5000, 'A'), press(7000, 'd')), "*#AD"},
		{"a flash of the hook is no key", []eventPacket{{1000, 'x', 640, true}}, ""},
		{"held for so long that the duration overflows", []eventPacket{
			{1000, '3', 0xFFF0, false}, {1000, '3', 0xFFFF, false},
			{1000 + 0xFFFF, '3', 160, false}, {1000 + 0xFFFF, '3', 320, true}, {1000 + 0xFFFF, '3', 320, true},
		}, "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.packets {
				if c.packets[i].key == 'x' {
					var d digitReader
					if _, n := d.packet(1000, telephoneEvent{16, true, 640}, 0); n != 0 {
						t.Error("event 16 was taken for a key")
					}
					return
				}
			}
			if got := keysOf(digitsOf(c.packets)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDigitTellsHowLongTheKeyWasHeld(t *testing.T) {
	got := digitsOf([]eventPacket{{1000, '7', 160, false}, {1000, '7', 800, true}})
	if len(got) != 1 || got[0].duration != 100*time.Millisecond || got[0].at != time.Second {
		t.Errorf("got %+v, want 7 held for 100 ms from 1 s on", got)
	}
	long := digitsOf([]eventPacket{{1000, '7', 0xFFFF, false}, {1000 + 0xFFFF, '7', 1, true}})
	if len(long) != 1 || long[0].duration != 65536*time.Second/8000 {
		t.Errorf("got %+v, want one press of 65536 units", long)
	}
}

func TestDigitIsNotIdleOneTickTooEarly(t *testing.T) {
	var d digitReader
	d.packet(1000, telephoneEvent{code: 5, duration: 160}, time.Second)
	if _, ok := d.idle(time.Second + digitIdle - 1); ok {
		t.Error("reported before its time")
	}
	if p, ok := d.idle(time.Second + digitIdle); !ok || p.key != '5' {
		t.Error("not reported in time")
	}
	if _, ok := d.idle(time.Hour); ok {
		t.Error("reported twice")
	}
}

func TestDigitBeingPressedWhenTheStreamRestarts(t *testing.T) {
	var d digitReader
	d.packet(90000, telephoneEvent{code: 5, duration: 160}, time.Second)
	if p, ok := d.restart(); !ok || p.key != '5' {
		t.Error("the press before was lost")
	}
	if _, n := d.packet(100, telephoneEvent{code: 6, duration: 160, end: true}, 2*time.Second); n != 1 {
		t.Error("the new stream's timestamps were compared with the old one's")
	}
}

// Whatever is lost, repeated or swapped with its neighbour: as long as one packet of a press arrives
// before the next press begins, each press is reported once and in order.
func TestDigitsSurviveAnyLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := rapid.Uint32().Draw(t, "ts")
		var packets []eventPacket
		var want []byte
		for range rapid.IntRange(1, 8).Draw(t, "presses") {
			key := keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")]
			length := rapid.IntRange(1, 10).Draw(t, "length")
			var all []eventPacket
			for i := 1; i <= length; i++ {
				all = append(all, eventPacket{ts, key, uint16(i * 160), i == length})
			}
			last := all[len(all)-1]
			all = append(all, last, last)
			var kept []eventPacket
			for _, p := range all {
				for range rapid.IntRange(0, 2).Draw(t, "copies") {
					kept = append(kept, p)
				}
			}
			if len(kept) > 0 {
				want = append(want, key)
			}
			packets = append(packets, kept...)
			ts += uint32(length*160) + 480
		}
		if got := keysOf(digitsOf(packets)); got != string(want) {
			t.Fatalf("got %q, want %q from %v", got, want, packets)
		}
	})
}

func FuzzDigits(f *testing.F) {
	f.Add([]byte{0, 0, 3, 0xE8, 5, 0x0A, 0, 160, 0, 0, 3, 0xE8, 5, 0x8A, 1, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		var d digitReader
		now := time.Duration(0)
		reported, fed := 0, 0
		for ; len(data) >= 8; data = data[8:] {
			e, ok := parseEvent(data[4:])
			if !ok {
				t.Fatal("four bytes are an event")
			}
			ts := uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])
			_, n := d.packet(ts, e, now)
			reported += n
			fed++
			now += ptime
		}
		if _, ok := d.idle(now + digitIdle); ok {
			reported++
		}
		if reported > fed {
			t.Fatalf("%d digits from %d packets", reported, fed)
		}
	})
}

func TestDigitWriterIsReadBack(t *testing.T) {
	var w digitWriter
	for _, key := range []byte("19*") {
		code, _ := keyCode(key)
		if !w.add(code, 100*time.Millisecond) {
			t.Fatal("queue full")
		}
	}
	var r digitReader
	var got []press
	ts, ends := uint32(0), 0
	for now := time.Duration(0); now < 2*time.Second; now += ptime {
		if !w.busy(now) {
			continue
		}
		if w.begins() {
			ts = units(now)
		}
		e := w.step(now)
		if e.end {
			ends++
		}
		done, n := r.packet(ts, e, now)
		got = append(got, done[:n]...)
	}
	if keysOf(got) != "19*" || ends != 9 {
		t.Errorf("got %q with %d end packets, want 19* with 9", keysOf(got), ends)
	}
	for _, p := range got {
		if p.duration != 100*time.Millisecond {
			t.Errorf("%c was held for %v, want 100 ms", p.key, p.duration)
		}
	}
}
