package media

import "math/bits"

// The tables of ITU-T G.711. Encoding looks only at the bits the law keeps: 12 of a 16-bit
// sample for A-law, 14 for µ-law, so the tables stay small enough for the cache.
var (
	decodeALaw, decodeULaw [256]int16
	encodeALaw             [1 << 12]byte
	encodeULaw             [1 << 14]byte
	aToU, uToA             [256]byte
)

func init() {
	for i := range 256 {
		decodeALaw[i] = expandALaw(byte(i))
		decodeULaw[i] = expandULaw(byte(i))
	}
	for i := range encodeALaw {
		encodeALaw[i] = compressALaw(int(int16(i << 4)))
	}
	for i := range encodeULaw {
		encodeULaw[i] = compressULaw(int(int16(i << 2)))
	}
	for i := range 256 {
		aToU[i] = EncodeULaw(decodeALaw[i])
		uToA[i] = EncodeALaw(decodeULaw[i])
	}
}

// EncodeALaw gives the A-law byte of a 16-bit sample.
func EncodeALaw(sample int16) byte { return encodeALaw[uint16(sample)>>4] }

// EncodeULaw gives the µ-law byte of a 16-bit sample.
func EncodeULaw(sample int16) byte { return encodeULaw[uint16(sample)>>2] }

// DecodeALaw gives the 16-bit sample of an A-law byte.
func DecodeALaw(b byte) int16 { return decodeALaw[b] }

// DecodeULaw gives the 16-bit sample of a µ-law byte.
func DecodeULaw(b byte) int16 { return decodeULaw[b] }

// compressALaw finds the segment of G.711 table 1a. Even bits are inverted on the line.
func compressALaw(sample int) byte {
	sign := 0x80
	magnitude := sample >> 4
	if sample < 0 {
		sign, magnitude = 0, ^sample>>4
	}
	// The two lowest segments share one step size, so their codes run on: the magnitude itself.
	segment := bits.Len(uint(magnitude) >> 5)
	if segment == 0 {
		return byte(sign|magnitude) ^ 0x55
	}
	return byte(sign|(segment+1)<<4|magnitude>>segment&0xF) ^ 0x55
}

// expandALaw gives the middle of the interval that a byte stands for.
func expandALaw(b byte) int16 {
	b ^= 0x55
	segment, step := int(b>>4&7), int(b&0xF)
	value := step<<4 + 8
	if segment > 0 {
		value = (value + 0x100) << (segment - 1)
	}
	if b&0x80 == 0 {
		return int16(-value)
	}
	return int16(value)
}

const uLawBias = 33 // of a 14-bit magnitude, G.711 table 2a

func compressULaw(sample int) byte {
	sign := 0
	magnitude := sample >> 2
	if sample < 0 {
		sign, magnitude = 0x80, ^sample>>2
	}
	magnitude = min(magnitude+uLawBias, 0x1FFF)
	segment := bits.Len(uint(magnitude)) - 6
	return ^byte(sign | segment<<4 | magnitude>>(segment+1)&0xF)
}

func expandULaw(b byte) int16 {
	b = ^b
	segment, step := int(b>>4&7), int(b&0xF)
	value := ((step<<1+uLawBias)<<segment - uLawBias) << 2
	if b&0x80 != 0 {
		return int16(-value)
	}
	return int16(value)
}
