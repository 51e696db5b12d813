package media

import (
	"math"
	"testing"
)

// decisions are the upper decision values x(n+1) of ITU-T G.711 tables 1a and 2a, built from what
// the Recommendation says: 16 equal intervals in each segment, each segment's twice as wide as in
// the one before (A-law: the first two alike). Arithmetic of segments, no bit tricks: independent
// of the code under test.
func decisions(firstWidth int, repeated bool) (bounds []int) {
	width, x := firstWidth, 0
	for segment := range 8 {
		if segment > 1 || segment == 1 && !repeated {
			width *= 2
		}
		for range 16 {
			x += width
			bounds = append(bounds, x)
		}
	}
	return bounds
}

// interval is the number of the interval that magnitude falls into.
func interval(bounds []int, magnitude int) int {
	for n, x := range bounds {
		if magnitude < x {
			return n
		}
	}
	return len(bounds) - 1
}

func TestALawFollowsG711(t *testing.T) {
	bounds := decisions(2*16/2, true) // 2 of 4096 units, in 16-bit units: 32768/2048 = 16
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		magnitude, sign := s, byte(0x80)
		if s < 0 {
			magnitude, sign = -s-1, 0
		}
		want := (sign | byte(interval(bounds, magnitude))) ^ 0x55
		if got := EncodeALaw(int16(s)); got != want {
			t.Fatalf("EncodeALaw(%d) = %#02x, G.711 says %#02x", s, got, want)
		}
	}
	low := 0
	for n, high := range bounds {
		positive := (0x80 | byte(n)) ^ 0x55
		if got, want := int(DecodeALaw(positive)), (low+high)/2; got != want {
			t.Errorf("DecodeALaw(%#02x) = %d, the middle of the interval is %d", positive, got, want)
		}
		if got := DecodeALaw(positive ^ 0x80); got != -DecodeALaw(positive) {
			t.Errorf("DecodeALaw(%#02x) = %d is not the other's negative", positive^0x80, got)
		}
		low = high
	}
}

func TestULawFollowsG711(t *testing.T) {
	// In 14-bit units: the first interval is half as wide (0 to 1), so bounds shift by one unit.
	bounds := decisions(2, false)
	for n := range bounds {
		bounds[n]--
	}
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		magnitude, sign := s>>2, byte(0)
		if s < 0 {
			magnitude, sign = (-s-1)>>2, 0x80
		}
		want := ^(sign | byte(interval(bounds, magnitude)))
		if got := EncodeULaw(int16(s)); got != want {
			t.Fatalf("EncodeULaw(%d) = %#02x, G.711 says %#02x", s, got, want)
		}
	}
	low := -1 // so that the middle of the first interval is 0
	for n, high := range bounds {
		positive := ^byte(n)
		if got, want := int(DecodeULaw(positive)), (low+high)*2; got != want {
			t.Errorf("DecodeULaw(%#02x) = %d, the middle of the interval is %d", positive, got, want)
		}
		if got := DecodeULaw(positive ^ 0x80); got != -DecodeULaw(positive) {
			t.Errorf("DecodeULaw(%#02x) = %d is not the other's negative", positive^0x80, got)
		}
		low = high
	}
}

func TestEveryCodeSurvivesARoundTrip(t *testing.T) {
	for i := range 256 {
		b := byte(i)
		if got := EncodeALaw(DecodeALaw(b)); got != b {
			t.Errorf("A-law %#02x came back as %#02x", b, got)
		}
		// µ-law has two zeroes; the negative one comes back as the positive.
		if got := EncodeULaw(DecodeULaw(b)); got != b && b != 0x7F {
			t.Errorf("µ-law %#02x came back as %#02x", b, got)
		}
	}
}

func TestTranscodingIsDecodingAndEncoding(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	out := make([]byte, 256)
	transcode(out, PCMU, all, PCMA)
	for i, b := range out {
		if want := EncodeULaw(DecodeALaw(byte(i))); b != want {
			t.Errorf("A-law %#02x became %#02x, want %#02x", i, b, want)
		}
	}
	transcode(out, PCMA, all, PCMU)
	for i, b := range out {
		if want := EncodeALaw(DecodeULaw(byte(i))); b != want {
			t.Errorf("µ-law %#02x became %#02x, want %#02x", i, b, want)
		}
	}
	transcode(out, PCMA, all, PCMA)
	if string(out) != string(all) {
		t.Error("the same codec must pass unchanged")
	}
}

func TestCodecNames(t *testing.T) {
	for c, want := range map[Codec]string{0: "none", PCMA: "PCMA", PCMU: "PCMU", event: "telephone-event"} {
		if got := c.String(); got != want {
			t.Errorf("codec %d is called %q, want %q", c, got, want)
		}
	}
}
