package media

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
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

// Clip is a piece of sound in all codecs. It never changes and may be shared.
type Clip struct {
	aLaw, uLaw []byte        // as long as each other, whole frames
	g722       func() []byte // as long; encoded when first asked for, since few phones take it
	wide       atomic.Bool   // it has been
}

// NewClip encodes 8 kHz samples. The last frame is filled up with silence.
func NewClip(pcm []int16) *Clip {
	return newClip(PCMA.encode(pcm), PCMU.encode(pcm), nil)
}

// newClip takes sound in both laws and, nil if there is none, at 16 kHz.
func newClip(aLaw, uLaw []byte, wide []int16) *Clip {
	fill := -len(aLaw) % frameSamples
	if fill < 0 {
		fill += frameSamples
	}
	c := &Clip{
		aLaw: append(aLaw, bytes.Repeat([]byte{EncodeALaw(0)}, fill)...),
		uLaw: append(uLaw, bytes.Repeat([]byte{EncodeULaw(0)}, fill)...),
	}
	c.g722 = sync.OnceValue(func() []byte {
		defer c.wide.Store(true)
		if wide == nil {
			return encodeG722(c.PCM())
		}
		return encodeWide(append(wide, make([]int16, max(2*len(c.aLaw)-len(wide), 0))...)[:2*len(c.aLaw)])
	})
	return c
}

// Frames implements [Audio].
func (c *Clip) Frames() int { return len(c.aLaw) / frameSamples }

// Frame implements [Audio].
func (c *Clip) Frame(codec Codec, i int) []byte {
	data := c.aLaw
	switch codec {
	case PCMU:
		data = c.uLaw
	case G722:
		data = c.g722()
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
	all.g722 = sync.OnceValue(func() []byte {
		defer all.wide.Store(true)
		var code []byte
		for _, c := range clips {
			if c != nil {
				code = append(code, c.g722()...)
			}
		}
		return code
	})
	return all
}
