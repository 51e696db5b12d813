package playout

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

// sim is a sender, a network and a listener in virtual time. Each piece of 10 ms that is sent
// bears its number, so that the listener knows what was played when.
type sim struct {
	packet int           // pieces in a packet; 2 unless set
	length time.Duration // of the call
	ppm    float64       // how much faster the sender's clock runs
	period time.Duration
	opts   Options
	phase  time.Duration // of the listener's grid

	// network gives what happens to packet n: its delays (none: lost, two: doubled).
	network func(n int, r *rand.Rand) []time.Duration
	// talking tells what the sender does then: sound, or nothing at all (DTX).
	talking func(at time.Duration) bool
	quiet   func(at time.Duration) bool // what the listener finds quiet
	firstTS uint32
	jump    func(n int) uint32 // added to timestamps
}

type result struct {
	Stats
	pieces                map[Kind]int
	maxDelay, minDelay    time.Duration // of voice, after the first 5 s
	lastDelay, firstDelay time.Duration
	sent, backwards       int
	longestLost           int
	skippedSeen           int
}

type event struct {
	at      time.Duration
	seq     uint16
	ts      uint32
	payload []byte
}

func (s sim) run(t testing.TB) result {
	t.Helper()
	if s.packet == 0 {
		s.packet = 2
	}
	if s.period == 0 {
		s.period = 20 * ms
	}
	if s.length == 0 {
		s.length = time.Minute
	}
	s.opts.Period = s.period
	r := rand.New(rand.NewPCG(1, 2))
	b := New(s.opts)
	res := result{pieces: make(map[Kind]int), minDelay: time.Hour}
	packetTime := time.Duration(s.packet) * 10 * ms
	var queue []event // sorted by arrival
	sentAt := func(piece int) time.Duration {
		return time.Duration(float64(piece) * 10e6 / (1 + s.ppm*1e-6))
	}
	last, lostRun, n := -1, 0, 0
	var seq uint16 = 65500 // wraps soon
	for now := s.phase; now < s.length; now += s.period {
		// A packet leaves when its last sample was taken.
		for ; sentAt((n+1)*s.packet) <= now; n++ {
			at := sentAt((n + 1) * s.packet)
			if s.talking != nil && !s.talking(at-packetTime) {
				continue
			}
			res.sent++
			seq++
			ts := s.firstTS + uint32(n*s.packet*PieceLen)
			if s.jump != nil {
				ts += s.jump(n)
			}
			payload := make([]byte, s.packet*PieceLen)
			for i := range s.packet {
				binary.BigEndian.PutUint32(payload[i*PieceLen:], uint32(n*s.packet+i))
			}
			delays := []time.Duration{0}
			if s.network != nil {
				delays = s.network(n, r)
			}
			for _, d := range delays {
				queue = insert(queue, event{at + d, seq, ts, payload})
			}
		}
		for len(queue) > 0 && queue[0].at <= now {
			e := queue[0]
			queue = queue[1:]
			b.Put(e.seq, e.ts, e.payload, e.at)
		}
		for i := range int(s.period / (10 * ms)) {
			p := b.Next(now)
			res.pieces[p.Kind]++
			if p.Skipped != nil {
				res.skippedSeen++
			}
			if p.Kind == Lost {
				lostRun++
				res.longestLost = max(res.longestLost, lostRun)
			} else {
				lostRun = 0
			}
			if p.Kind != Voice {
				continue
			}
			if len(p.Payload) != PieceLen {
				t.Fatalf("%d bytes of voice", len(p.Payload))
			}
			k := int(binary.BigEndian.Uint32(p.Payload))
			if k <= last {
				res.backwards++
			}
			last = k
			played := now + time.Duration(i)*10*ms
			// What the buffer adds: beyond the time at which a packet is whole.
			delay := played - sentAt(k) - packetTime
			if res.firstDelay == 0 {
				res.firstDelay = delay
			}
			if res.lastDelay = delay; now > 5*time.Second {
				res.maxDelay, res.minDelay = max(res.maxDelay, delay), min(res.minDelay, delay)
			}
			if s.quiet != nil {
				b.Quiet(s.quiet(now))
			}
		}
	}
	res.Stats = b.Stats()
	if res.backwards > 0 {
		t.Errorf("%d pieces out of order", res.backwards)
	}
	if d := b.Stats().Delay; d < 0 || d > 400*ms {
		t.Errorf("delay %v", d)
	}
	return res
}

func insert(q []event, e event) []event {
	i := len(q)
	q = append(q, e)
	for ; i > 0 && q[i-1].at > e.at; i-- {
		q[i] = q[i-1]
	}
	q[i] = e
	return q
}

func lossy(percent float64) func(int, *rand.Rand) []time.Duration {
	return func(_ int, r *rand.Rand) []time.Duration {
		if r.Float64()*100 < percent {
			return nil
		}
		return []time.Duration{0}
	}
}

// gilbert loses the same share of packets in runs of 4 on average.
func gilbert(percent float64) func(int, *rand.Rand) []time.Duration {
	bad, leave := false, 1/4.0
	enter := leave * percent / (100 - percent)
	return func(_ int, r *rand.Rand) []time.Duration {
		if bad {
			bad = r.Float64() >= leave
		} else {
			bad = r.Float64() < enter
		}
		if bad {
			return nil
		}
		return []time.Duration{0}
	}
}

func jitter(most time.Duration) func(int, *rand.Rand) []time.Duration {
	return func(_ int, r *rand.Rand) []time.Duration {
		return []time.Duration{time.Duration(r.Int64N(int64(most)))}
	}
}

func sentence(at time.Duration) bool { return at%(4*time.Second) < 3*time.Second }

func TestNoLossNoJitter(t *testing.T) {
	for _, period := range []time.Duration{10 * ms, 20 * ms} {
		for packet := 1; packet <= 6; packet++ {
			for phase := time.Duration(0); phase < period; phase += 3 * ms {
				res := sim{packet: packet, period: period, phase: phase, firstTS: math.MaxUint32 - 100000}.run(t)
				if res.maxDelay > 45*ms {
					t.Errorf("period %v, packets of %d0 ms, phase %v: %v added", period, packet, phase, res.maxDelay)
				}
				if res.Late+res.Stats.Lost+res.Concealed+res.Duplicates+res.Strays+res.Resyncs > 0 || res.Inserted > 4 || res.Dropped > 4 {
					t.Errorf("period %v, packets of %d0 ms, phase %v: %+v", period, packet, phase, res.Stats)
				}
			}
		}
	}
}

func TestLoss(t *testing.T) {
	for _, percent := range []float64{1, 3, 10} {
		for name, network := range map[string]func(int, *rand.Rand) []time.Duration{
			"random": lossy(percent), "burst": gilbert(percent),
		} {
			res := sim{network: network, length: 10 * time.Minute, phase: 7 * ms, quiet: sentence}.run(t)
			share := 100 * float64(res.Concealed) / float64(2*res.sent)
			t.Logf("%v %% %s: %.2f %% concealed, delay %v to %v, %+v", percent, name, share, res.minDelay, res.maxDelay, res.Stats)
			lost := 100 * float64(res.Stats.Lost) / float64(res.sent)
			// Of a run of more than 100 ms the rest is silence.
			if math.Abs(lost-percent) > 0.3*percent || share > lost+0.01 || share < 0.7*lost || name == "random" && share < lost-0.01 {
				t.Errorf("%v %% %s: lost %.2f %%, concealed %.2f %%", percent, name, lost, share)
			}
			if res.maxDelay > 45*ms || res.Late > 0 || res.Resyncs > 0 {
				t.Errorf("%v %% %s: delay %v, %+v", percent, name, res.maxDelay, res.Stats)
			}
		}
	}
}

func TestJitter(t *testing.T) {
	for _, most := range []time.Duration{10 * ms, 50 * ms, 100 * ms} {
		res := sim{network: jitter(most), length: 10 * time.Minute, quiet: sentence}.run(t)
		t.Logf("%v: delay %v to %v, %+v", most, res.minDelay, res.maxDelay, res.Stats)
		if late := float64(res.Late) / float64(res.sent); late > 0.02 {
			t.Errorf("%v: %.2f %% late", most, 100*late)
		}
		if res.maxDelay > most+50*ms || res.Stats.Lost > 5 { // some are on their way
			t.Errorf("%v: delay %v, %d lost", most, res.maxDelay, res.Stats.Lost)
		}
	}
}

// After a minute with jitter the delay returns to what a calm line needs.
func TestDelayReturns(t *testing.T) {
	calm := func(n int, r *rand.Rand) []time.Duration {
		if n < 3000 {
			return jitter(80*ms)(n, r)
		}
		return []time.Duration{5 * ms}
	}
	for name, quiet := range map[string]func(time.Duration) bool{"pauses": sentence, "without a pause": nil} {
		res := sim{network: calm, length: 3 * time.Minute, quiet: quiet}.run(t)
		if res.lastDelay > 60*ms || quiet != nil && res.lastDelay > 45*ms {
			t.Errorf("%s: %v at the end, target %v", name, res.lastDelay, res.Target)
		}
	}
}

func TestReorderedAndDoubled(t *testing.T) {
	network := func(n int, r *rand.Rand) []time.Duration {
		switch n % 20 {
		case 3:
			return []time.Duration{25 * ms} // behind the next one
		case 7:
			return []time.Duration{0, 0}
		case 9:
			return []time.Duration{0, 90 * ms} // again after it was played
		}
		return []time.Duration{0}
	}
	res := sim{network: network, quiet: sentence}.run(t)
	if want := uint64(2 * res.sent / 20); res.Duplicates < want-2 || res.Duplicates > want+2 {
		t.Errorf("%d duplicates of %d", res.Duplicates, want)
	}
	if res.Stats.Lost > 0 || res.Late > 10 || res.Concealed > 20 {
		t.Errorf("%+v", res.Stats)
	}
}

// An hour with clocks apart: the delay stays where it is, and what is inserted or dropped is
// what the drift amounts to.
func TestDrift(t *testing.T) {
	for _, ppm := range []float64{100, -100, 500, -500} {
		for name, quiet := range map[string]func(time.Duration) bool{"pauses": sentence, "without a pause": nil} {
			res := sim{ppm: ppm, length: time.Hour, quiet: quiet}.run(t)
			t.Logf("%+v ppm, %s: delay %v to %v, %+v", ppm, name, res.minDelay, res.maxDelay, res.Stats)
			drift := uint64(math.Abs(ppm) * 1e-6 * 3600 * 100) // pieces
			if moved := res.Inserted + res.Dropped; moved+8 < drift || moved > drift+16 {
				t.Errorf("%v ppm, %s: %d pieces moved, drift is %d", ppm, name, moved, drift)
			}
			if limit := 65 * ms; res.maxDelay > limit || quiet != nil && res.maxDelay > 45*ms || res.Late+res.Concealed > 0 {
				t.Errorf("%v ppm, %s: delay %v to %v, %+v", ppm, name, res.minDelay, res.maxDelay, res.Stats)
			}
		}
	}
}

// Pauses in which nothing is sent are silence, not loss, and every word is whole.
func TestPauses(t *testing.T) {
	for _, drift := range []float64{0, 300} {
		res := sim{talking: sentence, ppm: drift, phase: 3 * ms, network: jitter(8 * ms), length: 10 * time.Minute}.run(t)
		t.Logf("%+v %v", res.Stats, res.pieces)
		if res.Stats.Lost+res.Late > 0 || res.Resyncs > 0 {
			t.Errorf("%+v", res.Stats)
		}
		// Without comfort noise a pause begins as a loss might.
		if most := uint64(151 * 11); res.Concealed > most {
			t.Errorf("%d pieces concealed in 150 pauses", res.Concealed)
		}
		if voice := res.pieces[Voice]; voice < 2*res.sent-20 {
			t.Errorf("%d pieces of %d heard", voice, 2*res.sent)
		}
		if res.maxDelay > 45*ms {
			t.Errorf("delay %v", res.maxDelay)
		}
	}
}

// The peer's timestamps jump; after two packets it is heard again.
func TestTimestampJump(t *testing.T) {
	for _, by := range []uint32{1 << 31, 1 << 20, math.MaxUint32 - 1<<24, math.MaxUint32 - 1<<20} {
		jump := func(n int) uint32 {
			if n >= 1000 {
				return by
			}
			return 0
		}
		res := sim{jump: jump, firstTS: 1 << 30}.run(t)
		if res.Resyncs != 1 || res.Strays != 1 || res.pieces[Voice] < 2*res.sent-10 {
			t.Errorf("jump of %d: %+v, %v", by, res.Stats, res.pieces)
		}
	}
}

// A line that is stuck for a while and then delivers all at once is caught up with.
func TestStuckLine(t *testing.T) {
	for _, stuck := range []time.Duration{200 * ms, 700 * ms, 3 * time.Second} {
		network := func(n int, _ *rand.Rand) []time.Duration {
			if at := time.Duration(n) * 20 * ms; at > 10*time.Second && at < 10*time.Second+stuck {
				return []time.Duration{10*time.Second + stuck - at}
			}
			return []time.Duration{0}
		}
		res := sim{network: network, length: 2 * time.Minute, quiet: sentence}.run(t)
		t.Logf("%v: %+v last %v", stuck, res.Stats, res.lastDelay)
		if res.maxDelay > 250*ms || res.lastDelay > 45*ms || res.longestLost > 12+int(20) {
			t.Errorf("%v: delay to %v, %v at the end, %d lost in a row", stuck, res.maxDelay, res.lastDelay, res.longestLost)
		}
		if heard := res.pieces[Voice]; heard < 2*res.sent-int(stuck/(10*ms))-40 {
			t.Errorf("%v: %d pieces of %d heard", stuck, heard, 2*res.sent)
		}
	}
}
