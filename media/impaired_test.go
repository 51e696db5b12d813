package media_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"hotline/media"
	"hotline/playout"
	"hotline/sound"
)

const (
	frame = 20 * time.Millisecond
	// ownJitter is what a busy machine may cost of the tone by its own lateness.
	ownJitter = 0.04
	quietPart = 40  // frames of silence: time for buffers to settle
	tonePart  = 150 // frames of tone
	allFrames = quietPart + tonePart
	toneHz    = 400.0
	toneLevel = 0.5
)

// network is what happens to packets between a phone and the hotline.
type network struct {
	name string
	// fate gives the delay of each copy of packet n that arrives; none is a loss.
	fate func(n int, r *rand.Rand) []time.Duration
	// learning is the share of the tone that may be missing beside what was lost, in 10 ms pieces below -10 dB.
	learning float64
	// settles is how long buffers may learn.
	settles time.Duration
}

func random(share float64) func(int, *rand.Rand) []time.Duration {
	return func(_ int, r *rand.Rand) []time.Duration {
		if r.Float64() < share {
			return nil
		}
		return []time.Duration{0}
	}
}

// bursts is Gilbert's model: losses come in runs of four on average.
func bursts(share float64) func(int, *rand.Rand) []time.Duration {
	const mean = 4
	bad := false
	return func(_ int, r *rand.Rand) []time.Duration {
		if bad {
			bad = r.Float64() >= 1.0/mean
		} else {
			bad = r.Float64() < share/(1-share)/mean
		}
		if bad {
			return nil
		}
		return []time.Duration{0}
	}
}

// networks are made anew for each path: bursts remember.
func networks() []network {
	return []network{
		{name: "clean", fate: random(0)},
		{name: "1 % lost", fate: random(0.01)},
		{name: "3 % lost", fate: random(0.03)},
		{name: "10 % lost", fate: random(0.10)},
		{name: "1 % lost in bursts", fate: bursts(0.01)},
		{name: "3 % lost in bursts", fate: bursts(0.03)},
		{name: "10 % lost in bursts", fate: bursts(0.10)},
		{name: "50 ms of jitter", learning: 0.02, settles: time.Second, fate: func(_ int, r *rand.Rand) []time.Duration {
			return []time.Duration{time.Duration(r.Int64N(int64(50 * time.Millisecond)))}
		}},
		{name: "every tenth late by two", learning: 0.02, settles: time.Second, fate: func(n int, _ *rand.Rand) []time.Duration {
			if n%10 == 0 {
				return []time.Duration{2*frame + frame/2}
			}
			return []time.Duration{0}
		}},
		{name: "every fifth twice", fate: func(n int, _ *rand.Rand) []time.Duration {
			if n%5 == 0 {
				return []time.Duration{0, frame / 2}
			}
			return []time.Duration{0}
		}},
	}
}

// talker is a phone on bare sockets behind a network.
type talker struct {
	t     *testing.T
	conn  *net.UDPConn
	codec media.Codec
	frame [][]byte
}

func newTalker(t *testing.T, codec media.Codec, s signal) *talker {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &talker{t: t, conn: c, codec: codec, frame: coded(codec, s)}
}

// signal is what a phone says after some silence: samples between -1 and 1 at a rate of 8000 or 16000.
type signal func(i, rate int) float64

func tone(i, rate int) float64 {
	return toneLevel * math.Sin(2*math.Pi*toneHz*float64(i)/float64(rate))
}

// coded is silence and then the signal.
func coded(codec media.Codec, s signal) (frames [][]byte) {
	rate := 8000
	if codec == media.G722 {
		rate = 16000
	}
	var g722 sound.G722Encoder
	for i := range allFrames {
		pcm := make([]int16, rate/50)
		for k := range pcm {
			if i >= quietPart {
				pcm[k] = int16(math.MaxInt16 * s((i-quietPart)*len(pcm)+k, rate))
			}
		}
		out := make([]byte, 160)
		switch codec {
		case media.G722:
			g722.Encode(out, pcm)
		case media.PCMU:
			for k, v := range pcm {
				out[k] = media.EncodeULaw(v)
			}
		default:
			for k, v := range pcm {
				out[k] = media.EncodeALaw(v)
			}
		}
		frames = append(frames, out)
	}
	return frames
}

// decoded is a packet's sound at 8 kHz.
func (p *talker) decoder() func(pcm []int16, code []byte) {
	var g722 sound.G722Decoder
	var down sound.Downsampler
	return func(pcm []int16, code []byte) {
		switch p.codec {
		case media.G722:
			wide := make([]int16, 2*len(code))
			g722.Decode(wide, code)
			down.Process(pcm, wide)
		case media.PCMU:
			for k, b := range code {
				pcm[k] = media.DecodeULaw(b)
			}
		default:
			for k, b := range code {
				pcm[k] = media.DecodeALaw(b)
			}
		}
	}
}

// call connects the phone to a new leg.
func (p *talker) call(e *media.Engine) *media.Leg {
	p.t.Helper()
	l, err := e.NewLeg(p.t.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	port := p.conn.LocalAddr().(*net.UDPAddr).Port
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %d\r\n", port, p.codec.PayloadType())
	if _, err := l.Answer([]byte(sdp)); err != nil {
		p.t.Fatal(err)
	}
	return l
}

// said is what left a talker.
type said struct {
	toneAt time.Time
	lost   float64 // share of the tone
}

// say sends all frames on their grid, through a network.
func (p *talker) say(to netip.AddrPort, n network, seed uint64) (what said) {
	type departure struct {
		at time.Duration
		i  int
	}
	var all []departure
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range p.frame {
		fate := n.fate(i, r)
		if len(fate) == 0 && i >= quietPart {
			what.lost += 1.0 / tonePart
		}
		for _, d := range fate {
			all = append(all, departure{time.Duration(i)*frame + d, i})
		}
	}
	slices.SortStableFunc(all, func(a, b departure) int { return int(a.at - b.at) })
	begin := time.Now()
	for _, d := range all {
		<-time.After(time.Until(begin.Add(d.at)))
		pkt := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: p.codec.PayloadType(), SequenceNumber: uint16(65500 + d.i),
			Timestamp: uint32(d.i) * 160, SSRC: 77}, Payload: p.frame[d.i]}
		b, err := pkt.Marshal()
		if err == nil {
			_, err = p.conn.WriteToUDPAddrPort(b, to)
		}
		if err != nil {
			p.t.Error(err)
		}
	}
	what.toneAt = begin.Add(quietPart * frame)
	return what
}

// heard is a packet that came.
type heard struct {
	rtp.Packet
	at time.Time
}

// listen gathers what comes until done is closed and nothing has come for a while.
func (p *talker) listen(done <-chan struct{}) <-chan []heard {
	out := make(chan []heard, 1)
	go func() {
		var all []heard
		defer func() { out <- all }()
		buf := make([]byte, 2048)
		for {
			select {
			case <-done:
				return
			default:
			}
			_ = p.conn.SetReadDeadline(time.Now().Add(10 * frame))
			n, err := p.conn.Read(buf)
			if err != nil {
				continue
			}
			h := heard{at: time.Now()}
			if h.Unmarshal(slices.Clone(buf[:n])) == nil && h.PayloadType == p.codec.PayloadType() {
				all = append(all, h)
			}
		}
	}()
	return out
}

// sounds is what somebody with a jitter buffer and concealment hears of the packets, at 8 kHz.
func (p *talker) sounds(packets []heard) (pcm []int16) {
	if len(packets) == 0 {
		return nil
	}
	b := playout.New(playout.Options{})
	conceal, decode := sound.NewConcealer(8000), p.decoder()
	first := packets[0].at
	end := packets[len(packets)-1].at.Sub(first) + 200*time.Millisecond
	next := 0
	for now := time.Duration(0); now < end; now += frame {
		for ; next < len(packets) && packets[next].at.Sub(first) <= now; next++ {
			h := &packets[next]
			b.Put(h.SequenceNumber, h.Timestamp, h.Payload, h.at.Sub(first))
		}
		for range 2 {
			piece := make([]int16, playout.PieceLen)
			switch got := b.Next(now); got.Kind {
			case playout.Voice:
				decode(piece, got.Payload)
				conceal.Good(piece)
			case playout.Lost:
				conceal.Lost(piece)
			}
			pcm = append(pcm, piece...)
		}
	}
	return pcm
}

// judge measures the tone in what was heard: its level where it is there, and how much of it is missing.
func judge(pcm []int16, n network, what said) (faults []string, summary string) {
	const piece = 80 // 10 ms: four periods
	whole := pcm
	var levels []float64
	for ; len(pcm) >= piece; pcm = pcm[piece:] {
		levels = append(levels, 20*math.Log10(media.Goertzel(pcm[:piece], toneHz, 8000)/toneLevel+1e-9))
	}
	there := func(db float64) bool { return db > -10 }
	begin := slices.IndexFunc(levels, there)
	if begin < 0 {
		return []string{"the tone is not to be heard"}, "nothing"
	}
	end := len(levels)
	for !there(levels[end-1]) {
		end--
	}
	levels = levels[min(begin+int(n.settles/(10*time.Millisecond)), end-1):end]
	gaps, present := 0, []float64(nil)
	for _, db := range levels {
		if there(db) {
			present = append(present, db)
		} else {
			gaps++
		}
	}
	slices.Sort(present)
	median, share := present[len(present)/2], float64(gaps)/float64(len(levels))
	summary = fmt.Sprintf("%d pieces of 10 ms, median level %+.2f dB, %.1f %% missing", len(levels), median, 100*share)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if math.Abs(median) > 0.5 {
		fault("the tone is %+.2f dB louder than it was said", median)
	}
	if most := what.lost + n.learning + ownJitter; share > most {
		fault("%.1f %% of the tone is missing, at most %.1f %% was to be", 100*share, 100*most)
	}
	if what.lost+n.learning == 0 {
		if to := max(end-20, begin+30) * piece; to > len(whole) {
			fault("the tone ends too soon to be measured")
		} else if snr := toneToRest(whole[(begin+20)*piece : to]); snr < 30 {
			fault("the tone is only %.1f dB above what else is heard", snr)
		}
	}
	if want := 2*tonePart - int(n.settles/(10*time.Millisecond)); math.Abs(float64(len(levels)-want)) > 0.07*2*tonePart+20 {
		fault("the tone lasts %d pieces of 10 ms, %d were said", len(levels), want)
	}
	return faults, summary
}

// toneToRest is how far the tone is above all else, in dB: the median of tenths of a second.
func toneToRest(pcm []int16) float64 {
	var all []float64
	for tenth := range slices.Chunk(pcm, 800) {
		power := 0.0
		for _, v := range tenth {
			power += float64(v) * float64(v) / math.MaxInt16 / math.MaxInt16 / float64(len(tenth))
		}
		level := media.Goertzel(tenth, toneHz, 8000)
		all = append(all, 10*math.Log10(level*level/2/max(power-level*level/2, 1e-9)))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// delay is how long after it was said the tone came, to whoever decodes each packet at once.
func (p *talker) delay(packets []heard, what said) (time.Duration, bool) {
	decode := p.decoder()
	for _, h := range packets {
		pcm := make([]int16, len(h.Payload))
		decode(pcm, h.Payload)
		for i, v := range pcm {
			if v > math.MaxInt16/4 {
				return h.at.Sub(what.toneAt) + time.Duration(i)*time.Second/8000, true
			}
		}
	}
	return 0, false
}

// path is a way that sound takes through the hotline.
type path struct {
	name       string
	from, to   media.Codec
	mixed, rec bool
}

// trial is one path behind one network.
type trial struct {
	path
	network
	signal
	seed    uint64
	compare func(heard []int16) (faults []string, summary string) // instead of judge
	engine  *media.Engine                                         // nil: one of its own
	clip    *media.Clip                                           // played to the ear; nil: the mouth speaks
	right   bool                                                  // what the ear's phone is sent is recorded

	faults    []string
	summary   string
	forwarded uint64        // packets, by the kernel
	after     time.Duration // heard so long after it was said; 0: not known
}

// A tone reaches whoever listens through each path at its level, over real sockets and whatever the network does:
// relayed, transcoded, mixed, recorded.
func TestImpairedNetworks(t *testing.T) {
	var all []*trial
	for _, p := range []path{
		{"relayed", media.PCMA, media.PCMA, false, false},
		{"G.722 relayed", media.G722, media.G722, false, false},
		{"transcoded", media.PCMA, media.G722, false, false},
		{"transcoded back", media.G722, media.PCMU, false, false},
		{"law to law", media.PCMU, media.PCMA, false, false},
		{"mixed", media.PCMA, media.PCMU, true, false},
		{"mixed, G.722", media.G722, media.PCMA, true, false},
		{"recorded", media.PCMA, media.PCMA, false, true},
	} {
		for i, n := range networks() {
			all = append(all, &trial{path: p, network: n, signal: tone, seed: uint64(i) + 1})
		}
	}
	try(t, all)
}

// try makes the trials, many at once, and those that failed again, fewer at once.
func try(t *testing.T, all []*trial) {
	t.Helper()
	left := all
	for _, atOnce := range []int{16, 8, 4, 2, 1, 1} {
		for few := range slices.Chunk(left, atOnce) {
			var running sync.WaitGroup
			for _, tr := range few {
				run := tr.start(t)
				running.Go(run)
			}
			running.Wait()
		}
		left = slices.DeleteFunc(slices.Clone(left), func(tr *trial) bool { return len(tr.faults) == 0 })
	}
	for _, tr := range all {
		t.Run(tr.path.name+"/"+tr.network.name, func(t *testing.T) {
			t.Log(tr.summary)
			for _, f := range tr.faults {
				t.Error(f)
			}
		})
	}
}

// start sets a trial up; run makes it.
func (tr *trial) start(t *testing.T) (run func()) {
	t.Helper()
	e, err := tr.engine, error(nil)
	if e == nil {
		e, err = media.Open(media.Config{Bind: netip.MustParseAddr("127.0.0.1"), Codecs: []media.Codec{media.PCMA, media.PCMU, media.G722}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
	}
	mouth, ear := newTalker(t, tr.from, tr.signal), newTalker(t, tr.to, tr.signal)
	a, b := mouth.call(e), ear.call(e)
	if tr.mixed {
		m := e.NewMix()
		err = errors.Join(m.Join(a, media.Everyone), m.Join(b, media.Everyone))
	} else {
		err = media.Bridge(a, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	var recorded func() []int16
	if tr.rec {
		recorded = record(t, a, false)
		if tr.right {
			recorded = record(t, b, true)
		}
	}
	return func() {
		done := make(chan struct{})
		packets := ear.listen(done)
		var what said
		if tr.clip != nil {
			<-b.Play(tr.clip, media.PlayOptions{}).Done()
		} else {
			what = mouth.say(a.LocalAddr(), tr.network, tr.seed)
		}
		close(done)
		came := <-packets
		tr.forwarded = a.Stats().Forwarded
		if tr.compare != nil {
			pcm := ear.inOrder(came)
			if tr.rec {
				pcm = recorded()
			}
			tr.faults, tr.summary = tr.compare(pcm)
			return
		}
		pcm, after := ear.sounds(came), ""
		if tr.rec {
			pcm = recorded()
		} else if d, ok := ear.delay(came, what); ok {
			tr.after = d
			after = fmt.Sprintf("; heard %s after it was said", d.Round(100*time.Microsecond))
		}
		tr.faults, tr.summary = judge(pcm, tr.network, what)
		tr.summary += after
	}
}

// record records a leg until it is asked for what the phone said, or what it was sent.
func record(t *testing.T, l *media.Leg, sent bool) (recorded func() []int16) {
	t.Helper()
	tap, stop := recordVoices(t)
	l.Tap(tap)
	return func() []int16 {
		l.Tap(nil)
		left, right := stop()
		if sent {
			return right
		}
		return left
	}
}
