package sound

import (
	"math"
	"testing"
)

// Of tones and noise, one packet in eight tells within a factor of two how loud they are.
func TestG722Meter(t *testing.T) {
	next := lcg()
	for name, wave := range map[string]func(i int) float64{
		"50 Hz":   func(i int) float64 { return math.Sin(2 * math.Pi * 50 * float64(i) / 16000) },
		"400 Hz":  func(i int) float64 { return math.Sin(2 * math.Pi * 400 * float64(i) / 16000) },
		"3000 Hz": func(i int) float64 { return math.Sin(2 * math.Pi * 3000 * float64(i) / 16000) },
		"noise":   func(int) float64 { return float64(next())/(1<<31) - 1 },
	} {
		for _, level := range []float64{0, 256, 512, 3000, 10000} {
			pcm := make([]int16, 16000*5)
			for i := range pcm {
				pcm[i] = int16(level * wave(i))
			}
			code := make([]byte, len(pcm)/2)
			new(G722Encoder).Encode(code, pcm)
			var m G722Meter
			top := 0
			for p := 0; p+160 <= len(code); p += 8 * 160 {
				if peak := m.Peak(code[p : p+160]); p >= 8000 { // once the encoder has settled; of silence it makes up something
					top = max(top, peak)
				}
			}
			if float64(top) > 2*level+160 || float64(top) < level {
				t.Errorf("%s at %v: %d", name, level, top)
			}
		}
	}
}
