// Package server is the hotline put together: it opens the rooms by a config,
// owns the calls and the routing state, and closes everything in order. A test
// embeds it on ports chosen by the kernel.
//
// Goroutines: one owns routing (core.go), one owns each call (call.go); nobody
// else writes their state.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/metrics"
	"hotline/recording"
	"hotline/records"
	"hotline/routing"
	"hotline/routing/journal"
	"hotline/routing/simulate"
	"hotline/sip"
)

// Options say how to run.
type Options struct {
	Config *config.Config
	// Version is shown by metrics and the SIP User-Agent.
	Version string
	// Logger is used by all rooms; nil means slog.Default().
	Logger *slog.Logger
}

// Server is a running hotline.
type Server struct {
	version  string
	log      *slog.Logger
	settings atomic.Pointer[settings]
	// emergency is the name of the one that is on.
	emergency atomic.Value
	started   *config.Config

	sip     *sip.Stack
	media   *media.Engine
	core    *core
	journal *journal.File
	who     *directory
	records *records.Writer
	metrics *metrics.Metrics
	// recorder is nil while there is nothing to record; recs are the calls by id (recordable).
	recorder atomic.Pointer[recording.Recorder]
	recs     sync.Map
	recent   simulate.Recent // what to look ahead from
	http     *http.Server
	httpAt   netip.AddrPort

	// up is closed when all rooms are open: a call may come before sip.Open has
	// returned.
	up chan struct{}
	// ctx ends when calls in progress must end at once.
	ctx      context.Context
	cancel   context.CancelFunc
	calls    sync.WaitGroup
	admit    sync.Mutex
	closing  bool // guarded by admit: no call begins any more
	active   atomic.Int64
	idle     chan struct{} // a call has ended; capacity 1
	draining atomic.Bool
	numbers  idMaker
	spending spending
	// handBackWithin is how long a trunk may take to connect a caller itself.
	handBackWithin time.Duration

	// ownCalls counts the calls of seats' phones that aren't routing's; the core's
	// goroutine owns it.
	ownCalls map[routing.SeatID]int
	directs  directs
	talks    talks
	waits    waits

	// figures are of calls that ended and are not closed yet; the core's
	// goroutine owns them.
	figures map[routing.CallID]figures
	// late are the records of calls that are closed for routing before their end, as
	// those turned away are; the core's goroutine owns them, too.
	late map[routing.CallID]records.Record

	reloadMu sync.Mutex
	// nextPolicy is when the clocks change; zero is never. Guarded by reloadMu.
	nextPolicy time.Time
	background sync.WaitGroup
	quit       chan struct{}
	closeOnce  sync.Once
}

// Start opens everything and returns when calls can come in. On an error
// nothing is left open.
func Start(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{
		version: o.Version, started: o.Config, log: o.Logger.With("node", o.Config.Node),
		idle: make(chan struct{}, 1), quit: make(chan struct{}), up: make(chan struct{}),
		ownCalls: make(map[routing.SeatID]int), handBackWithin: handBackWithin,
		figures: make(map[routing.CallID]figures), late: make(map[routing.CallID]records.Record), numbers: newIDMaker(o.Config.Node),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(o.Config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, what := range o.Config.KeysInClear() {
		s.log.Warn("SRTP keys can be read on the way", "where", what)
	}
	s.log.Info("hotline is up", "version", o.Version, "sip", s.SIPAddr().String(), "http", s.httpAt.String())
	return s, nil
}

func (s *Server) open(cfg *config.Config) error {
	set, err := newSettings(cfg)
	if err != nil {
		return err
	}
	s.settings.Store(set)
	s.metrics = metrics.New(metrics.Options{Targets: targets(cfg), Node: cfg.Node, Version: s.version, Snapshot: s.snapshot})
	if s.records, err = records.Open(records.Options{Dir: cfg.Records.Dir, Logger: s.log, Observer: s.metrics}); err != nil {
		return fmt.Errorf("open call records: %w", err)
	}
	if err := s.openRecorder(cfg); err != nil {
		return err
	}
	if err := s.openCore(cfg); err != nil {
		return err
	}
	if s.who, err = openDirectory(cfg, s.log, s.metrics); err != nil {
		return err
	}
	if s.media, err = media.Open(mediaConfig(cfg, s.log)); err != nil {
		return fmt.Errorf("open media: %w", err)
	}
	if err := s.openHTTP(cfg); err != nil {
		return err
	}
	opt := cfg.SIPOptions()
	opt.Handlers = sip.Handlers{Invite: s.incoming, Registered: s.registered, Watch: s.watch}
	opt.Logger, opt.Observer = s.log, s.metrics
	if s.sip, err = sip.Open(opt); err != nil {
		return fmt.Errorf("open SIP: %w", err)
	}
	close(s.up)
	s.showAll()
	s.background.Go(s.reconcileLoop)
	s.background.Go(s.estimateLoop)
	return nil
}

// openCore reads the journal back, ends what the last process held, writes the
// records that are missing and brings the policy in.
func (s *Server) openCore(cfg *config.Config) error {
	var err error
	if s.journal, err = journal.OpenFile(journal.FileOptions{
		Dir: cfg.Journal.Dir, SegmentBytes: int64(cfg.Journal.SegmentSize), SyncWithin: cfg.Journal.SyncWithin,
		KeepSegments: cfg.Journal.KeepSegments, Logger: s.log,
		OnError: func(error) { s.metrics.JournalError() },
	}); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	c, closed, err := newCore(cfg.Node, s.journal, s.log)
	if err != nil {
		return err
	}
	if err := s.recordMissing(closed); err != nil {
		return err
	}
	c.decided = s.decided
	c.save.settle, c.save.owed = s.records.Flush, s.writeLate
	s.core = c
	go c.run()
	c.post(routing.NodeStarted{})
	s.emergency.Store(keptEmergency(cfg))
	s.postPolicy(cfg, s.Emergency())
	return nil
}

// recordMissing writes the records of calls that were closed just before the
// last process died, before its writer came to them.
func (s *Server) recordMissing(closed []routing.CallView) error {
	ids := make([]string, 0, len(closed))
	for _, v := range closed {
		ids = append(ids, string(v.ID))
	}
	missing, err := s.records.Missing(ids)
	if err != nil {
		return fmt.Errorf("compare records with the journal: %w", err)
	}
	want := make(map[string]bool, len(missing))
	for _, id := range missing {
		want[id] = true
	}
	for _, v := range closed {
		if want[string(v.ID)] {
			r := records.New(v, records.Media{}, records.Media{})
			r.Recordings = s.repaired(string(v.ID))
			s.records.Write(r)
		}
	}
	return nil
}

// decided takes each decision for metrics and records, on the core's goroutine.
func (s *Server) decided(d routing.Decision, seq uint64) {
	s.metrics.Decision(d)
	s.recent.Observe(d)
	switch d := d.(type) {
	case *routing.PolicyApplied:
		s.log.Info("policy changed", "seq", seq, "changes", d.Changes)
	case *routing.SeatChanged:
		s.show(*d)
		s.log.Debug("seat changed", "seat", d.Seat, "state", d.State, "status", d.Status, "reason", d.Reason)
	case *routing.Closed:
		s.log.Info("call closed", "call", d.Call.ID, "outcome", d.Call.Outcome, "cause", d.Call.Cause, "tier", d.Call.Tier,
			"queue", d.Call.Queue, "agent", d.Call.Agent, "waited_ms", d.Call.QueueWait/routing.Millisecond,
			"talk_ms", d.Call.Talk/routing.Millisecond, "wrap_up_ms", d.Call.WrapUp/routing.Millisecond)
		f, ended := s.figures[d.Call.ID]
		delete(s.figures, d.Call.ID)
		r := records.New(d.Call, recordMedia(f.Caller), recordMedia(f.Agent))
		r.Seq, r.Recordings, r.Dials = seq, f.Recordings, f.Dials
		if !ended {
			r.Recordings = s.repaired(r.Call)
		}
		if !ended && s.core.owned(d.Call.ID) { // it hears why it is over
			s.late[d.Call.ID] = r
			return
		}
		s.records.Write(r)
	}
}

// writeLate writes the records that wait for the media figures of their calls without
// them.
func (s *Server) writeLate() {
	for _, r := range s.late { // each on its own
		s.records.Write(r)
	}
	clear(s.late)
}

// mediaOver counts a leg that has ended, and tells of sound that went one way only.
func (s *Server) mediaOver(log *slog.Logger, st media.LegStats) {
	s.metrics.MediaLeg(st)
	if fault := st.Fault(); fault != "" {
		log.Warn("sound went one way only", "fault", fault, "sent", st.PacketsSent, "received", st.PacketsReceived, "remote", st.RemoteAddr)
	}
}

func recordMedia(st media.LegStats) records.Media {
	if st.Codec == 0 {
		return records.Media{}
	}
	return records.Media{Codec: st.Codec.String(), Secure: st.Secure.String(), Sent: st.PacketsSent, Received: st.PacketsReceived,
		Lost: st.Lost, JitterMS: float64(st.Jitter) / float64(time.Millisecond), RTTMS: float64(st.RTT) / float64(time.Millisecond),
		MOS: st.MOS, PeerMOS: st.PeerMOS, PhoneMOS: st.PhoneMOS, PhoneDiscarded: st.PhoneDiscarded, Fault: st.Fault()}
}

// incoming takes each INVITE that was let in. It returns when a trunk's call is answered or turned away, or when an
// agent's own call is over.
func (s *Server) incoming(leg *sip.Leg) {
	<-s.up
	if !s.beginCall() {
		_ = leg.Reject(503, "Service Unavailable")
		return
	}
	switch in := leg.Incoming(); {
	case in.Agent != "":
		s.agentCall(leg)
		s.calls.Done()
	case in.Replaces != nil:
		_ = leg.Reject(403, "Forbidden") // a trunk takes nobody's place
		s.calls.Done()
	default:
		s.active.Add(1)
		id := s.numbers.next()
		c := &call{s: s, id: id, a: leg, cfg: s.settings.Load(), ringings: map[uint64]*ringing{}, rungs: make(chan rung), picks: make(chan *pick),
			log: s.log.With("call", id, "sip_call_id", leg.CallID())}
		c.decisions = s.core.own(id)
		c.begin()
	}
}

// beginCall counts a call in; false when the server is closing, whose journal and
// records won't wait for it.
func (s *Server) beginCall() bool {
	s.admit.Lock()
	defer s.admit.Unlock()
	if s.closing {
		return false
	}
	s.calls.Add(1)
	return true
}

// endCall reports the end of a call and forgets its owner, in one step: in
// between, reconcile would take it for lost. Its media figures wait for its
// record.
func (s *Server) endCall(c *call) {
	s.core.do(func() {
		s.figures[c.id] = c.heard
		s.core.apply(routing.CallEnded{Call: c.id, Cause: c.cause})
		s.core.disown(c.id)
		if _, open := s.core.state.Call(c.id); !open {
			delete(s.figures, c.id) // closed by now, or before us when its seat was freed by hand
		}
		if r, ok := s.late[c.id]; ok {
			delete(s.late, c.id)
			r.SetMedia(recordMedia(c.heard.Caller), recordMedia(c.heard.Agent))
			r.Recordings, r.Dials = c.heard.Recordings, c.heard.Dials
			s.records.Write(r)
		}
	})
}

// registered tells routing when a seat becomes reachable or ceases to be.
func (s *Server) registered(user string, contacts int) {
	s.core.do(func() {
		seat, known := s.core.state.Seat(routing.SeatID(user))
		on := known && seat.Node == s.core.node
		switch {
		case contacts > 0 && !on:
			s.core.apply(routing.SeatRegistered{Seat: routing.SeatID(user)})
			if s.ownCalls[routing.SeatID(user)] > 0 { // its connection broke during the call
				s.core.apply(routing.OwnCallChanged{Seat: routing.SeatID(user), Busy: true})
			}
			s.log.Info("seat registered", "seat", user, "phones", contacts)
		case contacts == 0 && on:
			s.core.apply(routing.SeatUnregistered{Seat: routing.SeatID(user)})
			s.log.Info("seat unregistered", "seat", user)
		}
	})
}

const reconcileEvery = 5 * time.Second

// reconcileLoop holds the reservations of routing against the calls in being.
func (s *Server) reconcileLoop() {
	t := time.NewTicker(reconcileEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.core.do(s.core.reconcile)
			s.followClock()
		case <-s.quit:
			return
		}
	}
}

// DrainTimeout is how long calls may go on after the first signal to stop.
func (s *Server) DrainTimeout() time.Duration { return s.settings.Load().Drain.Timeout }

// ReloadRefused counts a config that was wrong.
func (s *Server) ReloadRefused() { s.metrics.ReloadFailed() }

// SIPAddr is the address of the first SIP listener.
func (s *Server) SIPAddr() netip.AddrPort { return s.sip.Addr(0) }

// SIPAddrs are the addresses of all SIP listeners, in the order of the config.
func (s *Server) SIPAddrs() []netip.AddrPort { return s.sip.Addrs() }

// HTTPAddr is the address of metrics and the API.
func (s *Server) HTTPAddr() netip.AddrPort { return s.httpAt }

// Calls is the number of callers in the hotline.
func (s *Server) Calls() int { return int(s.active.Load()) }

// Media tells the figures of the media engine.
func (s *Server) Media() media.EngineStats { return s.media.Stats() }

// Drain refuses new calls and waits until those in progress have ended, or ctx
// ends.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.sip.Drain()
	s.log.Info("draining: no new calls", "in_progress", s.Calls())
	for s.Calls() > 0 {
		select {
		case <-s.idle:
		case <-ctx.Done():
			return fmt.Errorf("%d calls still in progress: %w", s.Calls(), ctx.Err())
		}
	}
	return nil
}

// Close ends what is in progress, with BYE, and closes everything. It waits at
// most a few seconds for the other sides.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() { err = s.shut() })
	return err
}

func (s *Server) shut() error {
	var err error
	close(s.quit)
	s.draining.Store(true)
	if s.sip != nil {
		s.sip.Drain()
	}
	s.admit.Lock()
	s.closing = true
	s.admit.Unlock()
	s.cancel()
	s.calls.Wait()
	s.background.Wait()
	if r := s.recorder.Load(); r != nil {
		err = errors.Join(err, r.Close())
	}
	if s.sip != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		s.sip.Settle(ctx)
		cancel()
		err = errors.Join(err, s.sip.Close())
	}
	if s.http != nil {
		err = errors.Join(err, s.http.Close())
	}
	if s.core != nil {
		s.core.do(s.core.endWrapUps)
		s.core.close()
	}
	if s.who != nil {
		err = errors.Join(err, s.who.Close())
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.Close())
	}
	if s.records != nil {
		err = errors.Join(err, s.records.Close())
	}
	if s.media != nil {
		err = errors.Join(err, s.media.Close())
	}
	return err
}

func (s *Server) openHTTP(cfg *config.Config) error {
	l, err := net.Listen("tcp", cfg.HTTP.Listen.String())
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	s.httpAt = l.Addr().(*net.TCPAddr).AddrPort()
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("HTTP ended", "error", err)
		}
	}()
	return nil
}
