package sound

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"testing"
)

// speech is 2.4 s of synthetic speech at 16 kHz (testdata/golden.sh).
func speech(t testing.TB) []int16 {
	t.Helper()
	data, err := os.ReadFile("testdata/speech.s16")
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, len(data)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return pcm
}

func little(pcm []int16) []byte {
	out := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		out = binary.LittleEndian.AppendUint16(out, uint16(s))
	}
	return out
}

// tone is a sine of amplitude a.
func tone(n int, hz, rate, a float64) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(math.Round(a * math.Sin(2*math.Pi*hz*float64(i)/rate)))
	}
	return out
}

// lcg gives the numbers of testdata/golden.sh.
func lcg() func() uint32 {
	x := uint32(1)
	return func() uint32 {
		x = x*1103515245 + 12345
		return x
	}
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func g722Code(pcm []int16) []byte {
	code := make([]byte, len(pcm)/2)
	new(G722Encoder).Encode(code, pcm)
	return code
}

func g722PCM(code []byte) []int16 {
	pcm := make([]int16, 2*len(code))
	new(G722Decoder).Decode(pcm, code)
	return pcm
}

// Another implementation (ffmpeg's) makes the same bits of the same speech and noise, and the
// same samples of the same bits.
func TestG722EqualsFFmpeg(t *testing.T) {
	want, err := os.ReadFile("testdata/speech.g722")
	if err != nil {
		t.Fatal(err)
	}
	if got := g722Code(speech(t)); !bytes.Equal(got, want) {
		t.Error("the code of speech differs")
	}
	if got := hash(little(g722PCM(want))); got != "41c5a3a48ffdfb70460d737f161bbb77492eb84c8b731d7baadfa4bfa7b43dff" {
		t.Error("decoded speech differs:", got)
	}
	codes, noise := make([]byte, 64000), make([]int16, 64000)
	next, next2 := lcg(), lcg()
	for i := range codes {
		codes[i], noise[i] = byte(next()>>24), int16(next2()>>16)
	}
	if got := hash(little(g722PCM(codes))); got != "56f795cc2ef0d9061b936302ce165906f2d912e8745a4643f18e881b0e19b416" {
		t.Error("random codes decode to something else:", got)
	}
	if got := hash(g722Code(noise)); got != "b4a9b673f6dc1484dec64286fd494fac837086b3bee5bc5de0c6fc98127fac0d" {
		t.Error("the code of noise differs:", got)
	}
}

// The tables hang together as the recommendation derives them: output levels lie between
// decision levels, the mirror filter passes 0 dB, logarithms are what they say.
func TestG722Tables(t *testing.T) {
	for i := 1; i < 30; i++ {
		for sign, s := range []int32{1, -1} {
			top := int32(1 << 20)
			if i < 29 {
				top = q6[i+1]
			}
			// oq6 is 8 times table 17; decision and output levels are rounded, so allow 1.
			if got := s * oq6[il6[sign][i+1]] / 8; got < q6[i]-1 || got > top+1 {
				t.Errorf("interval %d: output level %d isn't in [%d, %d]", i+1, got, q6[i], top)
			}
		}
	}
	seen := make(map[byte]bool)
	for sign := range il6 {
		for i := 1; i <= 30; i++ {
			seen[il6[sign][i]] = true
		}
	}
	if len(seen) != 60 || seen[0] || seen[1] || seen[2] || seen[3] {
		t.Error("the lower band doesn't have 60 codes from 4 to 63")
	}
	var sum int32
	for _, c := range qmf {
		sum += 2 * c
	}
	if sum != 8192 {
		t.Errorf("mirror filter passes %d of 8192", sum)
	}
	for i, v := range ilb {
		if want := 2048 * math.Exp2(float64(i)/32); math.Abs(float64(v)-want) > 1 {
			t.Errorf("ilb[%d] = %d, 2048*2^(i/32) = %.1f", i, v, want)
		}
	}
}

// delay of encoder and decoder together: 22 samples of the two mirror filters.
const g722Delay = 22

// segmentalSNR is the mean over 20 ms segments louder than -50 dBov of what is left of
// want in got, each segment bounded to 0 to 50 dB.
func segmentalSNR(want, got []int16, segment int) float64 {
	var sum, n float64
	for len(want) >= segment && len(got) >= segment {
		var s, e float64
		for i := range segment {
			d := float64(want[i]) - float64(got[i])
			s += float64(want[i]) * float64(want[i])
			e += d * d
		}
		want, got = want[segment:], got[segment:]
		if s/float64(segment) < 1e4 {
			continue
		}
		sum += min(max(10*math.Log10(s/max(e, 1)), 0), 50)
		n++
	}
	return sum / n
}

func TestG722SpeechSNR(t *testing.T) {
	in := speech(t)
	out := g722PCM(g722Code(in))
	snr := segmentalSNR(in, out[g722Delay:], 320)
	t.Logf("segmental SNR of speech, both bands: %.1f dB", snr)
	if snr < 20 {
		t.Errorf("segmental SNR %.1f dB", snr)
	}
}

func TestG722TonesKeepLevel(t *testing.T) {
	for _, hz := range []float64{100, 400, 1020, 2000, 3400, 5000, 6400} {
		t.Run(fmt.Sprint(hz), func(t *testing.T) {
			in := tone(32000, hz, 16000, 8000)
			out := g722PCM(g722Code(in))[16000:]
			got, rest := toneLevel(out, hz, 16000)
			if d := 20 * math.Log10(got/8000); math.Abs(d) > 0.3 {
				t.Errorf("level changed by %.2f dB", d)
			}
			floor := 30.0
			if hz > 4000 {
				floor = 12 // two bits a sample
			}
			if snr := 20 * math.Log10(got/math.Sqrt2/rest); snr < floor {
				t.Errorf("SNR %.1f dB", snr)
			}
		})
	}
}

// toneLevel gives the amplitude of a tone in pcm, and the RMS of what else is there.
func toneLevel(pcm []int16, hz, rate float64) (amplitude, rest float64) {
	var cc, ss, cs, vc, vs float64
	for i, v := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / rate)
		cc, ss, cs = cc+cos*cos, ss+sin*sin, cs+cos*sin
		vc, vs = vc+float64(v)*cos, vs+float64(v)*sin
	}
	det := cc*ss - cs*cs
	c, s := (vc*ss-vs*cs)/det, (vs*cc-vc*cs)/det
	var e float64
	for i, v := range pcm {
		sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / rate)
		d := float64(v) - c*cos - s*sin
		e += d * d
	}
	return math.Hypot(c, s), math.Sqrt(e / float64(len(pcm)))
}

// A stream cut into frames is the same stream.
func TestG722FramesJoin(t *testing.T) {
	in := speech(t)
	want := g722Code(in)
	var e G722Encoder
	var d G722Decoder
	var code []byte
	var pcm []int16
	for n := 0; len(in) > 0; n = (n + 7) % 50 {
		k := min(2*n, len(in))
		b, p := make([]byte, k/2), make([]int16, k)
		e.Encode(b, in[:k])
		d.Decode(p, b)
		code, pcm, in = append(code, b...), append(pcm, p...), in[k:]
	}
	if !bytes.Equal(code, want) || !bytes.Equal(little(pcm), little(g722PCM(want))) {
		t.Error("frames don't join")
	}
}

func BenchmarkG722Encode20ms(b *testing.B) {
	var e G722Encoder
	in, code := speech(b), make([]byte, 160)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i % (len(in) / 320) * 320
		e.Encode(code, in[at:at+320])
	}
}

func BenchmarkG722Decode20ms(b *testing.B) {
	var d G722Decoder
	code, pcm := g722Code(speech(b)), make([]int16, 320)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i % (len(code) / 160) * 160
		d.Decode(pcm, code[at:at+160])
	}
}
