package sound

import (
	"math"
	"time"
)

// Codec is what the E-model must know of one: equipment impairment Ie and robustness to
// packet loss Bpl (ITU-T G.113 appendix I).
type Codec struct{ Ie, Bpl float64 }

var (
	// G711 is for receivers that conceal by G.711 Appendix I, in packets of 10 ms.
	G711 = Codec{0, 25.1}
	// G711Bare is for receivers that conceal nothing.
	G711Bare = Codec{0, 4.3}
	// G722 has no values on the narrowband scale; on the wideband one (G.107.1, top 129) its
	// impairment is 13, better than all that the narrowband scale can tell. It is taken as
	// G.711 with concealment: no gain for the band, no penalty.
	G722 = Codec{0, 25.1}
)

// Path is what is measured of one direction of a call.
type Path struct {
	Delay time.Duration // one way, mouth to ear; below 0 counts as 0
	Loss  float64       // share of packets lost or too late, 0 to 1
	Burst float64       // burst ratio of the losses ([BurstRatio]); below 1 counts as 1
	Codec Codec
}

// Rating is R of the E-model with the default values of ITU-T G.107 (06/2015) for all
// that isn't measured: 93.2 at best, below 50 not recommended; it can be negative.
func (p Path) Rating() float64 {
	ta := max(p.Delay.Seconds()*1000, 0)
	ro := signalToNoise()
	return ro - simultaneous(ro, ta) - delayed(ro, ta) - p.equipment()
}

// MOS is the mean opinion score, 1 to 4.5, of [Path.Rating].
func (p Path) MOS() float64 { return MOS(p.Rating()) }

// MOS gives the score of a rating (G.107 annex B).
func MOS(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1+0.035*r+r*(r-60)*(100-r)*7e-6, 1) // it dips below 1 under 6.5
}

// equipment is Ie,eff (7-29).
func (p Path) equipment() float64 {
	ppl := 100 * min(max(p.Loss, 0), 1)
	if ppl == 0 {
		return p.Codec.Ie
	}
	return p.Codec.Ie + (95-p.Codec.Ie)*ppl/(ppl/max(p.Burst, 1)+p.Codec.Bpl)
}

// Default values of G.107 table 2.
const (
	slr, rlr, stmr = 8.0, 2.0, 15.0
	dr, ds         = 3.0, 3.0
	telr, wepl     = 65.0, 110.0
	qdu            = 1.0
	nc, nfor       = -70.0, -64.0
	ps, pr         = 35.0, 35.0
	minDelay       = 100.0 // mT
	lstr, olr      = stmr + dr, slr + rlr
)

func decibelSum(levels ...float64) float64 {
	var sum float64
	for _, l := range levels {
		sum += math.Pow(10, l/10)
	}
	return 10 * math.Log10(sum)
}

// noise is No (7-3 to 7-7).
func noise() float64 {
	nos := ps - slr - ds - 100 + 0.004*math.Pow(ps-olr-ds-14, 2)
	pre := pr + 10*math.Log10(1+math.Pow(10, (10-lstr)/10))
	nor := rlr - 121 + pre + 0.008*math.Pow(pre-35, 2)
	return decibelSum(nc, nos, nor, nfor+rlr)
}

// signalToNoise is Ro (7-2).
func signalToNoise() float64 { return 15 - 1.5*(slr+noise()) }

// simultaneous is Is (7-8 to 7-17); the one-way delay is that of the echo path, too.
func simultaneous(ro, t float64) float64 {
	xolr := olr + 0.2*(64+noise()-rlr)
	iolr := 20 * (math.Pow(1+math.Pow(xolr/8, 8), 1.0/8) - xolr/8)
	stmro := -10 * math.Log10(math.Pow(10, -stmr/10)+math.Exp(-t/4)*math.Pow(10, -telr/10))
	ist := 12*math.Pow(1+math.Pow((stmro-13)/6, 8), 1.0/8) -
		28*math.Pow(1+math.Pow((stmro+1)/19.4, 35), 1.0/35) -
		13*math.Pow(1+math.Pow((stmro-3)/33, 13), 1.0/13) + 29
	q := 37 - 15*math.Log10(qdu)
	g := 1.07 + 0.258*q + 0.0602*q*q
	y := (ro-100)/15 + 46/8.4 - g/9
	z := 46.0/30 - g/40
	iq := 15 * math.Log10(1+math.Pow(10, y)+math.Pow(10, z))
	return iolr + ist + iq
}

// delayed is Id = Idte + Idle + Idd (7-18 to 7-28): echo at the talker, at the listener, and
// the delay itself.
func delayed(ro, ta float64) float64 {
	return talkerEcho(ta) + listenerEcho(ro, 2*ta) + tooLong(ta)
}

func talkerEcho(t float64) float64 {
	if t < 1 {
		return 0
	}
	terv := telr - 40*math.Log10((1+t/10)/(1+t/150)) + 6*math.Exp(-0.3*t*t)
	re := 80 + 2.5*(terv-14)
	roe := -1.5 * (noise() - rlr)
	d := (roe - re) / 2
	return (d + math.Sqrt(d*d+100) - 1) * (1 - math.Exp(-t))
}

func listenerEcho(ro, tr float64) float64 {
	rle := 10.5 * (wepl + 7) * math.Pow(tr+1, -0.25)
	d := (ro - rle) / 2
	return d + math.Sqrt(d*d+169)
}

func tooLong(ta float64) float64 {
	if ta <= minDelay {
		return 0
	}
	x := math.Log2(ta / minDelay)
	return 25 * (math.Pow(1+math.Pow(x, 6), 1.0/6) - 3*math.Pow(1+math.Pow(x/3, 6), 1.0/6) + 2)
}

// BurstRatio is BurstR of G.107 for packets of which some were lost, in so many runs: the mean length of a run of losses by
// what it would be if they fell at random; for a Gilbert channel 1/(p+q). It is at least 1, and 1 without losses.
func BurstRatio(packets, lost, runs uint64) float64 {
	if runs == 0 || lost == packets {
		return 1
	}
	return max(float64(lost)/float64(runs)*(1-float64(lost)/float64(packets)), 1)
}
