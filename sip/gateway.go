package sip

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// DialTrunk dials o.ToUser, a number in E.164 or a short one, by the named trunk,
// and returns at once: see [Stack.DialTrunks].
func (s *Stack) DialTrunk(name string, o Outgoing) *Dialing {
	return s.DialTrunks([]string{name}, o)
}

// DialTrunks dials o.ToUser, a number in E.164 or a short one, by the named trunks,
// and returns at once. The gateways of a trunk are tried one after the other, by
// priority and weight, until one gives a final answer that speaks for the person
// called: silence, 408 and 5xx (by the trunk's rule) lead to the next one, and
// behind the last one to the next trunk. Contacts, Credentials and Unreachable of
// o are not used.
//
// The Dialing is over already, without a leg, when no trunk of those names has
// gateways or the number can't be dialled (DialNoRoute), or all that have gateways
// have as many calls as they may (DialNoCapacity).
func (s *Stack) DialTrunks(names []string, o Outgoing) *Dialing {
	d := s.newDialing(o)
	d.open = 1
	h := &hunt{s: s, d: d, asked: o}
	for _, name := range names {
		if t := s.trunks.find(name); t != nil {
			h.trunks = append(h.trunks, t)
		}
	}
	if cause := h.enter(); cause != "" {
		d.finish(Outcome{Cause: cause})
		return d
	}
	d.next = h.next
	ctx, stop := context.WithCancel(context.Background())
	h.ctx = ctx
	if !s.spawn(h.begin) {
		d.finish(Outcome{Cause: DialUnreachable})
	}
	if !s.spawn(func() {
		<-d.Done()
		stop()
		if l := d.Outcome().Leg; l != nil {
			<-l.Done()
		}
		h.leave(true)
	}) {
		stop()
		h.leave(true)
	}
	return d
}

// hunt is one call looking for a gateway that takes it. It belongs to the
// goroutine of the branch that runs: there is one at a time.
type hunt struct {
	s      *Stack
	d      *Dialing
	asked  Outgoing        // as the owner wants it
	ctx    context.Context // ends with the dialling
	trunks []*trunkState   // not tried yet

	trunk    *trunkState
	out      *Outbound
	number   string          // that is shown to the trunk
	gateways []*gatewayState // not looked up yet
	hops     []*hopState     // of the latest gateway, not tried yet
	later    []*hopState     // gave no answer lately: tried when nothing else is left
	at       *hopState       // tried last

	offered   *trunkState // to whom sdp was made
	offeredBy int         // by which listener
	sdp       []byte
	via       map[*hopState]*gatewayState
	unoffered bool // there was nothing to offer to a gateway

	mu   sync.Mutex
	held *trunkState // whose place the call has
	over bool
}

// enter goes to the next trunk that takes the call; the cause tells why none does.
func (h *hunt) enter() DialCause {
	cause := DialNoRoute
	for len(h.trunks) > 0 {
		t := h.trunks[0]
		h.trunks = h.trunks[1:]
		o := &t.config().Outbound
		number := o.Numbers.Apply(h.asked.ToUser)
		gateways := t.order()
		if len(gateways) == 0 || !dialable(number) {
			continue
		}
		if !h.hold(t) {
			cause = DialNoCapacity
			continue
		}
		h.trunk, h.out, h.number, h.gateways = t, o, o.shownNumber(h.asked.FromUser), gateways
		h.hops, h.later, h.via = nil, nil, make(map[*hopState]*gatewayState)
		h.d.opt = h.asked
		opt := &h.d.opt
		opt.Credentials, opt.ToUser, opt.Headers = o.Login, number, outsideHeaders(h.asked.Headers)
		if opt.Unreachable = o.Unreachable; opt.Unreachable == 0 {
			opt.Unreachable = defaultGatewayUnreachable
		}
		return ""
	}
	return cause
}

// hold takes a place among the trunk's calls.
func (h *hunt) hold(t *trunkState) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || !t.admit(outward) {
		return false
	}
	h.held = t
	return true
}

// leave gives the place back; over says for good.
func (h *hunt) leave(over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != nil {
		h.held.release(outward)
		h.held = nil
	}
	h.over = h.over || over
}

func (h *hunt) begin() {
	if h.try() {
		return
	}
	cause := DialUnreachable
	if h.unoffered {
		cause = DialNoOffer
	}
	h.d.finish(Outcome{Cause: cause})
}

// next tells whether the call goes on elsewhere after a branch of it has failed.
func (h *hunt) next(o Outcome) bool {
	if o.Cause == DialCancelled {
		return false // that says nothing of the gateway
	}
	h.trunk.note(h.at, o, time.Now())
	if !h.out.failsOver(o.Code) {
		return false
	}
	h.s.log.Info("gateway failed", "trunk", h.trunk.config().Name, "gateway", h.at.addr, "code", o.Code)
	return h.try()
}

// failsOver tells whether a final status (0: none came) leads to the next gateway.
func (o *Outbound) failsOver(code int) bool {
	if code == 0 {
		return true
	}
	list := o.Failover
	if list == nil {
		list = defaultFailover
	}
	return slices.Contains(list, code)
}

// try begins the next branch; false when none is left or the call is over.
func (h *hunt) try() bool {
	for {
		at := h.pick()
		if at == nil {
			if len(h.trunks) == 0 {
				return false // the place is kept until the call is over
			}
			h.leave(false)
			if h.enter() != "" {
				return false
			}
			continue
		}
		h.at = at
		c, ok := h.s.gatewayContact(h.via[at].Gateway, at.hop, h.d.opt.ToUser, h.out, h.trunk.config())
		if !ok {
			continue
		}
		if !h.offer(c.Listener()) {
			continue
		}
		b := newInvite(h.d, c)
		b.trunk = h.trunk.config().Name
		b.req = h.s.buildInvite(h.d.opt, c)
		h.shape(b.req)
		h.d.mu.Lock()
		h.d.trunk = h.trunk.config().Name
		h.d.mu.Unlock()
		return h.d.add(b) && h.s.spawn(b.run)
	}
}

// offer has the owner make the SDP for the trunk that is tried next, by that listener,
// unless it is the one that was made last.
func (h *hunt) offer(listener int) bool {
	if h.asked.OfferTo == nil {
		return true
	}
	if h.offered != h.trunk || h.offeredBy != listener {
		name := h.trunk.config().Name
		sdp, err := h.asked.OfferTo(name, listener)
		if err != nil {
			h.unoffered = true
			h.s.log.Warn("nothing can be offered to the gateway", "trunk", name, "gateway", h.at.addr, "error", err)
			return false
		}
		h.offered, h.offeredBy, h.sdp = h.trunk, listener, sdp
	}
	h.d.opt.Offer = h.sdp
	return true
}

// pick is the next address to try; nil when none is left. It may wait for the DNS.
func (h *hunt) pick() *hopState {
	for {
		switch {
		case len(h.hops) > 0:
			at := h.hops[0]
			h.hops = h.hops[1:]
			ok, suspect := h.trunk.usable(at, time.Now())
			if ok && !suspect {
				return at
			}
			if ok {
				h.later = append(h.later, at)
			}
		case len(h.gateways) > 0:
			g := h.gateways[0]
			h.gateways = h.gateways[1:]
			found, err := h.s.locate(h.ctx, g.Gateway)
			if err != nil {
				h.s.log.Warn("gateway not found", "trunk", h.trunk.config().Name, "gateway", g.Host, "error", err)
			}
			h.hops = h.trunk.merge(g, found)
			for _, at := range h.hops {
				h.via[at] = g
			}
		case len(h.later) > 0:
			at := h.later[0]
			h.later = h.later[1:]
			return at
		default:
			return nil
		}
	}
}

// gatewayContact is where a number is reached by one address of a gateway; false
// when no listener of ours leads there.
func (s *Stack) gatewayContact(g Gateway, to hop, number string, o *Outbound, tr *Trunk) (Contact, bool) {
	s.peers.noteHop(to, tr.Name)
	b := s.bindToward(to)
	if b == nil {
		s.log.Warn("no listener leads to the gateway", "trunk", tr.Name, "gateway", to.addr, "network", to.network)
		return Contact{}, false
	}
	uri := gosip.Uri{Scheme: "sip", User: number, Host: viaHost(g.Host), Port: g.Port}
	if o.Domain != "" {
		uri.Host, uri.Port = o.Domain, 0
	}
	if to.network != "UDP" {
		uri.UriParams.Add("transport", strings.ToLower(to.network))
	}
	c := Contact{URI: uri.String(), Network: to.network, uri: uri, bind: b, hop: to.addr}
	if tr.Symmetric {
		c.Source = to.addr
	}
	return c, true
}

// namedHop is where requests of a dialog with a trunk go when its route set, or the
// peer's Contact, names a host: "" when it gives an address. sipgo would ask the
// system's DNS for each request, the ACK included; here the gateway's own name means
// the gateway, and a name that isn't known in a moment does, too: it has answered.
func (s *Stack) namedHop(l *Leg, c Contact) string {
	uri := &l.target
	if len(l.routes) > 0 {
		uri = &l.routes[0]
	}
	if _, err := netip.ParseAddr(strings.Trim(uri.Host, "[]")); err == nil || uri.Host == "" {
		return ""
	}
	if strings.EqualFold(uri.Host, c.uri.Host) {
		return c.hop
	}
	ctx, cancel := context.WithTimeout(context.Background(), namedWithin)
	defer cancel()
	hops, err := s.locate(ctx, Gateway{Host: uri.Host, Port: uri.Port, Network: c.Network})
	if err != nil || len(hops) == 0 {
		s.log.Debug("next hop not found, the gateway takes its place", "host", uri.Host, "error", err)
		return c.hop
	}
	return hops[0].addr
}

// namedWithin is how long an ACK may wait for the DNS.
const namedWithin = 500 * time.Millisecond

// retryAfter reads Retry-After (RFC 3261 20.33): seconds, perhaps with a comment
// and parameters. 0 when there is none.
func retryAfter(res *gosip.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	v := strings.TrimSpace(h.Value())
	if i := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		v = v[:i]
	}
	d, err := seconds(v)
	if err != nil {
		return 0
	}
	return d
}
