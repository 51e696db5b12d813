package media_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"hotline/media"
)

// chirp sweeps from 300 to 3,300 Hz within the time of the tone.
func chirp(i, rate int) float64 {
	const from, to = 300.0, 3300.0
	at, span := float64(i)/float64(rate), tonePart*frame.Seconds()
	return 0.4 * math.Sin(2*math.Pi*(from*at+(to-from)*at*at/2/span))
}

// speech is a prompt of the hotline's.
func speech(t *testing.T) signal {
	t.Helper()
	f, err := os.Open("../ivr/prompts/welcome.zh.wav")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := media.LoadClip(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	pcm := c.PCM()
	return func(i, rate int) float64 {
		at := float64(i) * 8000 / float64(rate)
		k := int(at)
		if k+1 >= len(pcm) {
			return 0
		}
		return (float64(pcm[k])*(1-at+float64(k)) + float64(pcm[k+1])*(at-float64(k))) / -math.MinInt16
	}
}

// inOrder is all that came, decoded in the order of its numbers, as one piece.
func (p *talker) inOrder(packets []heard) (pcm []int16) {
	slices.SortStableFunc(packets, func(a, b heard) int {
		return cmp.Compare(int16(a.SequenceNumber-packets[0].SequenceNumber), int16(b.SequenceNumber-packets[0].SequenceNumber))
	})
	decode := p.decoder()
	for _, h := range packets {
		piece := make([]int16, len(h.Payload))
		decode(piece, h.Payload)
		pcm = append(pcm, piece...)
	}
	return pcm
}

// faithful compares what was heard with what was said, piece by piece, wherever each came.
func faithful(said signal, least float64) func([]int16) ([]string, string) {
	return func(heard []int16) (faults []string, summary string) {
		want := make([]int16, tonePart*160)
		for i := range want {
			want[i] = int16(math.MaxInt16 * said(i, 8000))
		}
		const piece = 1600 // 200 ms
		var ratios, levels []float64
		lag := 0
		for at := 0; at+piece <= len(want); at += piece {
			w := want[at : at+piece]
			if power(w) < 1e-5 { // a pause: -50 dBov
				continue
			}
			begin, end := 0, len(heard)-piece
			if lag > 0 { // near where the one before was
				begin, end = max(at+lag-400, 0), min(at+lag+400, len(heard)-piece)
			}
			best, here := math.Inf(-1), 0
			for k := begin; k <= end; k++ {
				if c := product(w, heard[k:k+piece]); c > best {
					best, here = c, k
				}
			}
			if end < begin {
				break
			}
			lag = here - at
			g := heard[here : here+piece]
			gain := product(w, g) / (power(w) * piece)
			rest := 0.0
			for i := range w {
				d := (float64(g[i]) - gain*float64(w[i])) / -math.MinInt16
				rest += d * d / piece
			}
			ratios = append(ratios, 10*math.Log10(gain*gain*power(w)/max(rest, 1e-12)))
			levels = append(levels, 20*math.Log10(max(gain, 1e-6)))
		}
		if len(ratios) < tonePart*160/piece/2 {
			return []string{fmt.Sprintf("only %d pieces of 200 ms were heard", len(ratios))}, "nothing"
		}
		slices.Sort(ratios)
		slices.Sort(levels)
		snr, level := ratios[len(ratios)/2], levels[len(levels)/2]
		most, worst := ratios[len(ratios)/10], ratios[0]
		summary = fmt.Sprintf("%d pieces of 200 ms: %.1f dB above what was added, %+.2f dB in level (medians); nine in ten %.1f dB, the worst %.1f dB", len(ratios), snr, level, most, worst)
		if snr < least {
			faults = append(faults, fmt.Sprintf("only %.1f dB above what was added, want %.0f", snr, least))
		}
		if most < least-2 { // the one in ten: where this machine was late
			faults = append(faults, fmt.Sprintf("nine in ten pieces are %.1f dB above what was added, want %.0f", most, least-2))
		}
		if math.Abs(level) > 0.5 {
			faults = append(faults, fmt.Sprintf("%+.2f dB in level", level))
		}
		return faults, summary
	}
}

func power(pcm []int16) float64 { return product(pcm, pcm) / float64(len(pcm)) }

func product(a, b []int16) (sum float64) {
	for i, v := range a {
		sum += float64(v) * float64(b[i]) / (math.MinInt16 * math.MinInt16)
	}
	return sum
}

// Chirps and speech come through each pair of codecs and each path as they were said: relayed, mixed, played, recorded on either channel. A law or G.722 adds noise
// of its own, which is why the ratios aren't higher.
func TestSoundIsFaithful(t *testing.T) {
	clean := networks()[0]
	var all []*trial
	talk := speech(t)
	for _, s := range []struct {
		name string
		signal
		least float64
	}{{"chirp", chirp, 25}, {"speech", talk, 20}} {
		codecs := []media.Codec{media.PCMA, media.PCMU, media.G722}
		add := func(p path, least float64) {
			p.name = s.name + " " + p.name
			all = append(all, &trial{path: p, network: clean, signal: s.signal, seed: 1, compare: faithful(s.signal, least)})
		}
		for _, from := range codecs {
			for _, to := range codecs {
				least := s.least
				if s.name == "chirp" && (from == media.G722 || to == media.G722) {
					least = 12 // the phase of its filters changes with the frequency
				}
				add(path{name: fmt.Sprintf("%s to %s", from, to), from: from, to: to}, least)
			}
		}
		add(path{name: "mixed", from: media.PCMA, to: media.PCMU, mixed: true}, s.least)
		add(path{name: "recorded", from: media.PCMA, to: media.PCMA, rec: true}, s.least)
		add(path{name: "recorded from µ-law", from: media.PCMU, to: media.PCMA, rec: true}, s.least)
		wide := s.least
		if s.name == "chirp" {
			wide = 12
		}
		add(path{name: "mixed from G.722", from: media.G722, to: media.PCMA, mixed: true}, wide)
		add(path{name: "mixed to G.722", from: media.PCMA, to: media.G722, mixed: true}, wide)
		add(path{name: "recorded from G.722", from: media.G722, to: media.G722, rec: true}, wide)
		for _, codec := range codecs {
			least := s.least
			if codec == media.G722 {
				least = wide
			}
			add(path{name: fmt.Sprintf("played in %s", codec), from: codec, to: codec}, least)
			all[len(all)-1].clip = clipOf(t, s.signal)
			add(path{name: fmt.Sprintf("recorded as %s is sent", codec), from: codec, to: codec, rec: true}, least)
			all[len(all)-1].right = true
		}
	}
	try(t, all)
}

// clipOf is the signal as a prompt at 16 kHz.
func clipOf(t *testing.T, said signal) *media.Clip {
	t.Helper()
	const rate, samples = 16000, tonePart * 320
	le := binary.LittleEndian
	b := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 16, 0, 0, 0, 1, 0, 1, 0)
	b = le.AppendUint32(le.AppendUint32(b, rate), 2*rate)
	b = append(b, 2, 0, 16, 0, 'd', 'a', 't', 'a')
	b = le.AppendUint32(b, 2*samples)
	for i := range samples {
		b = le.AppendUint16(b, uint16(int16(math.MaxInt16*said(i, rate))))
	}
	le.PutUint32(b[4:], uint32(len(b)-8))
	c, err := media.LoadClip(bytes.NewReader(b), 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
