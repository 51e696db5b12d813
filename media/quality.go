package media

import (
	"time"

	"hotline/sound"
)

// quality is what the E-model and the search for one-way sound need of a leg's incoming stream. Guarded by
// the leg's lock.
type quality struct {
	bursts  bursts
	soundAt time.Duration    // when something louder than noise came last
	loud    bool             // it ever did
	wide    *sound.G722Meter // of G.722; nil until needed
}

const (
	// listenEvery is how many packets pass between two that are looked into for sound.
	listenEvery = 8

	// noisePeak is what quiet lines stay below, of 32768; speech is tenfold.
	noisePeak = 256

	// deafAfter is how long a phone that is sent sound may send nothing: then it isn't heard.
	deafAfter = 5 * time.Second
)

// listen looks into a packet of sound.
func (q *quality) listen(codec Codec, payload []byte, now time.Duration) {
	table := &decodeALaw
	switch codec {
	case PCMA:
	case PCMU:
		table = &decodeULaw
	case G722:
		if q.wide == nil {
			q.wide = new(sound.G722Meter)
		}
		if q.wide.Peak(payload) > 2*noisePeak { // it may tell twice too much
			q.soundAt, q.loud = now, true
		}
		return
	default:
		return
	}
	for _, b := range payload {
		if v := table[b]; v > noisePeak || v < -noisePeak {
			q.soundAt, q.loud = now, true
			return
		}
	}
}

// The way from mouth to ear beside the network: a packet's length, and what a phone's jitter buffer holds
// at least.
const phoneDelay = 20*time.Millisecond + 20*time.Millisecond

// rate scores one direction by the E-model (ITU-T G.107), 0 for one that nothing came by.
func rate(codec Codec, loss, burst float64, jitter, rtt time.Duration) float64 {
	return pathOf(codec, loss, burst, jitter, rtt).MOS()
}

// rated fills in the scores. The leg's lock is held.
func (s *LegStats) rated(r *receiver) {
	if r.stream.started {
		s.Burst = r.quality.bursts.ratio()
		s.MOS = rate(s.Codec, r.loss(), s.Burst, s.Jitter, s.RTT)
	}
	if s.RTT > 0 && s.PacketsSent > 0 {
		s.PeerMOS = rate(s.Codec, min(max(float64(s.PeerLost), 0)/float64(s.PacketsSent), 1), 1, s.PeerJitter, s.RTT)
	}
}

// Fault is what is wrong with a leg's sound, "" if nothing is known of it: "one_way" when the phone was
// sent sound for five seconds and nothing ever came from it, "silent" when ten seconds of packets came and
// nothing in them was louder than noise.
func (s *LegStats) Fault() string {
	const perSecond = int(time.Second / ptime)
	switch {
	case s.PacketsReceived == 0 && s.PacketsSent-s.SentEarly >= uint64(int(deafAfter/time.Second)*perSecond):
		return "one_way"
	case s.PacketsReceived >= uint64(10*perSecond) && s.SoundAt.IsZero():
		return "silent"
	}
	return ""
}

// deaf tells whether a phone that is sent sound is not heard just now. The leg's lock is held.
func (l *Leg) deaf(now time.Duration) bool {
	heard := time.Duration(l.alive.heardAt.Load())
	l.sender.mu.Lock()
	defer l.sender.mu.Unlock()
	sent := l.sender.sentAt
	if f := l.sender.flow; f != nil {
		sent = max(sent, f.seen())
	}
	return l.sender.wanted && !l.early.on.Load() && l.sender.packets > 0 && now-sent < deafAfter && now-heard >= deafAfter
}
