package sip

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Listener is one address the stack receives on.
type Listener struct {
	// Network is "udp", "tcp", "tls", "ws" or "wss" (RFC 7118).
	Network string
	// Addr is the concrete address to bind; port 0 lets the kernel choose.
	// 0.0.0.0 and :: are refused: answers and requests must leave from the
	// address the peer knows.
	Addr netip.AddrPort
	// Advertise is the host, or host:port, written into Via and Contact when
	// it differs from Addr (a server behind NAT). Empty means Addr.
	Advertise string
	// TLS names the files of a "tls" or "wss" listener.
	TLS TLSFiles
	// Origins are the pages that browsers may open a "ws" or "wss" connection
	// from, beside those of the same host: host patterns such as
	// desk.example.com or *.example.com, or with a scheme before.
	Origins []string
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
	// Watch says which account an agent means who wants to be told of a user name or
	// an extension; false refuses with 404. It must not block.
	Watch func(agent, dialled string, event Event) (account string, ok bool)
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
	// malformed, bad_version, rate (too many datagrams from one source), trunk_limit, connections (too many from one source),
	// handshake (no TLS or WebSocket came of it), origin, guessing (too many wrong
	// passwords), subscriptions (too many).
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
	TLS       TLSFiles // what connections of ours show and trust; none and the system's

	MaxCalls   int // INVITE dialogs at once, then 503; 2000
	MaxPending int // requests being worked on at once, then 503; 4000
	// MaxConnections is how many connections that came there are at once, trunks' aside. Beyond it the oldest
	// of a peer who hasn't shown who he is gives way to the next; 1024.
	MaxConnections int
	MaxPerSource   int           // of these from one IPv4 address or IPv6 /64, trunks aside; a quarter
	IdleTimeout    time.Duration // silent connections are closed; 1 h
	RetryAfter     time.Duration // told with 503, give or take: half to two and a half times this; 2 s, negative for none
	// MaxDelay is how long work may wait for a processor, for a while, before new work
	// is refused; 20 ms, negative refuses none.
	MaxDelay time.Duration
	// FavouredCallers is how many callers are remembered for [Leg.Favour]; 10000, negative
	// for none.
	FavouredCallers int
	// MaxSourceRate is how many datagrams a second are taken from one IPv4 address or
	// IPv6 /64 that isn't a trunk's, and 50 times as many from where somebody has shown a
	// password and from where we send requests to; 200, negative for any number.
	MaxSourceRate int
	Unreachable   time.Duration // no provisional answer from an agent's phone; 3 s

	TraceCalls int // dialogs whose signalling is remembered for Trace; 500, negative for none
	HEP        HEP // copies of all messages to a capture server

	SessionExpires time.Duration // session timer of calls (RFC 4028); 30 min, negative for none
	MinSession     time.Duration // shortest session timer taken; 90 s

	MinExpires time.Duration // shortest registration; 60 s
	MaxExpires time.Duration // longest registration; 1 h
	// Registrations is the file that the bindings of phones are kept in over a
	// restart; "" keeps none.
	Registrations string
	MaxContacts   int           // contacts per account, the oldest gives way; 4
	NonceTTL      time.Duration // life of a digest nonce; 5 min

	MaxSubscriptions int           // at once, then 503; 10000
	MaxPerAgent      int           // of these of one account, the oldest gives way; 100
	MaxSubscribed    time.Duration // longest subscription; 5 min: they end with the process, and lamps are wrong until a phone refreshes

	// DNS are the name servers for the gateways of trunks, host:port; nil takes
	// the system's.
	DNS []string
	// STIR checks who signed for callers' numbers; nil: nobody does.
	STIR *STIR

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
	def(&o.MaxPerSource, max(1, o.MaxConnections/4))
	def(&o.FavouredCallers, 10000)
	def(&o.MaxContacts, 4)
	def(&o.MaxSubscriptions, 10000)
	def(&o.MaxPerAgent, 100)
	dur(&o.MaxSubscribed, 5*time.Minute)
	dur(&o.IdleTimeout, time.Hour)
	dur(&o.RetryAfter, 2*time.Second)
	dur(&o.MaxDelay, 20*time.Millisecond)
	def(&o.MaxSourceRate, 200)
	def(&o.TraceCalls, 500)
	dur(&o.Unreachable, 3*time.Second)
	dur(&o.SessionExpires, 30*time.Minute)
	dur(&o.MinSession, smallestSession)
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

// DelayObserver is an Observer that also wants to know how long work waits for a
// processor.
type DelayObserver interface {
	// QueueDelay is a sample of that. It must not block.
	QueueDelay(time.Duration)
}

// delayObserver is the way to tell an observer of delays; nil when it has no interest.
func delayObserver(o Observer) func(time.Duration) {
	if d, ok := o.(DelayObserver); ok {
		return d.QueueDelay
	}
	return nil
}

type noObserver struct{}

func (noObserver) ServerRequest(string, int) {}
func (noObserver) ClientRequest(string, int) {}
func (noObserver) Refused(string)            {}
