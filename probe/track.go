package probe

import (
	"slices"
	"time"

	"hotline/media"
	"hotline/sound"
)

const (
	rate = 8000 // samples a second of a track

	// astray is how far, in samples, timestamps and the clock may part before the stream counts as another.
	astray = rate / 2

	// longest bounds a track, whatever timestamps a peer sends.
	longest = int((MaxFor + time.Minute) / time.Second * rate)
)

// track is the sound of one direction, put in place by its timestamps.
type track struct {
	pcm     []int16 // zeros where nothing came
	came    []bool
	packets []arrival
	base    uint32 // timestamp of the first sample
	start   time.Duration
	wide    sound.G722Decoder
	down    sound.Downsampler
}

// arrival is when a packet passed.
type arrival struct {
	pos, n int // samples
	at     time.Duration
}

// add puts a packet into its place and returns its samples, nil if it has none.
func (t *track) add(v media.Voice) []int16 {
	if len(t.packets) == 0 {
		t.base, t.start = v.TS, v.At
	}
	due := int((v.At - t.start) * rate / time.Second)
	pos := int(int32(v.TS - t.base))
	if pos < due-astray || pos > due+astray {
		t.base, pos = v.TS-uint32(due), due
	}
	pcm := t.decode(v)
	end := pos + len(pcm)
	if len(pcm) == 0 || pos < 0 || end > longest {
		return nil
	}
	if end > len(t.pcm) {
		t.pcm = append(t.pcm, make([]int16, end-len(t.pcm))...)
		t.came = append(t.came, make([]bool, end-len(t.came))...)
	}
	copy(t.pcm[pos:], pcm)
	for i := pos; i < end; i++ {
		t.came[i] = true
	}
	t.packets = append(t.packets, arrival{pos, len(pcm), v.At})
	return t.pcm[pos:end]
}

func (t *track) decode(v media.Voice) []int16 {
	pcm := make([]int16, len(v.Payload))
	switch v.Codec {
	case media.PCMA:
		for i, b := range v.Payload {
			pcm[i] = media.DecodeALaw(b)
		}
	case media.PCMU:
		for i, b := range v.Payload {
			pcm[i] = media.DecodeULaw(b)
		}
	case media.G722:
		wide := make([]int16, 2*len(v.Payload))
		t.wide.Decode(wide, v.Payload)
		t.down.Process(pcm, wide)
	default:
		return nil
	}
	return pcm
}

// whole tells whether all of it came.
func (t *track) whole(from, n int) bool {
	return from >= 0 && from+n <= len(t.came) && !slices.Contains(t.came[from:from+n], false)
}

// passed is when a sample passed; false if it didn't.
func (t *track) passed(pos int) (time.Duration, bool) {
	for _, p := range t.packets {
		if pos >= p.pos && pos < p.pos+p.n {
			return p.at + samples(pos-p.pos), true
		}
	}
	return 0, false
}

// position is which sample was due at a time.
func (t *track) position(at time.Duration) int { return int((at - t.start) * rate / time.Second) }

// samples is how long n of them take.
func samples(n int) time.Duration { return time.Duration(n) * time.Second / rate }
