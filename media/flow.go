package media

import (
	"sync"
	"sync/atomic"
	"time"

	"hotline/media/kernel"
)

const (
	// defaultSettled is how long a bridge must have run evenly before the kernel takes it over, so
	// that nothing is handed to and fro for moments.
	defaultSettled = time.Second
	// maxSettled bounds that time for legs that send again and again what the kernel doesn't take.
	maxSettled = time.Minute
	// fewPackets forwarded make the next wait twice as long.
	fewPackets = 100
	// restFor is how many beats are left out while the kernel forwards both ways: they would only look whether it
	// still does.
	restFor = 3
	// offers is how often a bridge is looked at for it in that time.
	offers = 4
)

// flow is one direction of a bridge that the kernel forwards. While it runs, the kernel owns the
// figures of the stream: those of reception on one leg, numbers and timestamps of the sender on the
// other. Each side fetches its share under its own lock (takeBack) before it does anything that
// belongs to the stream; who comes first ends the flow for both.
type flow struct {
	engine *Engine
	port   uint16

	mu    sync.Mutex // taken last
	ended bool
	last  kernel.State // as read last

	// Guarded by the lock of the leg that receives.
	strays, forwarded uint64 // counted into the leg's figures
	begun             uint64 // what forwarded was at first
}

// read tells how the stream stands.
func (f *flow) read() kernel.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.fetch(f.engine.kernel.Read)
	}
	return f.last
}

// end has the kernel forward no more; what comes goes to the socket.
func (f *flow) end() kernel.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		f.fetch(f.engine.kernel.Remove)
		f.engine.flows.Add(-1)
	}
	return f.last
}

func (f *flow) fetch(by func(port uint16) (kernel.State, error)) {
	s, err := by(f.port)
	if err != nil { // the descriptors of the maps are ours: a fault in the program
		f.engine.cfg.Logger.Error("asking the kernel for a forwarded stream", "port", f.port, "error", err)
		return
	}
	f.last = s
}

// over tells whether either side has ended the flow.
func (f *flow) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// seen is when the last packet from the phone came. It costs no system call.
func (f *flow) seen() time.Duration {
	return time.Duration(f.engine.kernel.Seen(f.port) - f.engine.epoch)
}

// atLeast notes a packet that may be older than what was noted last.
func (l *liveness) atLeast(at time.Duration) {
	for {
		heard := l.heardAt.Load()
		if int64(at) <= heard || l.heardAt.CompareAndSwap(heard, int64(at)) {
			return
		}
	}
}

// offerKernel has the kernel take over what this leg's phone says to the other leg of its bridge, if
// it is nothing but packets to be passed on. Its time is right behind such a packet, when the next is the furthest
// away: one that waited in the socket when the kernel began would end the flow. Where a phone's packets and our
// beats keep step, that would happen again and again at the beats; of packets that come in bursts the last is taken.
func (l *Leg) offerKernel(peer *Leg, now time.Duration) {
	if l.engine.kernel == nil || l.flow.Load() != nil || now < l.offerAt {
		return
	}
	l.offerAt = now + l.engine.settled/offers
	if l.at.Bind != l.engine.cfg.Bind || peer.at.Bind != l.at.Bind {
		return // the kernel's path is that address's
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.even(now) {
		return
	}
	s := &peer.sender // its lock may be taken with another leg's held: who holds it takes no leg's
	s.mu.Lock()
	defer s.mu.Unlock()
	codec := l.rx.formats[l.rx.voice]
	if now-s.relayed.since < l.engine.settled || !s.passes(l, l.rx.generation, codec) {
		return
	}
	if l.pair.rtp.holds() {
		l.offerAt = now
		return
	}
	f := &flow{engine: l.engine, port: l.port, last: state(&l.rx, s)}
	f.last.Seen = l.engine.epoch + int64(l.rx.latch.heard)
	f.begun, f.forwarded = f.last.OutPackets, f.last.OutPackets
	if err := l.engine.kernel.Set(l.port, forward(&l.rx, s), f.last); err != nil {
		l.log.Debug("the kernel does not forward this leg", "error", err)
		l.rx.uneven, l.rx.wait = now, maxSettled
		return
	}
	l.engine.flows.Add(1)
	l.flow.Store(f)
	s.flow = f
}

// even tells whether what the phone sends is, and has been for a while, what the kernel can judge, and
// nobody here listens. The leg's lock is held.
func (l *Leg) even(now time.Duration) bool {
	r := &l.rx
	return !l.closed && l.listener.Load() == nil && l.sender.tap.Load() == nil && l.seat.Load() == nil &&
		l.opener.Load() == nil && l.handshake.Load() == nil && !l.muxed.Load() &&
		r.latch.locked.IsValid() && now-r.latch.heard < fillAfter &&
		r.stream.started && !r.stream.jumped && !r.digits.active &&
		r.quality.loud && // in the kernel nobody hears that it isn't silent
		now-r.uneven >= max(l.engine.settled, r.wait)
}

// passes tells whether packets of that codec are passed on as they are. The sender's lock is held.
func (s *sender) passes(from *Leg, generation uint32, codec Codec) bool {
	r := &s.relayed
	return s.flow == nil && s.seal == nil && !s.keyless && !s.mixed && &from.sender != s && s.open() && s.play == nil && len(s.over) == 0 && s.overWide == nil && len(s.digits.waiting) == 0 && s.tap.Load() == nil &&
		r.from == from && r.running && !r.pieces && r.generation == generation &&
		s.last == fromPeer && s.pack.n == 0 && codec.voice() && s.voice.codec == codec
}

// forward describes what the relay does for the kernel.
func forward(r *receiver, s *sender) kernel.Forward {
	f := kernel.Forward{
		Source: r.latch.locked, Destination: s.remote, OutPort: s.socket.port,
		SSRCIn: r.stream.ssrc, SSRCOut: s.hdr.SSRC,
		SeqOffset: s.relayed.seq, TSOffset: s.relayed.ts, Origin: s.origin,
		VoiceIn: r.voice, VoiceOut: s.voice.payload, NoiseIn: kernel.NoType, NoiseOut: kernel.NoType,
		Size: s.packing.size, Most: maxPayload,
	}
	if most := s.packing.most; most != 0 {
		f.Most = min(f.Most, most)
	}
	for payload, codec := range r.formats {
		if codec == noise && s.noise.codec == noise {
			f.NoiseIn, f.NoiseOut = uint8(payload), s.noise.payload
		}
	}
	return f
}

// state is where the kernel goes on from.
func state(r *receiver, s *sender) kernel.State {
	in := &r.stream
	return kernel.State{
		Highest: in.highest, Base: in.base, Received: in.received, Window: in.seen,
		Transit: uint32(in.transit), Jitter: in.jitter, Timed: in.timed,
		Packets: r.packets, Octets: r.octets, Late: r.late, Duplicates: r.duplicate,
		NextSeq: s.seq, Floor: s.relayed.floor, NextTS: s.nextTS, OutPackets: s.packets, OutOctets: s.octets,
		Losses: kernel.Losses(r.quality.bursts),
	}
}

// lookIn brings the figures up to date with what the kernel has forwarded. The leg's lock is held.
func (l *Leg) lookIn() {
	if f := l.flow.Load(); f != nil {
		l.adopt(f, f.read())
	}
}

// inKernel tells whether the kernel forwards what comes from the phone.
func (l *Leg) inKernel() bool {
	f := l.flow.Load()
	return f != nil && !f.over()
}

// rests tells whether a beat may be left out. It belongs to the shard.
func (l *Leg) rests() bool {
	if l.flow.Load() == nil {
		return false
	}
	n := l.sender.rests.Load()
	return n > 0 && l.sender.rests.CompareAndSwap(n, n-1) // or its flow has just been taken back
}

// takeBack ends the flow from this leg, if there is one. The leg's lock is held.
func (l *Leg) takeBack() {
	f := l.flow.Load()
	if f == nil {
		return
	}
	l.adopt(f, f.end())
	l.flow.Store(nil)
}

func (l *Leg) adopt(f *flow, s kernel.State) {
	r := &l.rx
	in := &r.stream
	in.highest, in.received, in.seen = s.Highest, s.Received, s.Window
	in.transit, in.jitter, in.timed = int32(s.Transit), s.Jitter, s.Timed
	r.packets, r.octets, r.late, r.duplicate = s.Packets, s.Octets, s.Late, s.Duplicates
	r.quality.bursts = bursts(s.Losses)
	r.stray += s.Stray - f.strays
	r.forwarded += s.OutPackets - f.forwarded
	f.strays, f.forwarded = s.Stray, s.OutPackets
	heard := time.Duration(s.Seen - l.engine.epoch)
	r.latch.heard = max(r.latch.heard, heard)
	l.alive.atLeast(heard)
}

// cameUp deals with a packet that came to the socket while the kernel forwards. One from the phone is
// something for us to judge: it, and what follows, needs the stream's figures here. One of another
// source doesn't, unless it may take the phone's place.
func (l *Leg) cameUp(f *flow, known bool, now time.Duration) {
	if !f.over() && !known {
		l.lookIn()
		if now-l.rx.latch.heard < relatch {
			return
		}
	}
	l.takeBack()
	l.rx.uneven = now
	if f.forwarded-f.begun < fewPackets {
		l.rx.wait = min(max(2*l.rx.wait, l.engine.settled), maxSettled)
		return
	}
	l.rx.wait = 0
}

// lookIn does the same for what is sent. The sender's lock is held.
func (s *sender) lookIn() {
	if s.flow != nil {
		s.adopt(s.flow.read())
	}
}

// takeBack ends the flow towards this leg, if there is one: numbers and timestamps go on here. The
// sender's lock is held.
func (s *sender) takeBack() {
	if s.flow == nil {
		return
	}
	f := s.flow
	s.flow = nil
	s.rests.Store(0)
	s.adopt(f.end())
	s.relayed.at, s.sentAt = max(s.relayed.at, f.seen()), max(s.sentAt, f.seen())
}

func (s *sender) adopt(state kernel.State) {
	s.seq, s.relayed.floor, s.nextTS = state.NextSeq, state.Floor, state.NextTS
	s.packets, s.octets = state.OutPackets, state.OutOctets
}

// forwarded tells whether the beat at now may be left to the kernel. If the other phone has fallen
// silent, the flow ends. The sender's lock is held.
func (s *sender) forwarded(now time.Duration) bool {
	if s.flow == nil {
		return false
	}
	s.relayed.at = max(s.relayed.at, s.flow.seen())
	if now-s.relayed.at < fillAfter && !s.flow.over() {
		s.rests.Store(restFor)
		return true
	}
	s.takeBack()
	return false
}

// kernelPath is what an engine needs to have its bridges forwarded.
type kernelPath struct {
	kernel  *kernel.Path // nil: userland forwards all
	epoch   int64        // the engine's start on the kernel's clock
	settled time.Duration
	flows   atomic.Int64 // under way
}

// openKernel opens the kernel's path, or says why there is none.
func (e *Engine) openKernel() {
	open := e.cfg.openKernel
	if open == nil {
		open = kernel.Open
	}
	if e.settled = e.cfg.settled; e.settled == 0 {
		e.settled = defaultSettled
	}
	now, err := kernel.Now()
	if err == nil {
		e.epoch = now - int64(e.now())
		e.kernel, err = open(kernel.Options{
			Addr: e.cfg.Bind, PortMin: e.cfg.PortMin, PortMax: e.cfg.PortMax, Epoch: e.epoch,
		})
	}
	if err != nil {
		e.kernel = nil
		e.cfg.Logger.Warn("bridged calls are not forwarded by the kernel, but by this process", "reason", err)
		return
	}
	for _, a := range e.kernel.Attached() {
		e.cfg.Logger.Info("bridged calls are forwarded by the kernel", "interface", a.Interface, "mode", a.Mode)
	}
}

// closeKernel ends it; no leg may be open.
func (e *Engine) closeKernel() error {
	if e.kernel == nil {
		return nil
	}
	return e.kernel.Close()
}
