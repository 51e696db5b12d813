package recording

import (
	"math"
	"slices"
	"testing"
	"time"

	"hotline/media"
	"hotline/sound"
)

// place is a packet of one loud value.
func place(at time.Duration, ts uint32, value int16, n int) *packet {
	b := make([]byte, n)
	for i := range b {
		b[i] = media.EncodeALaw(value)
	}
	return &packet{at: at, ts: ts, codec: media.PCMA, payload: b}
}

// where lists the first sample of each run of a value on the left.
func where(pcm []int16, value int16) (at []int) {
	near := func(v int16) bool { return abs(v-value) < 200 }
	for i, v := range pcm {
		if near(v) && (i == 0 || !near(pcm[i-1])) {
			at = append(at, i)
		}
	}
	return at
}

func TestPlaces(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	const loud = 10000
	for _, c := range []struct {
		name    string
		packets []*packet
		want    []int
		length  int
	}{
		{"jitter doesn't move sound", []*packet{place(ms(0), 0, loud, 160), place(ms(55), 320, loud, 160)}, []int{0, 320}, 480},
		{"a lost packet leaves a gap", []*packet{place(ms(0), 0, loud, 160), place(ms(40), 320, loud, 160)}, []int{0, 320}, 480},
		{"late packets go where they belong", []*packet{place(ms(0), 0, loud, 160), place(ms(40), 320, loud, 160), place(ms(41), 160, loud, 160)}, []int{0}, 480},
		{"half a second late", []*packet{place(ms(0), 0, loud, 160), place(ms(540), 320+4000, loud, 160), place(ms(541), 160, loud, 160)}, []int{0, 4320}, 4480},
		{"another stream is placed by when it came", []*packet{place(ms(0), 0, loud, 160), place(ms(500), 1<<31, loud, 160)}, []int{0, 4000}, 4160},
		{"a timestamp that goes round", []*packet{place(ms(0), math.MaxUint32-79, loud, 160), place(ms(40), 240, loud, 160)}, []int{0, 320}, 480},
		{"a silence of ten seconds", []*packet{place(ms(0), 0, loud, 160), place(ms(10000), 80000, loud, 160)}, []int{0, 80000}, 80160},
		{"it begins late", []*packet{place(ms(0), 0, 0, 160), place(ms(100), 800, loud, 160)}, []int{800}, 960},
	} {
		tl := newTimeline(Linear, new(scratch))
		var out []byte
		for _, p := range c.packets {
			out = tl.add(out, 0, p)
		}
		left, right := split(Linear, tl.finish(out, time.Duration(c.length)*time.Second/rate))
		if got := where(left, loud); !slices.Equal(got, c.want) || len(left) != c.length {
			t.Errorf("%s: at %v of %d, want %v of %d", c.name, got, len(left), c.want, c.length)
		}
		if len(where(right, loud)) != 0 {
			t.Errorf("%s: it is on the other channel, too", c.name)
		}
	}
}

// What comes after more than a second is where the clock says, and nothing that was
// written changes.
func TestTooLateToPlace(t *testing.T) {
	tl := newTimeline(Linear, new(scratch))
	out := tl.add(nil, 0, place(0, 0, 100, 160))
	for i := range 100 {
		out = tl.add(out, 1, place(time.Duration(i)*20*time.Millisecond, uint32(i*160), 100, 160))
	}
	out = tl.add(out, 0, place(1990*time.Millisecond, 160, 10000, 160))
	left, _ := split(Linear, tl.finish(out, 2*time.Second))
	if got := where(left, 10000); !slices.Equal(got, []int{15920}) {
		t.Errorf("at %v", got)
	}
}

func TestG722IsDecoded(t *testing.T) {
	var enc sound.G722Encoder
	c, tl := &channel{}, newTimeline(Linear, new(scratch))
	wide, code := make([]int16, 320), make([]byte, 160)
	var all []int16
	for i := range 50 {
		for k := range wide {
			wide[k] = int16(8000 * math.Sin(2*math.Pi*500*float64(i*320+k)/16000))
		}
		enc.Encode(code, wide)
		tl.narrow(c, code)
		all = append(all, tl.pcm[:160]...)
	}
	if got := 20 * math.Log10(media.Goertzel(all[1600:], 500, rate)*32768/8000); math.Abs(got) > 0.5 {
		t.Errorf("%.2f dB off", got)
	}
}
