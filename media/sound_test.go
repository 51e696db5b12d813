package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hotline/sound"
)

func TestToneIsMeasured(t *testing.T) {
	pcm := Tone(440, time.Second, 0.5).PCM()
	if got := Goertzel(pcm, 440, clockRate); math.Abs(got-0.5) > 0.01 {
		t.Errorf("440 Hz at %.3f, want 0.5", got)
	}
	if got := Goertzel(pcm, 620, clockRate); got > 0.01 {
		t.Errorf("620 Hz at %.3f in a tone of 440 Hz", got)
	}
	if got := Goertzel(nil, 440, clockRate); got != 0 {
		t.Errorf("nothing sounds at %v", got)
	}
}

func TestRingBackIsChinas(t *testing.T) {
	pcm := RingBack().PCM()
	if len(pcm) != 5*clockRate {
		t.Fatalf("%d samples, want five seconds", len(pcm))
	}
	if on := Goertzel(pcm[:clockRate], 450, clockRate); on < 0.1 {
		t.Errorf("450 Hz at %.3f in the first second", on)
	}
	if off := Goertzel(pcm[clockRate:], 450, clockRate); off > 0.001 {
		t.Errorf("450 Hz at %.3f in the pause", off)
	}
}

func TestMusicOnHoldIsAudibleAndNotClipped(t *testing.T) {
	clip := MusicOnHold()
	if clip != MusicOnHold() {
		t.Error("made twice")
	}
	if clip.Duration() != 16*time.Second {
		t.Errorf("it lasts %v, want 16 s", clip.Duration())
	}
	pcm := clip.PCM()
	loud := 0
	for start := 0; start < len(pcm); start += clockRate {
		peak := 0
		for _, s := range pcm[start : start+clockRate] {
			peak = max(peak, int(s), -int(s))
		}
		if peak < 1000 {
			t.Errorf("second %d is nearly silent: peak %d", start/clockRate, peak)
		}
		loud = max(loud, peak)
	}
	if loud > 30000 {
		t.Errorf("peak %d: clipped", loud)
	}
}

func TestClips(t *testing.T) {
	c := Concat(Tone(440, 30*time.Millisecond, 0.5), nil, Quiet(20*time.Millisecond))
	if c.Frames() != 3 || c.Duration() != 60*time.Millisecond {
		t.Errorf("%d frames, %v; want 30 ms filled up to two frames, and one more", c.Frames(), c.Duration())
	}
	if got := c.Frame(PCMU, 2); !bytes.Equal(got, silence(PCMU)) {
		t.Error("the last frame is not silence in µ-law")
	}
	if empty := NewClip(nil); empty.Frames() != 0 {
		t.Errorf("an empty clip has %d frames", empty.Frames())
	}
}

func TestLoadClip(t *testing.T) {
	pcm := Tone(440, 100*time.Millisecond, 0.5).PCM()
	var linear []byte
	for _, s := range pcm {
		linear = append(linear, byte(s), byte(uint16(s)>>8))
	}
	aLaw, uLaw := PCMA.encode(pcm), PCMU.encode(pcm)
	extra := wav(wavPCM, 1, 8000, 16, linear)
	extra = append(append(append([]byte{}, extra[:12]...), "LIST\x03\x00\x00\x00abc\x00"...), extra[12:]...)
	streamed := wav(wavALaw, 1, 8000, 8, aLaw)
	copy(streamed[40:], "\xFF\xFF\xFF\xFF")
	for _, c := range []struct {
		name  string
		file  []byte
		exact Codec // whose bytes must be the file's
		want  []byte
	}{
		{"16-bit PCM", wav(wavPCM, 1, 8000, 16, linear), PCMA, aLaw},
		{"A-law", wav(wavALaw, 1, 8000, 8, aLaw), PCMA, aLaw},
		{"µ-law", wav(wavULaw, 1, 8000, 8, uLaw), PCMU, uLaw},
		{"an odd chunk to skip", extra, PCMA, aLaw},
		{"size not known to the writer", streamed, PCMA, aLaw},
	} {
		clip, err := LoadClip(bytes.NewReader(c.file), 0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []byte
		for i := range clip.Frames() {
			got = append(got, clip.Frame(c.exact, i)...)
		}
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: the %s bytes differ", c.name, c.exact)
		}
		if level := Goertzel(clip.PCM(), 440, clockRate); level < 0.45 {
			t.Errorf("%s: 440 Hz at %.3f", c.name, level)
		}
	}
}

func TestLoadClipSaysWhatIsWrong(t *testing.T) {
	good := wav(wavPCM, 1, 8000, 16, make([]byte, 320))
	noFormat := append(append([]byte{}, good[:12]...), good[36:]...)
	long := wav(wavALaw, 1, 8000, 8, nil)
	copy(long[40:], "\x00\x00\x00\x7F")
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "RIFF header"},
		{"an MP3", []byte("ID3\x03 something else"), "RIFF WAVE header"},
		{"surround sound", wav(wavPCM, 6, 44100, 16, make([]byte, 600)), "44100 Hz, 6 channel"},
		{"8-bit PCM", wav(wavPCM, 1, 8000, 8, make([]byte, 160)), "8 bits"},
		{"cut off", good[:100], "320 bytes of sound announced, 56 there"},
		{"cut off in the format", good[:30], "fmt chunk"},
		{"no sound", good[:36], "no data chunk"},
		{"no format", noFormat, "before the fmt chunk"},
		{"hours of it", long, "ten minutes"},
	} {
		_, err := LoadClip(bytes.NewReader(c.file), 0)
		if !errors.Is(err, ErrBadWAV) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a word of %q", c.name, err, c.want)
		}
	}
	if _, err := LoadClip(iotest.ErrReader(io.ErrClosedPipe), 0); errors.Is(err, ErrBadWAV) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing reader is not the file's fault: %v", err)
	}
}

func FuzzLoadClip(f *testing.F) {
	f.Add(wav(wavPCM, 1, 8000, 16, make([]byte, 640)))
	f.Add(wav(wavULaw, 1, 8000, 8, make([]byte, 161)))
	f.Fuzz(func(t *testing.T, file []byte) {
		clip, err := LoadClip(bytes.NewReader(file), 0)
		if err != nil {
			if !errors.Is(err, ErrBadWAV) {
				t.Errorf("an error of no known kind: %v", err)
			}
			return
		}
		if len(clip.aLaw) != len(clip.uLaw) || len(clip.aLaw)%frameSamples != 0 {
			t.Errorf("%d bytes of A-law, %d of µ-law", len(clip.aLaw), len(clip.uLaw))
		}
	})
}

// Prompts may have any rate, and the wideband part of them reaches phones that speak G.722.
func TestLoadClipAtAnyRate(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 44100, 48000, 96000} {
		for channels := 1; channels <= 2; channels++ {
			data := make([]byte, 2*rate*channels)
			for i := range rate {
				v := 0.25*math.Sin(2*math.Pi*500*float64(i)/float64(rate)) + 0.25*math.Sin(2*math.Pi*5000*float64(i)/float64(rate))
				for c := range channels {
					binary.LittleEndian.PutUint16(data[2*(i*channels+c):], uint16(sample(v)))
				}
			}
			clip, err := LoadClip(bytes.NewReader(wav(wavPCM, uint16(channels), uint32(rate), 16, data)), 0)
			if err != nil {
				t.Errorf("%d Hz, %d channels: %v", rate, channels, err)
				continue
			}
			if d := clip.Duration() - time.Second; d < 0 || d > ptime {
				t.Errorf("%d Hz, %d channels: lasts %v", rate, channels, clip.Duration())
			}
			level := func(pcm []int16, freq, at float64) float64 {
				return 20 * math.Log10(Goertzel(pcm[int(at/5):int(4*at/5)], freq, at)/0.25)
			}
			if got := level(clip.PCM(), 500, clockRate); math.Abs(got) > 0.5 && rate > 8000 {
				t.Errorf("%d Hz, %d channels: 500 Hz has %+.2f dB", rate, channels, got)
			}
			wide := make([]int16, 2*len(clip.g722()))
			new(sound.G722Decoder).Decode(wide, clip.g722())
			if got := level(wide, 5000, 2*clockRate); math.Abs(got) > 0.5 && rate >= 16000 {
				t.Errorf("%d Hz, %d channels: 5 kHz has %+.2f dB in G.722", rate, channels, got)
			}
		}
	}
}

// What is recorded too softly is played as loud as the other prompts, whatever the file has; 0 leaves it alone.
func TestLoadClipBringsToLevel(t *testing.T) {
	soft := Concat(Tone(400, time.Second, 0.02), Quiet(time.Second), Tone(400, time.Second, 0.02)).PCM()
	linear := make([]byte, 0, 2*len(soft))
	wide := make([]byte, 0, 4*len(soft))
	for _, v := range soft {
		linear = binary.LittleEndian.AppendUint16(linear, uint16(v))
		wide = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(wide, uint16(v)), uint16(v))
	}
	for name, file := range map[string][]byte{
		"linear": wav(wavPCM, 1, 8000, 16, linear),
		"16 kHz": wav(wavPCM, 1, 16000, 16, wide),
		"A-law":  wav(wavALaw, 1, 8000, 8, PCMA.encode(soft)),
		"µ-law":  wav(wavULaw, 1, 8000, 8, PCMU.encode(soft)),
	} {
		t.Run(name, func(t *testing.T) {
			level := func(dbov float64) float64 {
				t.Helper()
				c, err := LoadClip(bytes.NewReader(file), dbov)
				if err != nil {
					t.Fatal(err)
				}
				return sound.Level(c.PCM()[:clockRate/2])
			}
			if got := level(0); math.Abs(got+37) > 0.5 {
				t.Errorf("left alone it has %.1f dBov, want -37", got)
			}
			if got := level(-24); math.Abs(got+24) > 1 {
				t.Errorf("brought to -24 dBov it has %.1f", got)
			}
			if got := level(-10); math.Abs(got+37-mostGain) > 0.5 {
				t.Errorf("brought to -10 dBov it has %.1f, want %d dB more than before", got, mostGain)
			}
		})
	}
}
