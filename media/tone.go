package media

import (
	"math"
	"sync"
	"time"
)

// Tone is a sine of freq Hz. Level is its amplitude, 0 to 1 of full scale.
func Tone(freq float64, dur time.Duration, level float64) *Clip {
	pcm := make([]int16, samples(dur))
	for i := range pcm {
		pcm[i] = sample(level * math.Sin(2*math.Pi*freq*float64(i)/clockRate))
	}
	return NewClip(pcm)
}

// Quiet is a clip of silence.
func Quiet(dur time.Duration) *Clip { return NewClip(make([]int16, samples(dur))) }

// samples is the number of samples in dur; a negative dur has none.
func samples(dur time.Duration) int {
	return int(max(dur, 0) * clockRate / time.Second)
}

// sample turns an amplitude of -1 to 1 into a sample, clipping what is louder.
func sample(v float64) int16 {
	return int16(math.Round(math.MaxInt16 * max(-1, min(1, v))))
}

// RingBack is China's ring-back tone: 450 Hz, one second on, four seconds off. Play it in a loop.
var RingBack = sync.OnceValue(func() *Clip {
	return Concat(Tone(450, time.Second, 0.2), Quiet(4*time.Second))
})

// Goertzel measures how loud freq Hz is in pcm, taken rate times a second: the amplitude of
// that sine, 0 to 1 of full scale. Windows that hold whole periods measure most exactly.
func Goertzel(pcm []int16, freq, rate float64) float64 {
	if len(pcm) == 0 || rate <= 0 {
		return 0
	}
	w := 2 * math.Pi * freq / rate
	coefficient := 2 * math.Cos(w)
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)/math.MaxInt16+coefficient*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - coefficient*s1*s2
	return 2 * math.Sqrt(max(power, 0)) / float64(len(pcm))
}
