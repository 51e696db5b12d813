package sound

// G722Encoder turns 16 kHz sound into G.722 at 64 kbit/s (mode 1). Its zero value begins a
// stream. With the decoder's, its filters delay sound by 22 samples (1.4 ms).
type G722Encoder struct {
	filter delayLine
	low    subBand
	high   subBand
}

// Encode writes the code of pcm, one byte for two samples, and returns how many bytes that
// is. A last odd sample is left out; dst must hold len(pcm)/2 bytes.
func (e *G722Encoder) Encode(dst []byte, pcm []int16) int {
	n := len(pcm) / 2
	dst, pcm = dst[:n], pcm[:2*n]
	for i := range dst {
		e.filter.push(int32(pcm[2*i]), int32(pcm[2*i+1]))
		odd, even := e.filter.sums()
		low := clamp((even+odd)>>14, 15)
		high := clamp((even-odd)>>14, 15)
		dst[i] = e.high.encodeHigh(high)<<6 | e.low.encodeLow(low)
	}
	return n
}

// G722Decoder turns G.722 at 64 kbit/s (mode 1) into 16 kHz sound. Its zero value begins a
// stream.
type G722Decoder struct {
	filter delayLine
	low    subBand
	high   subBand
}

// Decode writes the two samples that each byte stands for, and returns how many samples
// that is. Any bytes are valid. pcm must hold 2*len(code) samples.
func (d *G722Decoder) Decode(pcm []int16, code []byte) int {
	pcm = pcm[:2*len(code)]
	for i, c := range code {
		low := d.low.decodeLow(c & 63)
		high := d.high.decodeHigh(c >> 6)
		d.filter.push(low+high, low-high)
		odd, even := d.filter.sums()
		pcm[2*i] = int16(clamp(even>>11, 16))
		pcm[2*i+1] = int16(clamp(odd>>11, 16))
	}
	return len(pcm)
}

// delayLine is the 24-tap quadrature mirror filter of either end. What is pushed is written
// at two places, so that the taps are always one run of memory.
type delayLine struct {
	x  [48]int32
	at int // of the oldest sample, in 0..22, even
}

func (l *delayLine) push(a, b int32) {
	x := l.x[l.at:]
	x[0], x[1], x[24], x[25] = a, b, a, b
	if l.at += 2; l.at == 24 {
		l.at = 0
	}
}

// sums are the outputs of the two polyphase halves: over the first, third, ... and over the
// second, fourth, ... sample of the line.
func (l *delayLine) sums() (odd, even int32) {
	x := l.x[l.at : l.at+24 : l.at+24]
	for i, c := range qmf {
		odd += x[2*i] * c
		even += x[23-2*i] * c
	}
	return odd, even
}

// subBand is the adaptive predictor and the adaptive scale factor of one band, the same at
// both ends (clause 3.6).
type subBand struct {
	logScale int32 // NBL, NBH
	scale    int32 // DETL, DETH; 0 until the first code

	s, sz    int32    // prediction by all and by the zeros alone: SL, SZL
	pole     [2]int32 // AL1, AL2
	zero     [6]int32 // BL1 ... BL6
	rebuilt  [2]int32 // RLT1, RLT2: past reconstructed signal
	partial  [2]int32 // PLT1, PLT2: past signal of the zeros
	residual [6]int32 // DLT1 ... DLT6: past quantised differences
}

func (b *subBand) encodeLow(x int32) byte {
	if b.scale == 0 {
		b.scale = 32
	}
	code := b.quantiseLow(clamp(x-b.s, 16))
	b.adaptLow(code)
	return code
}

// quantiseLow is QUANTL: 60 levels.
func (b *subBand) quantiseLow(diff int32) byte {
	sign, magnitude := 0, diff
	if diff < 0 {
		sign, magnitude = 1, ^diff // the recommendation's magnitude of a negative EL
	}
	lo, hi := 1, 30
	for lo < hi { // the first level above the magnitude
		if mid := (lo + hi) / 2; magnitude < q6[mid]<<3*b.scale>>15 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return il6[sign][lo]
}

func (b *subBand) decodeLow(code byte) int32 {
	if b.scale == 0 {
		b.scale = 32
	}
	out := clamp(b.s+b.scale*oq6[code]>>15, 15) // INVQBL, RECONS, LIMIT
	b.adaptLow(code)
	return out
}

// adaptLow carries the state to the next sample: INVQAL, LOGSCL, SCALEL and the predictor.
func (b *subBand) adaptLow(code byte) {
	code >>= 2
	diff := b.scale * oq4[code] >> 15
	b.logScale = min(max(b.logScale*127>>7+wl[code], 0), 18432)
	b.scale = antilog(b.logScale, 8)
	b.predict(diff)
}

func (b *subBand) encodeHigh(x int32) byte {
	if b.scale == 0 {
		b.scale = 8
	}
	code := b.quantiseHigh(clamp(x-b.s, 16))
	b.adaptHigh(code)
	return code
}

// quantiseHigh is QUANTH: two decision levels, 0 and 564.
func (b *subBand) quantiseHigh(diff int32) byte {
	const level = 564 << 3
	outer := level * b.scale >> 15
	switch {
	case diff >= outer:
		return 2
	case diff >= 0:
		return 3
	case ^diff >= outer:
		return 0
	}
	return 1
}

func (b *subBand) decodeHigh(code byte) int32 {
	if b.scale == 0 {
		b.scale = 8
	}
	out := clamp(b.s+b.scale*oq2[code]>>15, 15)
	b.adaptHigh(code)
	return out
}

func (b *subBand) adaptHigh(code byte) {
	diff := b.scale * oq2[code] >> 15
	b.logScale = min(max(b.logScale*127>>7+wh[code], 0), 22528)
	b.scale = antilog(b.logScale, 10)
	b.predict(diff)
}

// antilog is SCALEL (whole 8) and SCALEH (whole 10).
func antilog(log, whole int32) int32 {
	v := ilb[log>>6&31]
	shift := whole - log>>11
	if shift < 0 {
		return v << -shift << 2
	}
	return v >> shift << 2
}

// predict is block 4: it takes the quantised difference of this sample in and makes the
// prediction of the next one.
func (b *subBand) predict(diff int32) {
	rebuilt := clamp(b.s+diff, 16)  // RECONS
	partial := clamp(b.sz+diff, 16) // PARREC
	b.movePoles(partial)
	b.moveZeros(diff)
	b.partial[1], b.partial[0] = b.partial[0], partial
	b.rebuilt[1], b.rebuilt[0] = b.rebuilt[0], rebuilt

	// FILTEP, FILTEZ, PREDIC
	sp := clamp(b.pole[0]*clamp(2*b.rebuilt[0], 16)>>15+b.pole[1]*clamp(2*b.rebuilt[1], 16)>>15, 16)
	var sz int32
	for i, c := range b.zero {
		sz += c * clamp(2*b.residual[i], 16) >> 15
	}
	b.sz = clamp(sz, 16)
	b.s = clamp(sp+b.sz, 16)
}

// movePoles is UPPOL2 and UPPOL1.
func (b *subBand) movePoles(partial int32) {
	same := func(past int32) bool { return partial^past >= 0 }
	first := clamp(4*b.pole[0], 16)
	if same(b.partial[0]) {
		first = -first
	}
	second := int32(-128)
	if same(b.partial[1]) {
		second = 128
	}
	second += clamp(first, 16)>>7 + b.pole[1]*32512>>15
	second = min(max(second, -12288), 12288)

	step := int32(-192)
	if same(b.partial[0]) {
		step = 192
	}
	limit := 15360 - second
	b.pole[0] = min(max(step+b.pole[0]*32640>>15, -limit), limit)
	b.pole[1] = second
}

// moveZeros is UPZERO, and DELAYA of the differences.
func (b *subBand) moveZeros(diff int32) {
	step := int32(128)
	if diff == 0 {
		step = 0
	}
	for i := range b.zero {
		move := step
		if diff^b.residual[i] < 0 {
			move = -step
		}
		b.zero[i] = b.zero[i]*32640>>15 + move
	}
	copy(b.residual[1:], b.residual[:5])
	b.residual[0] = diff
}

// clamp saturates v to a signed number of bits.
func clamp(v int32, bits uint) int32 {
	top := int32(1)<<(bits-1) - 1
	return min(max(v, ^top), top)
}
