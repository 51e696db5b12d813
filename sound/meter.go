package sound

// Meter measures one stream. Its zero value has heard nothing.
type Meter struct {
	sum     float64
	samples int
	peak    int
}

// Add measures a frame.
func (m *Meter) Add(pcm []int16) {
	var sum int64
	for _, v := range pcm {
		sum += int64(v) * int64(v)
		m.peak = max(m.peak, int(v), -int(v))
	}
	m.sum += float64(sum)
	m.samples += len(pcm)
}

// Level is the power of all that was heard since Reset, in dBov.
func (m *Meter) Level() float64 { return power(m.sum, m.samples) }

// Peak is the greatest magnitude since Reset, 0 to 32768.
func (m *Meter) Peak() int { return m.peak }

// Samples is how many were heard since Reset.
func (m *Meter) Samples() int { return m.samples }

// Reset begins anew.
func (m *Meter) Reset() { *m = Meter{} }

// Activity tells speech from pauses by level: a frame is active when it is clearly above the
// noise floor, which follows the quietest frames of the last seconds. Its zero value begins
// a stream; frames are 10 to 60 ms, always of the same length.
type Activity struct {
	floor   float64 // dBov
	known   bool
	hang    int // active frames to come, whatever their level
	silence int // samples since the last active frame
}

const (
	aboveFloor   = 9.0   // dB
	leastActive  = -55.0 // dBov; nothing below is speech
	surelyActive = -35.0 // dBov; nothing above is a pause, however even it is
	floorRise    = 0.02  // dB a frame: 1 dB/s
	hangover     = 8     // frames: ends of words are quiet
)

// Add takes a frame, and tells whether there is speech in it.
func (a *Activity) Add(pcm []int16) bool {
	level := Level(pcm)
	if !a.known || level < a.floor {
		a.floor, a.known = level, true
	} else {
		a.floor = min(a.floor+floorRise, level)
	}
	active := level > surelyActive || level > max(a.floor+aboveFloor, leastActive)
	if active {
		a.hang = hangover
	} else if a.hang > 0 {
		a.hang--
		active = true
	}
	if active {
		a.silence = 0
	} else {
		a.silence += len(pcm)
	}
	return active
}

// Silence is how many samples there were since speech was heard last.
func (a *Activity) Silence() int { return a.silence }

// Floor is the level of the noise in dBov.
func (a *Activity) Floor() float64 {
	if !a.known {
		return Quietest
	}
	return a.floor
}
