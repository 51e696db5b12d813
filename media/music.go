package media

import (
	"math"
	"sync"
	"time"
)

// note is one sound of the hold music: MIDI number, start and length in quarter beats.
type note struct{ key, start, length int }

const (
	beat       = 500 * time.Millisecond // a quarter at 120 to the minute
	musicBeats = 32                     // eight bars of four, 16 s
)

// melody keeps to the pentatonic scale on C, so no two notes that ring on together clash.
var melody = []note{
	{64, 0, 2}, {67, 2, 1}, {69, 3, 1}, {72, 4, 3}, {69, 7, 1},
	{67, 8, 2}, {64, 10, 1}, {67, 11, 1}, {62, 12, 4},
	{64, 16, 1}, {67, 17, 1}, {69, 18, 2}, {74, 20, 2}, {72, 22, 2},
	{69, 24, 1}, {67, 25, 1}, {64, 26, 1}, {62, 27, 1}, {60, 28, 4},
}

// accompaniment is a soft open fifth under each half bar.
var accompaniment = []note{
	{48, 0, 4}, {55, 2, 2}, {57, 4, 4}, {52, 6, 2},
	{53, 8, 4}, {48, 10, 2}, {55, 12, 4}, {50, 14, 2},
	{48, 16, 4}, {55, 18, 2}, {50, 20, 4}, {57, 22, 2},
	{53, 24, 4}, {48, 26, 2}, {48, 28, 4}, {55, 30, 2},
}

// MusicOnHold is a calm melody of 16 s made for this project, free of anyone's rights. Play it
// in a loop. It is computed when first asked for.
var MusicOnHold = sync.OnceValue(func() *Clip {
	mix := make([]float64, musicBeats*samples(beat))
	for _, n := range melody {
		n.addTo(mix, 0.16)
	}
	for _, n := range accompaniment {
		n.addTo(mix, 0.07)
	}
	pcm := make([]int16, len(mix))
	for i, v := range mix {
		pcm[i] = sample(v)
	}
	return NewClip(pcm)
})

// addTo mixes the note in. Its tail runs past its length and around the end of the loop, so
// that the loop has no seam.
func (n note) addTo(mix []float64, level float64) {
	freq := 440 * math.Pow(2, float64(n.key-69)/12)
	length := n.length * samples(beat)
	tail := samples(beat)
	start := n.start * samples(beat)
	for i := range length + tail {
		t := float64(i) / clockRate
		envelope := min(1, t/0.015) * math.Exp(-1.4*t)
		if i > length {
			envelope *= 1 - float64(i-length)/float64(tail)
		}
		w := 2 * math.Pi * freq * t
		v := math.Sin(w) + 0.30*math.Sin(2*w) + 0.10*math.Sin(3*w)
		mix[(start+i)%len(mix)] += level * envelope * v
	}
}
