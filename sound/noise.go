package sound

import "math"

// maxOrder is of the spectrum in comfort noise; more coefficients are ignored (RFC 3389 3 allows that).
const maxOrder = 12

// ComfortNoise makes the noise that a CN payload describes (RFC 3389). Its zero value is
// silent.
type ComfortNoise struct {
	on     bool
	level  float64 // linear RMS aimed at
	now    float64 // level reached: it glides, so that updates aren't heard
	order  int
	k      [maxOrder]float64 // reflection coefficients
	b      [maxOrder + 1]float64
	random uint32
}

// Set takes a CN payload: a level in -dBov, then reflection coefficients, if any. It tells
// whether it could be read; an empty payload can't. -127 dBov is silence.
func (c *ComfortNoise) Set(payload []byte) bool {
	if len(payload) == 0 {
		return false
	}
	c.level = amplitude(-float64(payload[0] & 127))
	if payload[0]&127 == 127 {
		c.level = 0
	}
	if !c.on {
		c.on, c.now = true, c.level
	}
	coefficients := payload[1:min(len(payload), 1+maxOrder)]
	if len(coefficients) != c.order {
		c.b = [maxOrder + 1]float64{}
	}
	c.order = len(coefficients)
	for i, n := range coefficients {
		c.k[i] = min(max(258*(float64(n)-127)/32768, -0.995), 0.995)
	}
	return true
}

// Fill writes the next noise.
func (c *ComfortNoise) Fill(pcm []int16) {
	if !c.on {
		clear(pcm)
		return
	}
	// Uniform noise of that RMS, less what the filter adds.
	gain := math.Sqrt(3)
	for _, k := range c.k[:c.order] {
		gain *= math.Sqrt(1 - k*k)
	}
	for i := range pcm {
		c.now += (c.level - c.now) / 256
		c.random = c.random*1664525 + 1013904223
		x := float64(int32(c.random)) / (1 << 31) * gain * c.now
		pcm[i] = saturate(float32(c.shape(x)))
	}
}

// shape is the all-pole lattice 1/A(z) with A built from the coefficients by
// a(i) += k * a(m-i), as the decoders in use take them.
func (c *ComfortNoise) shape(f float64) float64 {
	for i := c.order - 1; i >= 0; i-- {
		f -= c.k[i] * c.b[i]
		c.b[i+1] = c.b[i] + c.k[i]*f
	}
	c.b[0] = f
	return f
}

// DescribeNoise appends the CN payload that describes pcm: its level, and a spectrum of that many
// coefficients (0 to 12; 0 is understood everywhere). It is for 20 ms and more of a pause.
func DescribeNoise(payload []byte, pcm []int16, order int) []byte {
	level := math.Round(-Level(pcm))
	payload = append(payload, byte(min(max(level, 0), 127)))
	order = min(max(order, 0), maxOrder)
	var r [maxOrder + 1]float64
	for lag := range order + 1 {
		for i := lag; i < len(pcm); i++ {
			r[lag] += float64(pcm[i]) * float64(pcm[i-lag])
		}
	}
	r[0] = r[0]*1.0001 + 1
	var a [maxOrder + 1]float64
	a[0] = 1
	err := r[0]
	for m := 1; m <= order; m++ { // Levinson and Durbin
		acc := r[m]
		for i := 1; i < m; i++ {
			acc += a[i] * r[m-i]
		}
		k := -acc / err
		old := a
		for i := 1; i <= m; i++ {
			a[i] = old[i] + k*old[m-i]
		}
		err *= 1 - k*k
		payload = append(payload, byte(min(max(math.Round(k*32768/258)+127, 0), 254)))
	}
	return payload
}
