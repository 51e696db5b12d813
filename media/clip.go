package media

import (
	"bytes"
	"slices"
	"time"
)

// Audio is what a leg can play: frames of 20 ms, encoded ahead of time. All its callers
// share the frames, so nobody may write to them. [Clip] is the Audio of this package.
type Audio interface {
	// Frames is the number of 20 ms frames.
	Frames() int
	// Frame returns the i-th frame in codec c, 160 bytes, 0 <= i < Frames().
	Frame(c Codec, i int) []byte
}

// Clip is a piece of sound in both codecs. It never changes and may be shared.
type Clip struct {
	aLaw, uLaw []byte // as long as each other, whole frames
}

// NewClip encodes 8 kHz samples. The last frame is filled up with silence.
func NewClip(pcm []int16) *Clip {
	return newClip(PCMA.encode(pcm), PCMU.encode(pcm))
}

func newClip(aLaw, uLaw []byte) *Clip {
	fill := -len(aLaw) % frameSamples
	if fill < 0 {
		fill += frameSamples
	}
	return &Clip{
		aLaw: append(aLaw, bytes.Repeat([]byte{EncodeALaw(0)}, fill)...),
		uLaw: append(uLaw, bytes.Repeat([]byte{EncodeULaw(0)}, fill)...),
	}
}

// Frames implements [Audio].
func (c *Clip) Frames() int { return len(c.aLaw) / frameSamples }

// Frame implements [Audio].
func (c *Clip) Frame(codec Codec, i int) []byte {
	data := c.aLaw
	if codec == PCMU {
		data = c.uLaw
	}
	return data[i*frameSamples : (i+1)*frameSamples : (i+1)*frameSamples]
}

// Duration is how long the clip sounds, in whole frames.
func (c *Clip) Duration() time.Duration { return time.Duration(c.Frames()) * ptime }

// PCM returns the samples, decoded from A-law, in a new slice.
func (c *Clip) PCM() []int16 { return PCMA.decode(make([]int16, len(c.aLaw)), c.aLaw) }

// Concat plays the clips one after the other. Nil clips are skipped.
func Concat(clips ...*Clip) *Clip {
	all := new(Clip)
	for _, c := range clips {
		if c != nil {
			all.aLaw = append(all.aLaw, c.aLaw...)
			all.uLaw = append(all.uLaw, c.uLaw...)
		}
	}
	all.aLaw, all.uLaw = slices.Clip(all.aLaw), slices.Clip(all.uLaw)
	return all
}
