package sound

// G722Meter tells how loud a stream of G.722 is from a packet now and then, by the lower band alone. Its zero value
// begins in the midst of a stream.
type G722Meter struct{ low subBand }

// Peak is about the highest sample of a packet's second half, of 32768: while its first half is read the decoder, which knows nothing of
// what came since the last one, gets near. It may be twice too high, and is hardly too low.
func (m *G722Meter) Peak(code []byte) int {
	var peak int32
	for i, c := range code {
		v := m.low.decodeLow(c & 63)
		if i >= len(code)/2 {
			peak = max(peak, v, -v)
		}
	}
	return 2 * int(peak) // of 15 bits
}
