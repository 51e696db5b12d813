package sip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// Listener is one address the stack receives on.
type Listener struct {
	// Network is "udp" or "tcp".
	Network string
	// Addr is the concrete address to bind; port 0 lets the kernel choose.
	// 0.0.0.0 and :: are refused: answers and requests must leave from the
	// address the peer knows.
	Addr netip.AddrPort
	// Advertise is the host, or host:port, written into Via and Contact when
	// it differs from Addr (a server behind NAT). Empty means Addr.
	Advertise string
	// PacketConn, when set, is served in place of a new UDP socket: a test
	// puts a network of its own there. Addr is not used then.
	PacketConn net.PacketConn
}

// Handlers are what a stack calls. They run on goroutines of the stack. Nil
// handlers refuse.
type Handlers struct {
	// Invite receives every admitted call, and may block. The leg must be
	// answered, rejected or hung up by the handler or by whoever it hands the
	// leg to.
	Invite func(*Leg)
	// Registered is told the number of contacts an account has after each
	// change; 0 means the account can't be rung any more. It is called once at
	// a time, and the last call tells the latest number; it must not block for
	// long, registrations wait for it.
	Registered func(user string, contacts int)
}

// Observer counts what the stack does. Methods must not block.
type Observer interface {
	// ServerRequest is a request received and the final status sent for it.
	ServerRequest(method string, code int)
	// ClientRequest is a request sent and the final status received for it;
	// code 0 means none came (time-out, transport error, given up).
	ClientRequest(method string, code int)
	// Refused is a request turned away before it became work, by reason:
	// unknown_source, bad_credentials, stale_nonce, replayed_nonce, overload,
	// malformed, bad_version.
	Refused(reason string)
}

// Options configure a Stack. The zero value of each limit is the default in its
// comment.
type Options struct {
	Listen    []Listener
	UserAgent string // "hotline"
	Realm     string // digest realm, "hotline"
	Handlers  Handlers
	Access    Access

	MaxCalls       int           // INVITE dialogs at once, then 503; 2000
	MaxPending     int           // requests being worked on at once, then 503; 4000
	MaxConnections int           // TCP connections at once; 1024
	MaxSources     int           // UDP peers remembered at once; 8192
	IdleTimeout    time.Duration // silent TCP connections are closed; 1 h
	RetryAfter     time.Duration // told with 503; 2 s, negative for none
	Unreachable    time.Duration // no provisional answer from an agent's phone; 3 s

	MinExpires  time.Duration // shortest registration; 60 s
	MaxExpires  time.Duration // longest registration; 1 h
	MaxContacts int           // contacts per account, the oldest gives way; 4
	NonceTTL    time.Duration // life of a digest nonce; 5 min

	Logger   *slog.Logger
	Observer Observer
}

func (o *Options) defaults() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.MaxCalls, 2000)
	def(&o.MaxPending, 4000)
	def(&o.MaxConnections, 1024)
	def(&o.MaxSources, 8192)
	def(&o.MaxContacts, 4)
	dur(&o.IdleTimeout, time.Hour)
	dur(&o.RetryAfter, 2*time.Second)
	dur(&o.Unreachable, 3*time.Second)
	dur(&o.MinExpires, 60*time.Second)
	dur(&o.MaxExpires, time.Hour)
	dur(&o.NonceTTL, 5*time.Minute)
	if o.UserAgent == "" {
		o.UserAgent = "hotline"
	}
	if o.Realm == "" {
		o.Realm = "hotline"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
}

type noObserver struct{}

func (noObserver) ServerRequest(string, int) {}
func (noObserver) ClientRequest(string, int) {}
func (noObserver) Refused(string)            {}

// Stack is one SIP user agent: its listeners, its registrar and its dialogs.
type Stack struct {
	opt    Options
	log    *slog.Logger
	obs    Observer
	ua     *sipgo.UserAgent
	auth   *authenticator
	reg    *registrar
	access atomic.Pointer[accessTable]
	tagKey [16]byte

	binds     []*bind
	closers   []func() error
	wg        sync.WaitGroup
	closed    chan struct{}
	closeOnce sync.Once

	// gate is held for reading while a request is handed to sipgo or a goroutine
	// begins; Close takes it once to keep out what comes later.
	gate sync.RWMutex

	pending atomic.Int64
	calls   atomic.Int64
	drain   atomic.Bool

	mu        sync.Mutex
	legs      map[dialogID]*Leg
	abandoned map[string]*abandonedInvite // by branch
	sending   int                         // requests in the background
	settled   chan struct{}               // closed when there are none; nil when nobody waits for that
}

// bind is a listener that is up: where it listens and what it calls itself.
type bind struct {
	network string // "UDP", "TCP"
	local   netip.AddrPort
	host    string // advertised
	port    int
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
		abandoned: make(map[string]*abandonedInvite),
	}
	if _, err := rand.Read(s.tagKey[:]); err != nil {
		return nil, fmt.Errorf("read random key: %w", err)
	}
	s.auth = newAuthenticator(opt.Realm, opt.NonceTTL)
	s.reg = newRegistrar(s)
	s.SetAccess(opt.Access)
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stack) open() error {
	quiet := slog.New(&libraryLog{s.log.Handler()})
	tcp := &gosip.TransportTCP{ReadTimeout: s.opt.IdleTimeout, WriteTimeout: writeWithin,
		DialerCreate: func(local net.Addr) net.Dialer {
			return net.Dialer{Timeout: connectWithin, LocalAddr: local}
		}}
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent(s.opt.UserAgent),
		sipgo.WithUserAgentTransportLayerOptions(
			gosip.WithTransportLayerLogger(quiet),
			gosip.WithTransportLayerTransports(gosip.TransportsConfig{TCP: tcp}),
		),
		sipgo.WithUserAgentTransactionLayerOptions(
			gosip.WithTransactionLayerLogger(quiet),
			gosip.WithTransactionLayerUnhandledResponseHandler(s.strayResponse),
		),
	)
	if err != nil {
		return fmt.Errorf("create user agent: %w", err)
	}
	s.ua = ua
	srv, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		return fmt.Errorf("create server: %w", err)
	}
	s.routes(srv)
	if len(s.opt.Listen) == 0 {
		return errors.New("no SIP listener configured")
	}
	// All sockets first: a phone that registers again after a restart sends at
	// once, and what serves it looks through all listeners.
	var starts []func()
	for _, l := range s.opt.Listen {
		start, err := s.listen(srv, l)
		if err != nil {
			return err
		}
		starts = append(starts, start)
	}
	for _, start := range starts {
		start()
	}
	return nil
}

// routes registers the handlers; sipgo keeps them in a plain map, so all are
// there before the first listener receives.
func (s *Stack) routes(srv *sipgo.Server) {
	handle := func(m gosip.RequestMethod, h func(*gosip.Request, gosip.ServerTransaction)) {
		srv.OnRequest(m, func(req *gosip.Request, tx gosip.ServerTransaction) {
			if !s.begin(req, tx) {
				return
			}
			defer s.pending.Add(-1)
			if s.valid(req, tx) {
				h(req, tx)
			}
		})
	}
	handle(gosip.INVITE, s.handleInvite)
	handle(gosip.ACK, s.handleAck)
	handle(gosip.BYE, s.handleBye)
	handle(gosip.CANCEL, s.handleCancel)
	handle(gosip.OPTIONS, s.handleOptions)
	handle(gosip.REGISTER, s.handleRegister)
	handle(gosip.INFO, s.handleInfo)
	srv.OnNoRoute(func(req *gosip.Request, tx gosip.ServerTransaction) {
		s.refuse(req, tx, 405, "Method Not Allowed", gosip.NewHeader("Allow", allowed))
	})
}

const (
	socketBuffer = 4 << 20
	// A peer that lets a connection or a write hang is given up after these;
	// Close may wait for one of them.
	connectWithin = 5 * time.Second
	writeWithin   = 10 * time.Second
)

const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO"

// listen binds one listener; start makes it receive.
func (s *Stack) listen(srv *sipgo.Server, l Listener) (start func(), err error) {
	network := strings.ToLower(l.Network)
	if l.PacketConn == nil && (!l.Addr.IsValid() || l.Addr.Addr().IsUnspecified()) {
		return nil, fmt.Errorf("listen %s %s: a concrete address is needed, not a wildcard; name the address the peers know", network, l.Addr)
	}
	switch network {
	case "udp":
		pc := l.PacketConn
		if pc == nil {
			c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr))
			if err != nil {
				return nil, fmt.Errorf("listen udp %s: %w", l.Addr, err)
			}
			// A burst of calls must not overflow the kernel's default of 208 KiB;
			// the kernel may grant less.
			_ = c.SetReadBuffer(socketBuffer)
			_ = c.SetWriteBuffer(socketBuffer)
			pc = c
		}
		b, err := newBind("UDP", pc.LocalAddr(), l.Advertise)
		if err != nil {
			return nil, err
		}
		s.binds = append(s.binds, b)
		s.closers = append(s.closers, pc.Close)
		return newUDPFront(s, pc, srv.ServeUDP).start, nil
	case "tcp":
		tl, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(l.Addr))
		if err != nil {
			return nil, fmt.Errorf("listen tcp %s: %w", l.Addr, err)
		}
		b, err := newBind("TCP", tl.Addr(), l.Advertise)
		if err != nil {
			return nil, err
		}
		s.binds = append(s.binds, b)
		front := newTCPFront(s, tl)
		s.closers = append(s.closers, front.Close)
		return func() { s.wg.Go(func() { _ = srv.ServeTCP(front) }) }, nil
	default:
		return nil, fmt.Errorf("listen %q %s: only udp and tcp are supported", l.Network, l.Addr)
	}
}

func newBind(network string, local net.Addr, advertise string) (*bind, error) {
	ap, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return nil, fmt.Errorf("local address %s: %w", local, err)
	}
	b := &bind{network: network, local: ap, host: ap.Addr().String(), port: int(ap.Port())}
	if advertise != "" {
		host, port, err := gosip.ParseAddr(advertise)
		if err != nil {
			host, port = advertise, b.port
		}
		b.host, b.port = host, port
	}
	return b, nil
}

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
	s.reg.keepOnly(s.access.Load().accounts)
}

// Drain makes the stack answer new calls with 503 while dialogs go on.
func (s *Stack) Drain() { s.drain.Store(true) }

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
		for _, c := range s.closers {
			err = errors.Join(err, c())
		}
		for _, l := range s.allLegs() {
			l.finish(End{Cause: EndClosed})
		}
		s.wg.Wait()
		// Last: a request still being handed over would find no connection in
		// sipgo's pool and open a socket for its answer.
		if s.ua != nil {
			err = errors.Join(err, s.ua.Close())
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
	s.calls.Add(1)
	return true
}

func (s *Stack) dropLeg(l *Leg) {
	s.mu.Lock()
	had := s.legs[l.id] == l
	if had {
		delete(s.legs, l.id)
	}
	s.mu.Unlock()
	if had {
		s.calls.Add(-1)
	}
}

func (s *Stack) findLeg(req *gosip.Request) *Leg {
	to, _ := req.To().Params.Get("tag")
	from, _ := req.From().Params.Get("tag")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs[dialogID{string(*req.CallID()), to, from}]
}

// bindFor finds the listener a request came in by, so that what follows leaves
// by the same one.
func (s *Stack) bindFor(network string, tx gosip.ServerTransaction) *bind {
	if c, ok := tx.(interface{ Connection() gosip.Connection }); ok && c.Connection() != nil {
		local := c.Connection().LocalAddr().String()
		for _, b := range s.binds {
			if b.network == network && b.local.String() == local {
				return b
			}
		}
	}
	return s.bindOf(network)
}

// bindOf is the first listener of a network, or the very first one.
func (s *Stack) bindOf(network string) *bind {
	for _, b := range s.binds {
		if b.network == network {
			return b
		}
	}
	return s.binds[0]
}

// Settle waits until the BYEs and CANCELs under way are answered, or ctx ends.
// Call it between hanging up the last leg and Close.
func (s *Stack) Settle(ctx context.Context) {
	s.mu.Lock()
	if s.sending == 0 {
		s.mu.Unlock()
		return
	}
	if s.settled == nil {
		s.settled = make(chan struct{})
	}
	settled := s.settled
	s.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// count changes the number of requests that Settle waits for.
func (s *Stack) count(d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending += d; s.sending == 0 && s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}

// transact hands a request to sipgo. After Close it refuses: sipgo would open a
// socket of its own for it that nobody closes.
func (s *Stack) transact(ctx context.Context, req *gosip.Request) (*gosip.ClientTx, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return nil, net.ErrClosed
	}
	return s.ua.TransactionLayer().Request(ctx, req)
}

// write sends a request that has no transaction of its own: the ACK to a 2xx.
func (s *Stack) write(req *gosip.Request) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return net.ErrClosed
	}
	return s.ua.TransportLayer().WriteMsg(req)
}

// background sends a request and forgets its answer.
func (s *Stack) background(req *gosip.Request) {
	s.count(1)
	ok := s.spawn(func() {
		defer s.count(-1)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if _, err := s.send(ctx, req); err != nil {
			s.log.Debug("request not answered", "method", req.Method, "sip_call_id", req.CallID().Value(), "error", err)
		}
	})
	if !ok {
		s.count(-1)
	}
}

// spawn runs f on a goroutine that Close waits for; false once the stack is
// closed, then f doesn't run.
func (s *Stack) spawn(f func()) bool {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return false
	}
	s.wg.Go(f)
	return true
}

// send runs one non-INVITE client transaction to its final answer. It returns
// nil and an error when none came before ctx or Timer F ended it.
func (s *Stack) send(ctx context.Context, req *gosip.Request) (*gosip.Response, error) {
	tx, err := s.transact(ctx, req)
	if err != nil {
		s.obs.ClientRequest(string(req.Method), 0)
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				continue
			}
			s.obs.ClientRequest(string(req.Method), res.StatusCode)
			return res, nil
		case <-tx.Done():
			s.obs.ClientRequest(string(req.Method), 0)
			return nil, fmt.Errorf("send %s: %w", req.Method, tx.Err())
		case <-ctx.Done():
			s.obs.ClientRequest(string(req.Method), 0)
			return nil, fmt.Errorf("send %s: %w", req.Method, ctx.Err())
		case <-s.closed:
			return nil, fmt.Errorf("send %s: %w", req.Method, net.ErrClosed)
		}
	}
}
