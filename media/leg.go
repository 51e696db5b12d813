package media

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrBridged says that a leg is bridged with another one already.
var ErrBridged = errors.New("leg is bridged already")

// Leg is one phone's stream. Its methods may be called from any goroutine; none waits for the
// network, but Close waits for the packet being handled.
type Leg struct {
	engine *Engine
	id     string
	log    *slog.Logger
	pair   *pair
	at     Address
	ports  *portPool // that the pair is of
	port   uint16
	slot   *slot

	peer     atomic.Pointer[Leg]     // the other leg of the bridge
	seat     atomic.Pointer[mixSeat] // in a mix
	conducts atomic.Pointer[Mix]     // beats with this leg's beats
	listener atomic.Pointer[func([]int16)]
	gone     bool // closed for new bridges; guarded by the engine's bridging lock
	closing  sync.Once
	closeErr error

	alive    liveness
	early    early
	timedOut chan struct{}
	expired  atomic.Bool
	muxed    atomic.Bool // reports come by the RTP port
	pressing atomic.Bool // a key press is being received: beats look after its end
	collides atomic.Bool // the peer sends with our SSRC: a beat sees to it

	digits chan Digit                     // sent to and closed with mu held
	keysBy atomic.Pointer[func(key byte)] // how keys reach the peer instead of events; nil: as events

	mu     sync.Mutex // taken before sender's and reports' locks, never with another leg's
	closed bool
	codecs []Codec // those spoken, in order of preference; never written to
	nego   negotiation

	secrets secrets
	failure error // why keys could not be agreed on
	rx      receiver

	opener    atomic.Pointer[opener]    // nil: what comes isn't encrypted
	ice       atomic.Pointer[ice]       // nil: the peer's checks aren't answered
	handshake atomic.Pointer[handshake] // nil: keys don't come by DTLS
	foreign   atomic.Uint64             // STUN and DTLS that isn't the peer's

	sender  sender
	reports reports

	flow    atomic.Pointer[flow] // from this leg through the kernel; written with mu held
	offerAt time.Duration        // when the kernel may be offered the bridge; of who reads

	ear *ear // of the listener, nil until needed; owned by who reads the socket
}

// maxWaitingDigits bounds the channel of digits.
const maxWaitingDigits = 32

func newLeg(e *Engine, id string, p *pair) *Leg {
	l := &Leg{
		engine: e, id: id, pair: p, port: p.port,
		log:      e.cfg.Logger.With("leg", id),
		timedOut: make(chan struct{}),
		digits:   make(chan Digit, maxWaitingDigits),
		nego:     newNegotiation(),
		codecs:   e.cfg.Codecs,
	}
	l.sender.init(p.rtp)
	return l
}

// ID is the id given to NewLeg.
func (l *Leg) ID() string { return l.id }

// LocalAddr is the leg's RTP address as our SDP gives it.
func (l *Leg) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(l.at.Advertise, l.port)
}

// Prefer sets which codecs the leg speaks, in order of preference; those that the
// engine doesn't speak are left out, and with none left all of the engine's stay. Call
// it before the first Offer or Answer.
func (l *Leg) Prefer(codecs []Codec) {
	var list []Codec
	for _, c := range codecs {
		if slices.Contains(l.engine.cfg.Codecs, c) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return
	}
	l.mu.Lock()
	l.codecs = list
	l.mu.Unlock()
}

// Favour puts the codec first that other speaks, so that a bridge of both need not transcode, and offers comfort noise
// if other has it: what it sends in pauses is passed on then. Call it before the first Offer.
func (l *Leg) Favour(other *Leg) {
	other.mu.Lock()
	codec, quiet := other.nego.codec, other.nego.noise.codec == noise
	other.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nego.quiet = quiet
	if i := slices.Index(l.codecs, codec); i > 0 {
		l.codecs = slices.Insert(slices.Delete(slices.Clone(l.codecs), i, i+1), 0, codec)
	}
}

// SetStrict makes the leg take RTP only from the IP address in the peer's SDP, from any port. It
// is for peers that are known not to be behind a NAT. Without it packets tell where the
// phone is, see [Leg.Expect].
func (l *Leg) SetStrict(on bool) {
	l.mu.Lock()
	l.takeBack()
	l.rx.latch.strict = on
	l.mu.Unlock()
}

// Trust makes the leg as strict as [Leg.SetStrict] does wherever SDP's address is the one that signalling comes
// from, see [Leg.Expect]: then there is no NAT between, and RTP from elsewhere is somebody else's. It is for peers
// that send their sound from the address that their SDP says, as gateways do.
func (l *Leg) Trust(on bool) {
	l.mu.Lock()
	l.takeBack()
	l.rx.latch.trusting = on
	l.mu.Unlock()
}

// Expect says where signalling comes from: RTP from that IP address is believed at once, as that from SDP's
// is; any other must come in a row first. It matters for phones behind a NAT, whose SDP has an address that
// nothing comes from.
func (l *Leg) Expect(addr netip.Addr) {
	l.mu.Lock()
	l.rx.latch.hint = addr.Unmap()
	l.mu.Unlock()
}

// Digits gives the keys pressed by the peer, each once, when its press is over. At most 32 wait;
// further ones are dropped and counted. It is closed when the leg closes.
func (l *Leg) Digits() <-chan Digit { return l.digits }

// InjectDigit reports a key press that came another way (SIP INFO), unless it came as telephone-event, too:
// some phones send their keys both ways. A leg that this one is bridged with sends it on.
func (l *Leg) InjectDigit(key byte) error {
	code, ok := keyCode(key)
	if !ok {
		return fmt.Errorf("taking digit: %w", ErrBadKey)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("taking digit: %w", ErrClosed)
	}
	first := l.injected(keys[code], l.engine.now())
	l.mu.Unlock()
	if first {
		l.passOn(keys[code])
	}
	return nil
}

// injected reports a key that came by SIP INFO; first is false for one that came before as telephone-event. The
// leg's lock is held.
func (l *Leg) injected(key byte, now time.Duration) (first bool) {
	if l.rx.twice.again(key, true, now, now) {
		return false
	}
	l.tell(press{key: key, at: now})
	return true
}

// pressed reports a key that came as telephone-event. The leg's lock is held.
func (l *Leg) pressed(p press) {
	if seat := l.seat.Load(); seat != nil {
		seat.pressed(p)
	}
	if !l.rx.twice.again(p.key, false, p.at, p.at+p.duration) {
		l.tell(p)
	}
}

// tell gives a key press to who takes digits. The leg's lock is held.
func (l *Leg) tell(p press) {
	if l.closed {
		return
	}
	select {
	case l.digits <- Digit{p.key, p.at, p.duration}:
	default:
		l.rx.digitsDropped++
	}
	l.tellPeer(p.key)
}

// Timeout is closed when nothing was received for the engine's RTPTimeout, or HoldTimeout while
// sound does not flow both ways, counted from the last offer or answer; or at once when keys could not be agreed on, see [Leg.Failure].
// It stays open when the leg closes.
func (l *Leg) Timeout() <-chan struct{} { return l.timedOut }

// OnAudio calls fn with the samples of each voice packet that arrives in order, usually 160. It
// runs on the goroutine that receives: it must not block, keep pcm, or close the leg. Nil ends it.
func (l *Leg) OnAudio(fn func(pcm []int16)) {
	if fn == nil {
		l.listener.Store(nil)
		return
	}
	l.listener.Store(&fn)
	l.mu.Lock()
	l.takeBack()
	l.mu.Unlock()
}

// Bridge connects two legs of one engine in both directions. What they play ends. Bridging the same
// two again does nothing. It fails with ErrBridged when one is bridged with a third or in a mix, and with
// ErrClosed.
func Bridge(a, b *Leg) error {
	if a == b || a.engine != b.engine {
		return errors.New("bridging: need two legs of one engine")
	}
	a.engine.bridging.Lock()
	defer a.engine.bridging.Unlock()
	pa, pb := a.peer.Load(), b.peer.Load()
	switch {
	case a.gone || b.gone:
		return fmt.Errorf("bridging: %w", ErrClosed)
	case pa == b && pb == a:
		return nil
	case pa != nil || pb != nil || a.seat.Load() != nil || b.seat.Load() != nil:
		return fmt.Errorf("bridging: %w", ErrBridged)
	}
	a.peer.Store(b)
	b.peer.Store(a)
	a.sender.bridge(b)
	b.sender.bridge(a)
	return nil
}

// Unbridge parts two legs; both fall back to silence. Parting legs that are not bridged with each
// other does nothing.
func Unbridge(a, b *Leg) {
	a.engine.bridging.Lock()
	defer a.engine.bridging.Unlock()
	if a.peer.Load() == b && b.peer.Load() == a {
		part(a, b)
	}
}

// part undoes a bridge. The engine's bridging lock is held.
func part(a, b *Leg) {
	a.peer.Store(nil)
	b.peer.Store(nil)
	a.sender.bridge(nil)
	b.sender.bridge(nil)
}

// beat serves one instant of the leg's grid.
func (l *Leg) beat(now time.Duration) {
	l.sender.beat(now)
	if m := l.conducts.Load(); m != nil {
		m.beat(now)
	}
	if f := l.flow.Load(); f != nil {
		l.alive.atLeast(f.seen())
	}
	if l.pressing.Load() {
		l.endPress(now)
	}
	if l.collides.Load() {
		l.rename()
	}
	if l.alive.expired(now) && !l.early.on.Load() && l.expired.CompareAndSwap(false, true) {
		l.log.Debug("no RTP for too long")
		close(l.timedOut)
	}
	if l.reports.due(now) {
		l.sendReport(l.engine.now(), false)
	}
}

// awaited tells whether somebody waits for what the leg hears, and it isn't the kernel that passes it on.
func (l *Leg) awaited() bool {
	if l.flow.Load() != nil {
		return false
	}
	return l.peer.Load() != nil || l.seat.Load() != nil || l.listener.Load() != nil
}

// endPress reports a key press whose end packets got lost.
func (l *Leg) endPress(now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.rx.digits.idle(now); ok {
		l.pressed(p)
	}
	l.pressing.Store(l.rx.digits.active)
}

// Close says BYE in RTCP, ends playback and bridge, closes Digits and gives the ports back. When it
// returns no callback runs. It may be called again, and then only waits for the first call.
func (l *Leg) Close() error {
	l.closing.Do(func() { l.closeErr = l.shut() })
	return l.closeErr
}

func (l *Leg) shut() error {
	l.engine.bridging.Lock()
	l.gone = true
	if other := l.peer.Load(); other != nil {
		part(l, other)
	}
	if seat := l.seat.Load(); seat != nil {
		seat.mix.leave(seat)
	}
	l.engine.bridging.Unlock()
	l.sendReport(l.engine.now(), true)
	l.mu.Lock()
	l.takeBack()
	l.closed = true
	close(l.digits)
	l.mu.Unlock()
	if h := l.handshake.Load(); h != nil {
		_ = h.Close()
	}
	l.sender.close()
	l.reports.close()
	err := l.pair.shard.remove(l)
	l.pair.rtp.listenTo(nil)
	l.pair.rtcp.listenTo(nil)
	err = errors.Join(err, l.ports.give(l.pair, l.engine.now()))
	l.engine.forget(l)
	if err != nil {
		return fmt.Errorf("closing leg: %w", err)
	}
	return nil
}
