// Package softphone is a telephone in software: it registers, rings, calls,
// speaks and listens with real SIP and real RTP. The demo's callers and agents
// are softphones, and so are the test calls of benchmarks.
package softphone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"hotline/media"
	"hotline/sip"
)

// Options describe a phone.
type Options struct {
	// Server is the SIP URI of the hotline, "sip:127.0.0.1:5060" (with
	// ";transport=tcp" for TCP).
	Server string
	// Listen is the phone's own address; port 0 lets the kernel choose.
	Listen netip.AddrPort
	// Network is "udp" (default) or "tcp".
	Network string
	// Credentials to register and to call with; zero for a caller on a trunk.
	Credentials sip.Credentials
	// Codecs in order of preference; empty means A-law, then µ-law.
	Codecs []media.Codec
	// SRTP says how sound is encrypted; keys go by any transport, for a test phone has no secrets.
	SRTP media.SRTP
	// Ring is called on a goroutine of its own for each incoming call. Nil
	// refuses with 480.
	Ring func(*Ringing)
	// Early, if not nil, gets the sound of a call that is dialled as soon as the other side is heard
	// before it answers.
	Early func(*media.Leg)
	// Reports is the mean time between RTCP reports; 0 is the media engine's.
	Reports time.Duration
	// Linger is how long the sound of a call stays open after its end, for the peer's
	// last report; 0 ends it at once.
	Linger time.Duration
	Logger *slog.Logger
}

// Phone is one softphone. Its methods may be called from any goroutine.
type Phone struct {
	opt    Options
	stack  *sip.Stack
	engine *media.Engine
	wg     sync.WaitGroup
	stop   context.CancelFunc
	ctx    context.Context
}

// Open starts a phone; Register makes it reachable.
func Open(o Options) (*Phone, error) {
	if o.Network == "" {
		o.Network = "udp"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Phone{opt: o}
	p.ctx, p.stop = context.WithCancel(context.Background())
	var err error
	p.engine, err = media.Open(media.Config{Bind: o.Listen.Addr(), Codecs: o.Codecs, ReportInterval: o.Reports, Logger: o.Logger})
	if err != nil {
		return nil, fmt.Errorf("phone %s: %w", o.Credentials.User, err)
	}
	handlers := sip.Handlers{}
	if o.Ring != nil {
		handlers.Invite = p.incoming
	}
	p.stack, err = sip.Open(sip.Options{
		Listen:    []sip.Listener{{Network: o.Network, Addr: o.Listen}},
		UserAgent: "hotline-softphone", Handlers: handlers, Logger: o.Logger,
		// A phone takes calls from anybody who finds it.
		Access: sip.Access{Trunks: []sip.Trunk{{Name: "any", Addresses: []netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}}},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("phone %s: %w", o.Credentials.User, err), p.engine.Close())
	}
	return p, nil
}

// Addr is the phone's SIP address.
func (p *Phone) Addr() netip.AddrPort { return p.stack.Addr(0) }

// Register registers the phone for life and keeps it registered until Close or
// Unregister. It blocks until the server has answered.
func (p *Phone) Register(ctx context.Context, life time.Duration) error {
	granted, err := p.stack.Register(ctx, p.opt.Server, p.opt.Credentials, life)
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		for {
			select {
			case <-time.After(max(granted/2, time.Second)):
			case <-p.ctx.Done():
				return
			}
			if g, err := p.stack.Register(p.ctx, p.opt.Server, p.opt.Credentials, life); err == nil {
				granted = g
			} else {
				granted = 2 * time.Second // the server restarts: try again soon
			}
		}
	})
	return nil
}

// Unregister removes the phone's binding and stops refreshing it.
func (p *Phone) Unregister(ctx context.Context) error {
	p.stop()
	p.wg.Wait()
	_, err := p.stack.Register(ctx, p.opt.Server, p.opt.Credentials, 0)
	return err
}

// Settle waits until the BYEs and CANCELs under way are answered, or ctx ends.
func (p *Phone) Settle(ctx context.Context) { p.stack.Settle(ctx) }

// Close ends the phone at once; its calls end without BYE.
func (p *Phone) Close() error {
	p.stop()
	err := errors.Join(p.stack.Close(), p.engine.Close())
	p.wg.Wait()
	return err
}

// Call is a call that was answered.
type Call struct {
	leg    *sip.Leg
	server string
	linger time.Duration
	Media  *media.Leg
	// Rang and Answered are how long after the INVITE of a call that was dialled the first
	// 18x and the 200 came; Rang is 0 when nothing rang.
	Rang, Answered time.Duration
}

// Done is closed when either side has hung up.
func (c *Call) Done() <-chan struct{} { return c.leg.Done() }

// Confirmed is closed when the other side has acknowledged the answer.
func (c *Call) Confirmed() <-chan struct{} { return c.leg.Confirmed() }

// End tells how the call ended.
func (c *Call) End() sip.End { return c.leg.End() }

// Hangup ends the call.
func (c *Call) Hangup() {
	c.leg.Hangup()
	if c.linger == 0 {
		_ = c.Media.Close()
	}
}

// TakeTransfers lets the server send this side elsewhere (REFER): take is told where,
// and returns the status of the call there.
func (c *Call) TakeTransfers(take func(to string) int) {
	c.leg.OnRefer(func(r *sip.Referral) {
		r.Accept()
		r.Done(take(r.To), "Done")
	})
}

// Transfer asks the server to bring the other side to whom is dialled by to, and blocks
// until it says how that came out: a SIP status. The call is still there to hang up.
func (c *Call) Transfer(ctx context.Context, to string) (int, error) {
	return c.leg.Refer(ctx, "sip:"+to+"@"+c.server)
}

// TransferTo is an attended transfer: the other sides of c and consult are to talk with
// each other.
func (c *Call) TransferTo(ctx context.Context, consult *Call) (int, error) {
	return c.leg.Refer(ctx, consult.leg.ReplacesURI())
}

func (p *Phone) newCall(leg *sip.Leg, m *media.Leg) *Call {
	leg.OnReoffer(func(offer []byte) ([]byte, int) {
		if len(offer) == 0 {
			sdp, err := m.Offer()
			if err != nil {
				return nil, 488
			}
			return sdp, 0
		}
		sdp, err := m.Answer(offer)
		if err != nil {
			return nil, 488
		}
		return sdp, 0
	})
	p.wg.Go(func() {
		<-leg.Done()
		select {
		case <-time.After(p.opt.Linger):
		case <-p.ctx.Done():
		}
		_ = m.Close()
	})
	return &Call{leg: leg, server: strings.TrimPrefix(p.opt.Server, "sip:"), linger: p.opt.Linger, Media: m}
}

// Dial calls a number with the caller's number as From, and blocks until the
// call is answered, refused, or ctx ends (then it is cancelled).
func (p *Phone) Dial(ctx context.Context, number, from, name string) (*Call, error) {
	return p.dial(ctx, number, from, name, func(*sip.Outgoing) {})
}

// TakeOver goes on with a call of another phone of the same agent (RFC 3891).
func (p *Phone) TakeOver(ctx context.Context, c *Call) (*Call, error) {
	return p.dial(ctx, "take-over", p.opt.Credentials.User, "", func(o *sip.Outgoing) { o.Replaces = c.leg })
}

// Join takes part in a call that another phone has with the server (RFC 3911).
func (p *Phone) Join(ctx context.Context, c *Call) (*Call, error) {
	return p.dial(ctx, "join", p.opt.Credentials.User, "", func(o *sip.Outgoing) { o.Joins = c.leg })
}

func (p *Phone) dial(ctx context.Context, number, from, name string, with func(*sip.Outgoing)) (*Call, error) {
	m, err := p.engine.NewLeg(from)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", number, err)
	}
	m.Protect(media.Protection{Policy: p.opt.SRTP, Private: true})
	offer, err := m.Offer()
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	to, err := p.stack.ContactTo("sip:" + number + "@" + p.opt.Server[len("sip:"):])
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	o := sip.Outgoing{Contacts: []sip.Contact{to}, FromUser: from, FromName: name, ToUser: number, Offer: offer, Unreachable: -1}
	with(&o)
	if p.opt.Credentials.User != "" {
		o.Credentials = &p.opt.Credentials
	}
	began := time.Now()
	d := p.stack.Dial(o)
	rang, err := p.decided(ctx, d, m)
	if err != nil {
		if leg := d.Cancel(); leg != nil {
			leg.Hangup()
		}
		return nil, errors.Join(fmt.Errorf("dial %s: %w", number, err), m.Close())
	}
	answered := time.Since(began)
	out := d.Outcome()
	if out.Leg == nil {
		return nil, errors.Join(&RefusedError{Code: out.Code, Cause: string(out.Cause)}, m.Close())
	}
	if err := m.SetAnswerOf(out.From.Dialog, out.Answer); err != nil {
		out.Leg.Hangup()
		return nil, errors.Join(fmt.Errorf("dial %s: %w", number, err), m.Close())
	}
	c := p.newCall(out.Leg, m)
	c.Answered = answered
	if !rang.IsZero() {
		c.Rang = rang.Sub(began)
	}
	return c, nil
}

// decided waits until it is known how a call came out, and hears what comes before; rang is when it
// first rang, if it did.
func (p *Phone) decided(ctx context.Context, d *sip.Dialing, m *media.Leg) (rang time.Time, err error) {
	ringing, early := d.Ringing(), d.Early()
	for {
		select {
		case <-early:
			early = nil
			if err := m.SetAnswerOf(d.EarlyFrom().Dialog, d.EarlySDP()); err == nil && p.opt.Early != nil {
				p.opt.Early(m)
			}
		case <-ringing:
			rang, ringing = time.Now(), nil
		case <-d.Done():
			return rang, nil
		case <-ctx.Done():
			return rang, ctx.Err()
		}
	}
}

// RefusedError says that nobody answered.
type RefusedError struct {
	Code  int // final SIP status, 0 when none came
	Cause string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("call not answered: %s (SIP status %d)", e.Cause, e.Code)
}

// Ringing is an incoming call.
type Ringing struct {
	phone *Phone
	leg   *sip.Leg
	early *media.Leg
	// From is the caller's user part and name as shown.
	Number, Name string
}

func (p *Phone) incoming(leg *sip.Leg) {
	in := leg.Incoming()
	leg.Ring()
	p.opt.Ring(&Ringing{phone: p, leg: leg, Number: in.Caller.Number, Name: in.Caller.Name})
}

// Gone is closed when the caller has given up.
func (r *Ringing) Gone() <-chan struct{} { return r.leg.Done() }

// Refuse refuses with a SIP status (486 busy, 603 decline).
func (r *Ringing) Refuse(code int) { _ = r.leg.Reject(code, "Refused") }

// Sound lets the caller hear what is sent on the leg before the call is answered, as a
// network's ring-back (183 with SDP).
func (r *Ringing) Sound() (*media.Leg, error) {
	m, sdp, err := r.open()
	if err != nil {
		return nil, err
	}
	r.early = m
	r.leg.Progress(sdp)
	return m, nil
}

func (r *Ringing) open() (*media.Leg, []byte, error) {
	m := r.early
	if m == nil {
		var err error
		if m, err = r.phone.engine.NewLeg(r.leg.CallID()); err != nil {
			_ = r.leg.Reject(503, "No Media")
			return nil, nil, err
		}
		m.Protect(media.Protection{Policy: r.phone.opt.SRTP, Private: true})
	}
	sdp, err := m.Answer(r.leg.Incoming().Offer)
	if err != nil {
		_ = r.leg.Reject(488, "Not Acceptable Here")
		return nil, nil, errors.Join(err, m.Close())
	}
	return m, sdp, nil
}

// Answer picks up.
func (r *Ringing) Answer() (*Call, error) {
	m, sdp, err := r.open()
	if err != nil {
		return nil, err
	}
	if err := r.leg.Answer(sdp); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return r.phone.newCall(r.leg, m), nil
}
