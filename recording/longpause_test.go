package recording

import (
	"testing"
	"time"

	"hotline/media"
)

// The silence of a long pause is written in pieces: however long it was, it takes no memory.
func TestLongPauseTakesNoMemory(t *testing.T) {
	const hour = time.Hour
	for _, resumed := range []bool{true, false} {
		r, _ := newRecorder(t, nil, nil)
		g := begin(t, r, "n-1")
		s := &stream{codec: media.PCMA, freq: 500}
		g.Voice(s.packet(0))
		g.Pause()
		if resumed {
			g.Voice(s.packet(hour / 2))
			g.Resume()
		}
		g.Voice(s.packet(hour)) // of a pause: only its time counts
		g.Stop(EndedCall)
		if in := whole(t, g); in.Seconds != hour.Seconds()+0.02 {
			t.Errorf("%v seconds", in.Seconds)
		}
		if n := cap(g.out); n > 4*chunk*g.rec.opt.Format.frame() {
			t.Errorf("resumed %v: %d bytes were held at once", resumed, n)
		}
	}
}
