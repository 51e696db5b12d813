package media

import (
	"math"
	"testing"
	"time"
)

// A recording of a talk keeps what both say where it was said, though one's clock is fast and the other's slow.
func TestDriftInARecording(t *testing.T) {
	guests, speakers := driftLine(t, []Codec{PCMA, PCMU}, []float64{100, -100})
	a, b := guests[0], guests[1]
	if err := Bridge(a.near, b.near); err != nil {
		t.Fatal(err)
	}
	tap, stop := RecordVoices(t)
	first := time.Duration(0)
	a.near.Tap(func(v Voice) {
		if first == 0 {
			first = v.At
		}
		tap(v)
	})
	pass(time.Second, driftFor, guests, speakers)
	a.near.Tap(nil)
	left, right := stop()
	if want := samples(driftFor - first); len(left) < want-frameSamples || len(left) > want+2*frameSamples {
		t.Errorf("%d samples, want %d", len(left), want)
	}
	for _, c := range []struct {
		name string
		pcm  []int16
		from *guest
	}{{"left", left, a}, {"right", right, b}} {
		tape := guest{phone: &phone{t: t}}
		for at := 0; at+frameSamples <= len(c.pcm); at += frameSamples {
			tape.heard = append(tape.heard, c.pcm[at:at+frameSamples]...)
			tape.at = append(tape.at, first+time.Duration(at)*time.Second/clockRate)
		}
		echoes := tape.echoes(c.from.said, 5)
		damaged, least, most := 0, time.Hour, -time.Hour
		for _, e := range echoes {
			least, most = min(least, e.after), max(most, e.after)
			if math.Abs(e.db) > 1 { // a sample was left out or doubled in its midst
				damaged++
			}
		}
		t.Logf("%s: %d chirps, %d damaged, %v to %v later", c.name, len(echoes), damaged, least, most)
		if len(echoes) < 500 || damaged > len(echoes)/50 || most-least > ptime {
			t.Errorf("%s: %d chirps, %d damaged, %v to %v later", c.name, len(echoes), damaged, least, most)
		}
	}
}
