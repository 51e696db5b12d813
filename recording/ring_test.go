package recording

import (
	"bytes"
	"testing"
	"time"

	"hotline/media"
)

// Packets come out as they went in, wherever the ring's end cuts them, and each ring keeps to its half.
func TestRingsOfAnySize(t *testing.T) {
	both := newRings(5003)
	var buf [maxPayload]byte
	for i := range 3000 {
		for side, r := range both {
			payload := bytes.Repeat([]byte{byte(i + side)}, 100+i%300)
			for n := 0; r.put(time.Duration(i), uint32(i), media.PCMA, payload); n++ {
				if n > 5003/100 {
					t.Fatal("it is never full")
				}
			}
		}
		for side, r := range both {
			var p packet
			for size, ok := r.peek(&p); ok; size, ok = r.peek(&p) {
				want := bytes.Repeat([]byte{byte(i + side)}, 100+i%300)
				if got := r.take(buf[:], size); p.at != time.Duration(i) || p.ts != uint32(i) || !bytes.Equal(got, want) {
					t.Fatalf("packet %d of side %d comes out as %v, %d bytes", i, side, p, size)
				}
			}
		}
	}
}
