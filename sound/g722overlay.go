package sound

// G722LowBand is what G.722's encoder makes of the lower half of 16 kHz sound: a sample for two, and 12 in which its filter
// empties. A last odd one is left out.
func G722LowBand(pcm []int16) []int16 {
	var filter delayLine
	pcm = append(pcm[:len(pcm)/2*2:len(pcm)/2*2], make([]int16, 24)...)
	low := make([]int16, len(pcm)/2)
	for i := range low {
		filter.push(int32(pcm[2*i]), int32(pcm[2*i+1]))
		odd, even := filter.sums()
		low[i] = int16(clamp((even+odd)>>14, 15))
	}
	return low
}

// G722Overlay lays sound over a stream of G.722 that somebody else encoded. Only the lower band is decoded and encoded
// anew, without the filters: so nothing is delayed, and the listener's decoder, whose state is known from what it was sent,
// goes on without a step. Its zero value begins in the midst of a stream.
type G722Overlay struct {
	came, left subBand // the listener's decoder without and with the overlay
	quiet      int     // samples in a row that hardly sound
}

// Follow hears what is sent unchanged. After a tenth of a second the state of the listener's decoder is known.
func (o *G722Overlay) Follow(code []byte) {
	for _, c := range code {
		o.came.decodeLow(c & 63)
	}
	o.left = o.came
}

// Add lays low, of [G722LowBand], over code in place; where low is shorter the rest is only encoded anew.
func (o *G722Overlay) Add(code []byte, low []int16) {
	for i, c := range code {
		x := o.came.decodeLow(c & 63)
		if i < len(low) {
			x = clamp(x+int32(low[i]), 15)
		}
		code[i] = c&0xC0 | o.left.encodeLow(x)
		if o.quiet++; max(o.came.logScale, o.left.logScale) > quietScale {
			o.quiet = 0
		}
	}
}

// Settled says that the listener can be given the stream as it comes again: it has been quiet for so long that its decoder
// is where it would be without the overlay. In the midst of speech that would be heard.
func (o *G722Overlay) Settled() bool { return o.quiet >= quietEnough }

const (
	quietScale  = 4096 // of at most 18432: steps of about -65 dBov
	quietEnough = 1600 // 200 ms
)
