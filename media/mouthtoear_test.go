package media

import (
	"fmt"
	"math"
	"testing"
	"time"

	"hotline/sound"
)

// mostAdded is what the hotline may add to the way from mouth to ear where it has a jitter buffer.
const mostAdded = 45 * time.Millisecond

const (
	chirpEvery = 230 * time.Millisecond // falls on all places in packets
	chirpLen   = 30 * time.Millisecond
	chirpFrom  = 100 * time.Millisecond // the first one, in the speaker's time
)

// chirp rises from 300 to 3000 Hz; it resembles itself at no other time.
var chirp = func() (pcm [240]int16) {
	for i := range pcm {
		t := float64(i) / clockRate
		pcm[i] = sample(0.4 * math.Sin(2*math.Pi*(300*t+2700*t*t/2/chirpLen.Seconds())) * math.Sin(math.Pi*float64(i)/float64(len(pcm))))
	}
	return pcm
}()

// chirping is a frame of somebody who chirps over and over, between soft talk if there is a hum.
func chirping(n int, hum float64) []int16 {
	pcm := make([]int16, frameSamples)
	for i := range pcm {
		at := n*frameSamples + i
		if hum > 0 {
			pcm[i] = sample(hum * math.Sin(2*math.Pi*150*float64(at)/clockRate))
		}
		if k := at - samples(chirpFrom); k >= 0 && k%samples(chirpEvery) < len(chirp) {
			pcm[i] = added(pcm[i], chirp[k%samples(chirpEvery)])
		}
	}
	return pcm
}

// direct is what two phones add themselves to what one says to the other: G.722 has filters.
func direct(t *testing.T, from, to Codec) time.Duration {
	t.Helper()
	if from != to {
		return 0 // they can't talk to each other
	}
	var says mouth
	var hears ear
	var g guest
	for n := range 50 {
		frame, now := make([]byte, frameSamples), time.Duration(n)*ptime
		says.say(frame, from, chirping(n, 0))
		g.heard, g.at = append(g.heard, hears.hear(to, frame)...), append(g.at, now)
	}
	return g.echoes(g.at, 1)[0].after
}

// echo is a chirp as it was heard.
type echo struct {
	after time.Duration // than in a mere relay
	db    float64       // louder than it was said
}

// echoes finds in what the guest heard each chirp, or one of every so many, that another said.
func (g *guest) echoes(said []time.Duration, every int) (all []echo) {
	const before, window = 20 * clockRate / 1000, 120 * clockRate / 1000
	if len(g.heard) != len(g.at)*frameSamples {
		g.t.Fatalf("%d samples in %d packets", len(g.heard), len(g.at))
	}
	k := 0
	for n := samples(chirpFrom); n/frameSamples < len(said); n += every * samples(chirpEvery) {
		at := said[n/frameSamples] + time.Duration(n%frameSamples)*time.Second/clockRate
		for k < len(g.at) && g.at[k] < at {
			k++
		}
		from := max(k*frameSamples-before, 0)
		if from+window+len(chirp) > len(g.heard) {
			break
		}
		lag, gain := find(g.heard[from : from+window+len(chirp)])
		from += lag
		came := g.at[from/frameSamples] + time.Duration(from%frameSamples)*time.Second/clockRate
		all = append(all, echo{came - at, 20 * math.Log10(gain+1e-9)})
	}
	return all
}

// find is where in pcm the chirp begins, and how loud it is.
func find(pcm []int16) (at int, gain float64) {
	whole := 0.0
	for i := 0; i < len(chirp); i += 2 {
		whole += float64(chirp[i]) * float64(chirp[i])
	}
	for lag := range len(pcm) - len(chirp) {
		sum := 0.0
		for i := 0; i < len(chirp); i += 2 {
			sum += float64(chirp[i]) * float64(pcm[lag+i])
		}
		if sum/whole > gain {
			at, gain = lag, sum/whole
		}
	}
	return at, gain
}

// Without loss and jitter each party of a mix is heard by both others within 45 ms of when a mere relay would let it be
// heard, from its first word on, whatever they speak and however their packets lie against the beat of the mix. G.722's filters
// of the phones themselves don't count where both speak it.
func TestMouthToEarThroughAMix(t *testing.T) {
	for _, c := range []struct {
		codecs []Codec
		hum    float64 // pauses let the buffer adapt
	}{
		{[]Codec{PCMA, PCMU, PCMA}, 0},
		{[]Codec{PCMA, PCMU, PCMA}, 0.1},
		{[]Codec{G722, G722, G722}, 0},
		{[]Codec{PCMA, G722, PCMU}, 0.1},
	} {
		t.Run(fmt.Sprint(c.codecs, " hum ", c.hum), func(t *testing.T) {
			most, least := time.Duration(0), time.Hour
			for _, phase := range []time.Duration{0, time.Second / clockRate, ptime/4 + time.Second/clockRate, ptime / 2} {
				for speaks := range c.codecs {
					for _, d := range mixDelays(t, c.codecs, speaks, phase, c.hum) {
						most, least = max(most, d), min(least, d)
					}
				}
			}
			t.Logf("%v to %v added", least, most)
			if most > mostAdded {
				t.Errorf("%v added, at most %v", most, mostAdded)
			}
		})
	}
}

// mixDelays has one of three speak, packets coming that long after the beats.
func mixDelays(t *testing.T, codecs []Codec, speaks int, phase time.Duration, hum float64) (all []time.Duration) {
	t.Helper()
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	m := e.NewMix()
	defer m.Close()
	var guests []*guest
	for i, codec := range codecs {
		g := newGuest(t, e, codec)
		g.grid = time.Duration(i) * 7 * time.Millisecond
		guests = append(guests, g)
		if err := m.Join(g.near, Everyone); err != nil {
			t.Fatal(err)
		}
	}
	const begin = time.Second
	s := &speaker{guest: guests[speaks], due: begin + phase, next: func(n int) ([]int16, time.Duration) { return chirping(n, hum), ptime }}
	pass(begin-ptime, begin+3*time.Second, guests, []*speaker{s})
	for i, g := range guests {
		if i == speaks {
			if level := sound.Level(g.heard); level > -60 {
				t.Errorf("%v hears itself at %.0f dBov", codecs[i], level)
			}
			continue
		}
		echoes, own := g.echoes(s.said, 1), direct(t, codecs[speaks], codecs[i])
		if len(echoes) < 11 {
			t.Errorf("%d chirps heard", len(echoes))
		}
		for _, e := range echoes {
			all = append(all, e.after-own)
			if math.Abs(e.db) > 1 {
				t.Errorf("a chirp is %+.1f dB louder than it was said", e.db)
			}
		}
	}
	return all
}
