package media

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hotline/media/kernel"
)

// ErrClosed says that the engine or the leg has been closed.
var ErrClosed = errors.New("media closed")

// Config sets an [Engine] up.
type Config struct {
	// Bind is the local address of all sockets. Required.
	Bind netip.Addr
	// Advertise is the address in our SDP, when phones reach us by another one (behind a NAT).
	// Zero means Bind; needed when Bind is unspecified (0.0.0.0).
	Advertise netip.Addr
	// Others are local addresses beside Bind, see [Engine.NewLegAt]: of another network, or of
	// the other IP version. Each has ports of its own in the same range; the kernel passes on
	// the voice between legs of Bind only. None may be unspecified.
	Others []netip.Addr
	// PortMin and PortMax bound the ports; a leg takes an even one for RTP and the next for RTCP.
	// Both 0: the kernel chooses, without a limit.
	PortMin, PortMax uint16
	// PortRest is how long a pair of the range stays unused after its call. 0 means 2 s; negative
	// means none.
	PortRest time.Duration
	// Codecs in order of preference. Empty means PCMA, PCMU.
	Codecs []Codec
	// RTPTimeout is how long a leg may receive nothing before [Leg.Timeout] tells. 0 means for ever.
	RTPTimeout time.Duration
	// HoldTimeout stands in for RTPTimeout while sound does not flow both ways. 0 means for ever.
	HoldTimeout time.Duration
	// ReportInterval is the mean time between RTCP reports. 0 means 5 s.
	ReportInterval time.Duration
	// Kernel has the Linux kernel pass on the voice of bridged legs. Where it can't, the log says why,
	// and all goes on without it.
	Kernel bool
	// Logger gets what happens on legs, at level debug, and faults. Nil means slog.Default().
	Logger *slog.Logger

	// Tests have others than kernel.Open and defaultSettled.
	openKernel func(kernel.Options) (*kernel.Path, error)
	settled    time.Duration
}

const (
	defaultPortRest       = 2 * time.Second
	defaultReportInterval = 5 * time.Second
)

// complete checks the settings and fills in the defaults.
func (c *Config) complete() error {
	if !c.Bind.IsValid() {
		return errors.New("media: no bind address; name the address of a network interface")
	}
	c.Bind, c.Advertise = c.Bind.Unmap(), c.Advertise.Unmap()
	if !c.Advertise.IsValid() {
		c.Advertise = c.Bind
	}
	switch {
	case c.Advertise.IsUnspecified():
		return fmt.Errorf("media: phones can't send to %s; name the address to advertise", c.Advertise)
	case c.Advertise.Is4() != c.Bind.Is4():
		return fmt.Errorf("media: bind address %s and advertised address %s are of different IP versions", c.Bind, c.Advertise)
	}
	if err := c.completeOthers(); err != nil {
		return err
	}
	if err := c.completePorts(); err != nil {
		return err
	}
	if len(c.Codecs) == 0 {
		c.Codecs = []Codec{PCMA, PCMU}
	}
	for i, codec := range c.Codecs {
		if !codec.voice() || slices.Contains(c.Codecs[:i], codec) {
			return fmt.Errorf("media: codec %d in the list is unknown or there twice", i+1)
		}
	}
	c.Codecs = slices.Clone(c.Codecs)
	if c.ReportInterval <= 0 {
		c.ReportInterval = defaultReportInterval
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

func (c *Config) completePorts() error {
	switch {
	case c.PortRest == 0:
		c.PortRest = defaultPortRest
	case c.PortRest < 0:
		c.PortRest = 0
	}
	if c.PortMin == 0 && c.PortMax == 0 {
		return nil
	}
	if c.PortMin == 0 || int(c.PortMin)+int(c.PortMin&1)+1 > int(c.PortMax) {
		return fmt.Errorf("media: ports %d-%d hold no pair of an even port and the next", c.PortMin, c.PortMax)
	}
	return nil
}

// Engine owns the ports and the pace of all legs. Its methods may be called from any goroutine.
type Engine struct {
	cfg    Config
	start  time.Time
	ports  *portPool // of Config.Bind
	others map[netip.Addr]*portPool
	shards []*shard
	cname  string
	kernelPath

	identity   identity       // for DTLS
	handshakes sync.WaitGroup // of legs, until these close

	bridging sync.Mutex // serialises changes of who is bridged with whom; no packet waits for it

	halt    sync.Once // ends the shards
	mu      sync.Mutex
	closed  bool
	legs    map[*Leg]struct{}
	retired EngineStats // sums over closed legs
}

// EngineStats are the figures of an engine since it was opened.
type EngineStats struct {
	Legs                                int // open
	PortsInUse, PortsFree, PortsResting int // pairs; free and resting are 0 when the kernel chooses
	PortsSpare                          int // pairs not in use that are kept open for later legs, at most 256

	PacketsSent, PacketsReceived uint64
	PacketsLost                  int64
	PacketsDropped               uint64 // received and not used: malformed, stray, unknown, duplicate
	SendFailures                 uint64
	DigitsDropped                uint64

	OneWay int // open legs whose phone is sent sound and has sent nothing for five seconds

	Kernel        bool   // the kernel may pass on the voice of bridged legs
	KernelLegs    int    // legs whose voice it passes on now
	KernelPackets uint64 // of PacketsSent, passed on by it

	LateFrames    uint64 // sent 20 ms or more after their instant
	SkippedFrames uint64 // given up, because more than three had become due at once
}

// Open starts an engine. The caller must Close it.
func Open(cfg Config) (*Engine, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	e := &Engine{
		cfg:   cfg,
		start: time.Now(),
		cname: newCNAME(),
		legs:  map[*Leg]struct{}{},
	}
	e.openPools()
	if cfg.Kernel {
		e.openKernel()
	}
	var err error
	if e.shards, err = startShards(e.now, cfg.Logger); err != nil {
		return nil, errors.Join(fmt.Errorf("media: %w", err), e.closeKernel())
	}
	return e, nil
}

// now is the time since the engine's start, the clock of everything inside.
func (e *Engine) now() time.Duration { return time.Since(e.start) }

// wall is the time of day at now.
func (e *Engine) wall(now time.Duration) time.Time { return e.start.Add(now) }

// NewLeg opens a pair of ports. The id is for logs only. The caller must Close the leg. ErrNoPorts
// means that the range is exhausted: answer the call with 503.
func (e *Engine) NewLeg(id string) (*Leg, error) { return e.NewLegAt(id, Address{}) }

// newLegOf opens a pair of the pool's ports.
func (e *Engine) newLegOf(id string, ports *portPool, at Address) (*Leg, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("opening leg: %w", ErrClosed)
	}
	pair, err := ports.take(e.now(), func(port uint16) {
		e.cfg.Logger.Warn("RTP port is used by another process", "port", port)
	})
	if err != nil {
		return nil, fmt.Errorf("opening leg: %w", err)
	}
	l := newLeg(e, id, pair)
	l.at, l.ports = at, ports
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.Join(fmt.Errorf("opening leg: %w", ErrClosed), ports.give(pair, e.now()))
	}
	e.legs[l] = struct{}{}
	pair.rtp.listenTo(l.receive)
	pair.rtcp.listenTo(l.receiveReport)
	return l, pair.shard.add(l)
}

// forget takes a closed leg's figures over.
func (e *Engine) forget(l *Leg) {
	figures := l.figures()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.legs, l)
	e.retired.add(figures)
}

// Stats sums up all legs, open and closed. It takes each leg's lock for a moment: fit for a scrape,
// not for each packet.
func (e *Engine) Stats() EngineStats {
	e.mu.Lock()
	sum := e.retired
	legs := make([]*Leg, 0, len(e.legs))
	for l := range e.legs {
		legs = append(legs, l)
	}
	e.mu.Unlock()
	for _, l := range legs {
		sum.add(l.figures())
		if l.deaf(e.now()) {
			sum.OneWay++
		}
	}
	sum.Legs = len(legs)
	sum.Kernel, sum.KernelLegs = e.kernel != nil, int(e.flows.Load())
	for _, p := range e.pools() {
		inUse, free, resting := p.count(e.now())
		sum.PortsInUse, sum.PortsFree, sum.PortsResting = sum.PortsInUse+inUse, sum.PortsFree+free, sum.PortsResting+resting
		sum.PortsSpare += p.spares()
	}
	for _, s := range e.shards {
		sum.LateFrames += s.late.Load()
		sum.SkippedFrames += s.skipped.Load()
	}
	return sum
}

func (s *EngineStats) add(f EngineStats) {
	s.PacketsSent += f.PacketsSent
	s.PacketsReceived += f.PacketsReceived
	s.PacketsLost += f.PacketsLost
	s.PacketsDropped += f.PacketsDropped
	s.SendFailures += f.SendFailures
	s.DigitsDropped += f.DigitsDropped
	s.KernelPackets += f.KernelPackets
}

// Close closes all legs and waits until every goroutine and socket is gone. It may be called again.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	legs := make([]*Leg, 0, len(e.legs))
	for l := range e.legs {
		legs = append(legs, l)
	}
	e.mu.Unlock()
	var errs []error
	for _, l := range legs {
		errs = append(errs, l.Close())
	}
	e.handshakes.Wait()
	for _, p := range e.pools() {
		errs = append(errs, p.close())
	}
	e.halt.Do(func() { errs = append(errs, closeShards(e.shards), e.closeKernel()) })
	return errors.Join(errs...)
}
