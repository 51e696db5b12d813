package sip

import (
	"fmt"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// DialCause is why a dialled call has no leg.
type DialCause string

// The causes of an Outcome without a leg.
const (
	DialRefused     DialCause = "refused"     // 603, other 4xx and 6xx, 3xx (not followed)
	DialBusy        DialCause = "busy"        // 486, 600
	DialUnreachable DialCause = "unreachable" // no provisional answer in time, 480, 404, 408, 5xx, transport error
	DialFault       DialCause = "fault"       // 488: the peer can't take our media
	DialCancelled   DialCause = "cancelled"   // we gave up
	DialNoRoute     DialCause = "no_route"    // no such trunk, or it has no gateways
	DialNoCapacity  DialCause = "no_capacity" // the trunk has as many calls as it may
	DialNoOffer     DialCause = "no_offer"    // no gateway was asked: OfferTo made nothing to offer
)

// Outgoing describes a call to be dialled.
type Outgoing struct {
	// Contacts of equal Q in a row are rung together, and the first to answer wins;
	// the next ones when all of these have failed (RFC 3261 16.6). Use
	// [Stack.Contacts] for an account, [ContactTo] for a fixed URI.
	Contacts []Contact
	// FromUser, FromName and FromHost say who calls; ToUser whom.
	FromUser, FromName string
	ToUser             string
	// Private: the caller is to stay unknown (RFC 3323). DialTrunk only.
	Private bool
	// Diversions say whom the call was meant for before, the latest first.
	// DialTrunk only.
	Diversions []Diversion
	// Offer is our SDP.
	Offer []byte
	// OfferTo, if not nil, makes the SDP for a trunk that is tried and for the listener that
	// leads to its gateway, in place of Offer; an error has the next gateway tried. It must
	// not block. A trunk that was tried before may still answer the SDP made for it.
	// DialTrunk only.
	OfferTo func(trunk string, listener int) ([]byte, error)
	// Headers are added as they stand: name, value, name, value...
	Headers []string
	// Replaces is a leg with the same peer whose place the call is to take (RFC
	// 3891); nil for none.
	Replaces *Leg
	// Joins is a leg with the same peer whose talk the call is to join (RFC 3911); nil for
	// none.
	Joins *Leg
	// Reoffer, if not nil, answers offers of the peer's from the beginning; see
	// [Leg.OnReoffer].
	Reoffer func(offer []byte) (answer []byte, refuse int)
	// Credentials answer a 401 or 407; nil answers none.
	Credentials *Credentials
	// Hops is that of the call on whose behalf this one is made: it has one less to go,
	// so that a call that comes back to us by way of others ends some time (RFC 7332). 0:
	// of nobody's, 70.
	Hops int
	// Unreachable is how long to wait for a provisional answer; 0 takes the
	// stack's. A negative value waits as long as RFC 3261 Timer B.
	Unreachable time.Duration
}

// Outcome is how a dialled call came out.
type Outcome struct {
	Leg    *Leg     // the dialog, when it was answered
	Answer []byte   // the peer's SDP
	Offer  []byte   // ours that this answers
	From   Answerer // who answered
	Code   int      // the final status; 0 when none came
	Cause  DialCause
	// Trunk by whose gateway the call was answered, or went last; "" for another call.
	Trunk string
	// RetryAfter is what the final answer asked for; 0 for nothing.
	RetryAfter time.Duration
}

// Dialing is a call being dialled.
type Dialing struct {
	stack *Stack
	opt   Outgoing

	ringing   chan struct{}
	early     chan struct{}
	done      chan struct{}
	ringOnce  sync.Once
	earlyOnce sync.Once

	mu       sync.Mutex
	open     int // branches that ring
	waiting  []*invite
	winner   *invite
	best     Outcome
	out      Outcome
	over     bool
	given    bool // cancelled by the owner
	earlySDP []byte
	// earlyFrom sent it.
	earlyFrom Answerer
	// earlyOffer is ours that earlySDP answers.
	earlyOffer []byte
	trunk      string
	branches   []*invite
	// next begins another branch in place of one that failed; false when there
	// is none. nil: all branches ring together. See hunt.
	next func(Outcome) bool
}

// ContactTo is a contact for a SIP URI ("sip:main@127.0.0.1:5060;transport=tcp").
func (s *Stack) ContactTo(uri string) (Contact, error) {
	var u gosip.Uri
	if err := gosip.ParseUri(uri, &u); err != nil || u.Host == "" {
		return Contact{}, fmt.Errorf("%q is not a SIP URI: use sip:user@host:port", uri)
	}
	network, err := networkOf(u)
	if err != nil {
		return Contact{}, fmt.Errorf("%q: %w", uri, err)
	}
	return Contact{URI: uri, Network: network, uri: u, bind: s.bindTo(network, u.Host)}, nil
}

// Dial rings the contacts and returns at once. The caller must wait for Done, or
// call Cancel; a Leg that came out must be hung up in the end.
func (s *Stack) Dial(o Outgoing) *Dialing {
	if o.Unreachable == 0 {
		o.Unreachable = s.opt.Unreachable
	}
	d := s.newDialing(o)
	if len(o.Contacts) == 0 {
		d.over = true
		d.out = d.best
		close(d.done)
		return d
	}
	for _, c := range o.Contacts {
		b := newInvite(d, c)
		b.req = s.buildInvite(o, c)
		b.req.ReplaceHeader(gosip.NewHeader("Supported", supportedByAgents))
		d.branches = append(d.branches, b)
	}
	d.waiting = d.branches
	d.ringNext()
	return d
}

func (s *Stack) newDialing(o Outgoing) *Dialing {
	return &Dialing{stack: s, opt: o, ringing: make(chan struct{}), early: make(chan struct{}), done: make(chan struct{}),
		best: Outcome{Cause: DialUnreachable}}
}

// Ringing is closed when the first phone rings (180 or 183).
func (d *Dialing) Ringing() <-chan struct{} { return d.ringing }

// Early is closed when a phone has something to hear before it answers (a
// provisional answer with SDP); EarlySDP is that, EarlyOffer our SDP that it answers.
func (d *Dialing) Early() <-chan struct{} { return d.early }

// EarlySDP is the peer's SDP once Early is closed.
func (d *Dialing) EarlySDP() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.earlySDP
}

// EarlyOffer is our SDP that EarlySDP answers.
func (d *Dialing) EarlyOffer() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.earlyOffer
}

func (d *Dialing) hears(sdp, offer []byte, from Answerer) {
	d.earlyOnce.Do(func() {
		d.mu.Lock()
		d.earlySDP, d.earlyOffer, d.earlyFrom = sdp, offer, from
		d.mu.Unlock()
		close(d.early)
	})
}

// Done is closed when the outcome is known.
func (d *Dialing) Done() <-chan struct{} { return d.done }

// Outcome tells how it came out; call it after Done.
func (d *Dialing) Outcome() Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out
}

// Cancel gives up: phones that ring get CANCEL, and if one answers meanwhile it
// gets ACK and BYE. When a leg had come out before, it is returned and remains
// the owner's to hang up.
func (d *Dialing) Cancel() *Leg {
	d.mu.Lock()
	if d.over {
		d.mu.Unlock()
		return d.out.Leg
	}
	d.given = true
	d.mu.Unlock()
	d.finish(Outcome{Cause: DialCancelled})
	d.stopOthers(nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Leg
}

func (d *Dialing) finish(o Outcome) bool {
	d.mu.Lock()
	if d.over {
		d.mu.Unlock()
		return false
	}
	d.over, d.out = true, o
	if d.out.Trunk == "" {
		d.out.Trunk = d.trunk
	}
	d.mu.Unlock()
	close(d.done)
	return true
}

func (d *Dialing) stopOthers(but *invite) {
	d.mu.Lock()
	branches := d.branches
	d.mu.Unlock()
	for _, b := range branches {
		if b != but {
			b.once.Do(func() { close(b.cancel) })
		}
	}
}

// add takes one more branch; false when the call is over.
func (d *Dialing) add(b *invite) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over || d.given {
		return false
	}
	d.branches = append(d.branches, b)
	return true
}

// failed notes the failure of one branch; the best known of all decides.
func (d *Dialing) failed(o Outcome) {
	rank := map[DialCause]int{DialUnreachable: 0, DialFault: 1, DialBusy: 2, DialRefused: 3}
	d.mu.Lock()
	if rank[o.Cause] > rank[d.best.Cause] || d.best.Code == 0 && o.Cause == d.best.Cause {
		d.best = o
	}
	d.mu.Unlock()
	if d.next != nil && d.next(o) {
		return
	}
	d.mu.Lock()
	d.open--
	if o.Code >= 600 {
		d.waiting = nil
	}
	more := d.open == 0 && len(d.waiting) > 0 && !d.over
	last, best := d.open == 0 && !more, d.best
	d.mu.Unlock()
	if more {
		d.ringNext()
	}
	if last {
		d.finish(best)
	}
	if o.Code >= 600 {
		d.stopOthers(nil) // RFC 3261 16.7: a 6xx speaks for the person
	}
}

// causeOf maps a final status to what it says of the seat.
func causeOf(code int) DialCause {
	switch {
	case code == 486 || code == 600:
		return DialBusy
	case code == 488 || code == 606:
		return DialFault
	case code == 480 || code == 404 || code == 408 || code == 481 || code >= 500 && code < 600:
		return DialUnreachable
	default:
		return DialRefused
	}
}
