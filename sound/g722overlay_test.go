package sound

import "testing"

// What is laid over a stream of G.722 is heard with it, and neither where it begins nor where it ends, nor when the stream
// is passed on as it comes again, is anything heard that is none of both.
func TestG722Overlay(t *testing.T) {
	const beep, amplitude = 1600, 3277 // 200 ms
	pcm := speech(t)
	pcm = append(append(pcm, make([]int16, 8000)...), pcm...) // half a second's pause
	tone := tone(2*beep, 1400, 16000, amplitude)
	heard := func(code []byte) []int16 {
		out := make([]int16, 2*len(code))
		new(G722Decoder).Decode(out, code)
		return out
	}
	const filters = 22 // samples
	voice := heard(g722Code(pcm))
	for begin := 4000; begin < 17000; begin += 800 {
		code := g722Code(pcm)
		var o G722Overlay
		o.Follow(code[begin-1600 : begin])
		end := begin
		for low := G722LowBand(tone); len(low) > 0 || !o.Settled(); end += 160 {
			if end+160 > len(code) {
				t.Fatal("it doesn't settle in a pause")
			}
			o.Add(code[end:end+160], low)
			low = low[min(160, len(low)):]
		}
		rest := heard(code)
		for i := range rest {
			rest[i] -= voice[i]
		}
		if level := Level(rest[2*begin : 2*(begin+beep)]); level < -23.5 || level > -22.5 {
			t.Errorf("from %d: the tone is heard at %.1f dBov", begin, level)
		}
		for i, v := range tone {
			rest[2*begin+filters+i] -= v
		}
		worst := func(from, to int) (most float64) {
			most = Quietest
			for ; from+80 <= to; from += 80 {
				most = max(most, Level(rest[from:from+80]))
			}
			return most
		}
		before, beside, later := worst(0, 2*begin), worst(2*begin, 2*end), worst(2*end, len(rest))
		t.Logf("from %d to %d: in 5 ms at most %.0f dBov before, %.0f then, %.0f later", begin, end, before, beside, later)
		if before > Quietest || beside > -35 || later > -60 {
			t.Errorf("from %d to %d: in 5 ms at most %.0f dBov before, %.0f then, %.0f later", begin, end, before, beside, later)
		}
	}
}

// BenchmarkG722Overlay is a packet of 20 ms.
func BenchmarkG722Overlay(b *testing.B) {
	code := g722Code(speech(b))[:160]
	var o G722Overlay
	o.Follow(code)
	b.ReportAllocs()
	for b.Loop() {
		o.Add(code, nil)
	}
}
