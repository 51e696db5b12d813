package sound

// The tables of ITU-T G.722, by the names the recommendation gives them.

// qmf holds one half of the 24 coefficients of the quadrature mirror filters (table 11), as
// multiples of 2^-13; the other half is its mirror image.
var qmf = [12]int32{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

// q6 are the decision levels of the 60-level quantiser of the lower band (table 14), for a
// scale factor of 1.
var q6 = [30]int32{
	0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714,
	786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
}

// il6 gives the code of an interval of q6 (table 16): ILP, then ILN for
// negative differences. Interval 1 is the innermost one.
var il6 = [2][31]byte{
	{
		0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47,
		46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
	},
	{
		0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
		18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
	},
}

// oq6 are the output levels of INVQBL at 64 kbit/s (table 17 times 8) by code; the sign is
// in the code. The four lowest codes never leave an encoder.
var oq6 = [64]int32{
	-136, -136, -136, -136, -24808, -21904, -19008, -16704,
	-14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
	-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576,
	-3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
	24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192,
	10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
	4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032,
	1688, 1360, 1040, 728, 432, 136, -432, -136,
}

// oq4 are the output levels of INVQAL, which drives prediction and adaptation from the four
// upper bits of a code alone, so that both ends agree whatever the lower two carry.
var oq4 = [16]int32{
	0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
	20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
}

// oq2 are the output levels of INVQAH in the higher band.
var oq2 = [4]int32{-7408, -1616, 7408, 1616}

// wl and wh are the steps of the logarithmic scale factors (LOGSCL, LOGSCH) by code.
var (
	wl = [16]int32{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	wh = [4]int32{798, -214, 798, -214}
)

// ilb is the antilogarithm of SCALEL and SCALEH: 2048 * 2^(i/32).
var ilb = [32]int32{
	2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
	2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
}
