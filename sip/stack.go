package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// Stack is one SIP user agent: its listeners, its registrar and its dialogs.
type Stack struct {
	opt       Options
	log       *slog.Logger
	obs       Observer
	uas       []*sipgo.UserAgent
	auth      *authenticator
	reg       *registrar
	subs      *subscriptions
	access    atomic.Pointer[accessTable]
	trunks    trunkStates
	resolver  *resolver
	stir      *stir
	flood     *flood
	traces    *traces
	peers     *peers
	hep       *hepExport // nil: no copies are sent
	admission *admission
	fates     *fates
	tagKey    [16]byte

	binds       []*bind
	streams     *streams
	client      *tlsFile   // what outgoing TLS connections show and trust
	tls         []*tlsFile // all, with those of the listeners
	parser      *gosip.Parser
	streamFault *sampler
	// lookup resolves names; family is "ip4" or "ip6".
	lookup    func(ctx context.Context, family, host string) ([]netip.Addr, error)
	closers   []func() error
	wg        sync.WaitGroup
	closed    chan struct{}
	closeOnce sync.Once

	transactions *transactions
	methods      map[gosip.RequestMethod]handler
	crew         crew

	// gate is held for reading while a request is handed to sipgo or a goroutine
	// begins; Close takes it once to keep out what comes later.
	gate sync.RWMutex

	pending atomic.Int64
	calls   atomic.Int64
	drain   atomic.Bool

	mu        sync.Mutex
	legs      map[dialogID]*Leg
	dialogs   map[string]int              // legs by Call-ID
	abandoned map[string]*abandonedInvite // by branch
	refused   map[string]*gosip.Request   // by branch: ACKs of refused INVITEs
	sending   int                         // requests in the background
	settled   chan struct{}               // closed when there are none; nil when nobody waits for that
}

type dialogID struct{ callID, localTag, remoteTag string }

// Open starts the listeners and returns once they receive. On an error nothing
// is left open.
func Open(opt Options) (*Stack, error) {
	opt.defaults()
	s := &Stack{
		opt: opt, log: opt.Logger, obs: opt.Observer,
		closed:    make(chan struct{}),
		legs:      make(map[dialogID]*Leg),
		dialogs:   make(map[string]int),
		abandoned: make(map[string]*abandonedInvite),
	}
	if _, err := rand.Read(s.tagKey[:]); err != nil {
		return nil, fmt.Errorf("read random key: %w", err)
	}
	s.transactions, s.methods, s.crew.jobs = newTransactions(), s.handlers(), make(chan job)
	s.parser, s.streamFault = gosip.NewParser(), newSampler(sampleEvery)
	s.lookup = net.DefaultResolver.LookupNetIP
	s.streams = newStreams(s)
	var err error
	if s.stir, err = newSTIR(opt.STIR); err != nil {
		return nil, err
	}
	s.traces, s.peers = newTraces(opt.TraceCalls), newPeers()
	s.flood = newFlood(opt.MaxSourceRate)
	s.fates = newFates(opt.MaxCalls)
	s.admission = newAdmission(opt.MaxDelay, delayObserver(opt.Observer))
	s.auth = newAuthenticator(opt.Realm, opt.NonceTTL)
	s.reg = newRegistrar(s)
	s.subs = newSubscriptions(s)
	s.resolver = newResolver(s)
	s.SetAccess(opt.Access)
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	s.openTrunks()
	return s, nil
}

func (s *Stack) open() error {
	ua, err := s.newUA()
	if err != nil {
		return err
	}
	if len(s.opt.Listen) == 0 {
		return errors.New("no SIP listener configured")
	}
	if err := s.tlsFiles(); err != nil {
		return err
	}
	if s.hep, err = s.openHEP(s.opt.HEP); err != nil {
		return fmt.Errorf("open HEP export: %w", err)
	}
	// All sockets first: a phone that registers again after a restart sends at
	// once, and what serves it looks through all listeners.
	var starts []func()
	for _, l := range s.opt.Listen {
		start, err := s.listen(ua, l)
		if err != nil {
			return err
		}
		starts = append(starts, start)
	}
	s.wg.Go(func() { _ = ua.TransportLayer().ServeTCP(s.streams.feed(carrierTCP)) })
	s.wg.Go(func() { _ = ua.TransportLayer().ServeTLS(s.streams.feed(carrierTLS)) })
	s.restore()
	for _, start := range starts {
		start()
	}
	if len(s.tls) > 0 {
		s.wg.Go(s.watchCertificates)
	}
	return nil
}

// newUA makes one sipgo with its own client transactions and connections. The first serves the streams and the first
// UDP listener, each further UDP listener has its own: sipgo would send by whichever has last heard of a peer.
func (s *Stack) newUA() (*sipgo.UserAgent, error) {
	quiet := slog.New(&libraryLog{s.log.Handler()})
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent(s.opt.UserAgent),
		sipgo.WithUserAgentTransportLayerOptions(
			gosip.WithTransportLayerLogger(quiet),
			gosip.WithTransportLayerTransports(streamTransports()),
		),
		sipgo.WithUserAgentTransactionLayerOptions(
			gosip.WithTransactionLayerLogger(quiet),
			gosip.WithTransactionLayerUnhandledResponseHandler(s.strayResponse),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("create user agent: %w", err)
	}
	s.uas = append(s.uas, ua)
	return ua, nil
}

// uaFor is the sipgo whose listener a request leaves by.
func (s *Stack) uaFor(req *gosip.Request) *sipgo.UserAgent {
	if b := s.bindOf(req); b.ua != nil {
		return b.ua
	}
	return s.uas[0]
}

// restore takes the registrations of the last run over and keeps those of this one.
func (s *Stack) restore() {
	if s.reg.file == "" {
		return
	}
	users := s.reg.restore()
	s.wg.Go(s.reg.keepSaved)
	s.wg.Go(func() {
		for _, u := range users {
			s.reg.tell(u)
		}
	})
}

// supported are the extensions that a peer may require of us in a call.
const supported = "100rel, timer, replaces, norefersub"

// Addr is the bound address of the n-th listener in Options.Listen; it tells
// which port the kernel chose.
func (s *Stack) Addr(n int) netip.AddrPort { return s.binds[n].local }

// Addrs are the bound addresses of all listeners, in the order of Options.Listen.
func (s *Stack) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, b := range s.binds {
		out = append(out, b.local)
	}
	return out
}

// SetAccess replaces who may call and register. Dialogs and registrations of
// accounts that are still there stay; the bindings of removed accounts go.
func (s *Stack) SetAccess(a Access) {
	s.access.Store(newAccessTable(a))
	s.peers.forget()
	s.setTrunks(s.access.Load().trunks)
	s.reg.keepOnly(s.access.Load().accounts)
	s.subs.keepOnly(s.access.Load().accounts)
}

// Drain makes the stack answer new calls with 503 while dialogs go on, takes back
// its own registrations with trunks, and ends subscriptions.
func (s *Stack) Drain() {
	s.drain.Store(true)
	s.subs.endAll("deactivated")
	s.leaveTrunks()
}

// Calls is the number of INVITE dialogs in being, incoming and outgoing.
func (s *Stack) Calls() int { return int(s.calls.Load()) }

// Close ends everything at once: no BYE is sent. Hang up the legs first for a
// clean end. It waits until the stack's goroutines are gone.
func (s *Stack) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.gate.Lock()
		close(s.closed)
		s.gate.Unlock()
		s.reg.close()
		s.subs.close()
		for _, c := range s.closers {
			err = errors.Join(err, c())
		}
		s.streams.close()
		for _, l := range s.allLegs() {
			l.finish(End{Cause: EndClosed})
		}
		s.transactions.close()
		s.wg.Wait()
		for _, ua := range s.uas {
			err = errors.Join(err, ua.Close())
		}
	})
	return err
}

func (s *Stack) allLegs() []*Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	legs := make([]*Leg, 0, len(s.legs))
	for _, l := range s.legs {
		legs = append(legs, l)
	}
	return legs
}

// addLeg enters a leg; false when its dialog is there already.
func (s *Stack) addLeg(l *Leg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.legs[l.id] != nil {
		return false
	}
	s.legs[l.id] = l
	s.dialogs[l.id.callID]++
	s.traces.keep(l.id.callID)
	s.calls.Add(1)
	return true
}

func (s *Stack) dropLeg(l *Leg) {
	s.mu.Lock()
	had := s.legs[l.id] == l
	if had {
		delete(s.legs, l.id)
		if s.dialogs[l.id.callID]--; s.dialogs[l.id.callID] == 0 {
			delete(s.dialogs, l.id.callID)
		}
	}
	s.mu.Unlock()
	if had {
		s.calls.Add(-1)
		if l.release != nil {
			l.release()
		}
	}
}

func (s *Stack) findLeg(req *gosip.Request) *Leg {
	to, _ := req.To().Params.Get("tag")
	from, _ := req.From().Params.Get("tag")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs[dialogID{string(*req.CallID()), to, from}]
}
