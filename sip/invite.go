package sip

import (
	"context"
	"strconv"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// invite is one branch of a fork: an INVITE client transaction to one contact.
type invite struct {
	d       *Dialing
	contact Contact
	req     *gosip.Request
	cancel  chan struct{} // closed to give the branch up
	once    sync.Once
	authed  bool
	// What the call was like when the branch began: that of the next trunk has other
	// credentials, and a late answer still finds these.
	offer   []byte
	trunk   string // "" for a phone
	reoffer func([]byte) ([]byte, int)
	cred    *Credentials
	// dialogs are the early ones, by the peer's tag.
	dialogs map[string]*Leg
	won     *Leg // the one that was answered
	// least is the Min-SE that a 422 asked for.
	least time.Duration
}

func newInvite(d *Dialing, c Contact) *invite {
	return &invite{d: d, contact: c, cancel: make(chan struct{}), offer: c.offer(d.opt.Offer), reoffer: d.opt.Reoffer, cred: d.opt.Credentials}
}

func (s *Stack) buildInvite(o Outgoing, c Contact) *gosip.Request {
	req := gosip.NewRequest(gosip.INVITE, requestURI(&c.uri))
	s.address(req, c.bind, c.Network, c.nextHop())
	for i := range c.path { // RFC 3327 5.3
		req.AppendHeader(&gosip.RouteHeader{Address: *c.path[i].Clone()})
	}
	from := &gosip.FromHeader{DisplayName: cleanName(o.FromName), Address: gosip.Uri{Scheme: "sip", User: o.FromUser, Host: viaHost(c.bind.host)}}
	from.Params.Add("tag", gosip.GenerateTagN(16))
	to := &gosip.ToHeader{Address: gosip.Uri{Scheme: c.uri.Scheme, User: o.ToUser, Host: c.uri.Host, Port: c.uri.Port}}
	req.AppendHeader(from)
	req.AppendHeader(to)
	id := gosip.CallIDHeader(gosip.GenerateTagN(24) + "@" + c.bind.host)
	req.AppendHeader(&id)
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: newSeq(), MethodName: gosip.INVITE})
	s.common(req, c.bind)
	if wantsSIPS(&c.uri, c.path) {
		secureContact(req.Contact())
	}
	if o.Hops > 0 {
		*req.MaxForwards() = gosip.MaxForwardsHeader(o.Hops - 1)
	}
	for i := 0; i+1 < len(o.Headers); i += 2 {
		req.AppendHeader(gosip.NewHeader(o.Headers[i], o.Headers[i+1]))
	}
	if l := o.Replaces; l != nil {
		req.AppendHeader(gosip.NewHeader("Replaces", l.dialogField()))
	}
	if l := o.Joins; l != nil {
		req.AppendHeader(gosip.NewHeader("Join", l.dialogField()))
	}
	if d := s.opt.SessionExpires; d > 0 {
		req.AppendHeader(gosip.NewHeader("Session-Expires", strconv.Itoa(int(d/time.Second))))
		req.AppendHeader(gosip.NewHeader("Min-SE", strconv.Itoa(int(s.opt.MinSession/time.Second))))
	}
	setSDP(req, c.offer(o.Offer))
	return req
}

// run sends the INVITE, once more with credentials if asked, and follows it to
// its final answer. No number of provisional answers ends it (only the owner's
// Cancel does).
func (b *invite) run() {
	s := b.d.stack
	b.dialogs = make(map[string]*Leg)
	defer func() { b.dropEarly(b.won) }()
	for {
		within := connectWithin
		if u := b.d.opt.Unreachable; u > 0 {
			within = min(within, u) // to a TCP phone that has vanished
		}
		ctx, stop := context.WithTimeout(context.Background(), within)
		tx, err := s.transact(ctx, b.req)
		stop()
		if err != nil {
			s.log.Debug("invite not sent", "error", err)
			s.obs.ClientRequest(string(gosip.INVITE), 0)
			b.d.failed(Outcome{Cause: DialUnreachable})
			return
		}
		if again := b.follow(tx); !again {
			return
		}
		b.dropEarly(nil)
		clear(b.dialogs)
	}
}

// follow reads the answers of one transaction; true means: send b.req again.
func (b *invite) follow(tx gosip.ClientTransaction) (again bool) {
	s := b.d.stack
	tx.OnRetransmission(func(res *gosip.Response) { s.strayResponse(res) })
	var silent <-chan time.Time
	if b.d.opt.Unreachable > 0 {
		t := time.NewTimer(b.d.opt.Unreachable)
		defer t.Stop()
		silent = t.C
	}
	cancel := b.cancel
	var cancelOver <-chan time.Time
	provisional, cancelled := false, false
	for {
		select {
		case res := <-tx.Responses():
			switch {
			case res.IsProvisional():
				if !provisional {
					provisional, silent = true, nil
				}
				if cancelled {
					continue
				}
				b.heard(res)
				if isClosed(b.cancel) {
					// Given up before the first provisional answer: RFC 3261
					// 9.1 allows CANCEL only now.
					cancelled = true
					cancelOver = b.sendCancel()
				}
				continue
			case res.IsSuccess():
				s.obs.ClientRequest(string(gosip.INVITE), res.StatusCode)
				b.success(res)
				return false
			}
			s.forgetRefused(b.req, res, tx)
			switch {
			case res.StatusCode == 422 && b.longer(res) && !isClosed(b.cancel):
				s.obs.ClientRequest(string(gosip.INVITE), res.StatusCode)
				return true
			case (res.StatusCode == 401 || res.StatusCode == 407) && b.cred != nil && !b.authed && !isClosed(b.cancel):
				s.obs.ClientRequest(string(gosip.INVITE), res.StatusCode)
				if b.retryWith(res) {
					return true
				}
			default:
				s.obs.ClientRequest(string(gosip.INVITE), res.StatusCode)
			}
			b.d.failed(Outcome{Code: res.StatusCode, Cause: causeOf(res.StatusCode), RetryAfter: retryAfter(res)})
			return false
		case <-tx.Done():
			s.obs.ClientRequest(string(gosip.INVITE), 0)
			b.d.failed(Outcome{Cause: DialUnreachable})
			return false
		case <-silent:
			s.obs.ClientRequest(string(gosip.INVITE), 0)
			b.abandon(tx)
			b.d.failed(Outcome{Cause: DialUnreachable})
			return false
		case <-cancel:
			cancel = nil
			if provisional {
				cancelled = true
				cancelOver = b.sendCancel()
			}
		case <-cancelOver:
			// The peer answered CANCEL but never the INVITE (RFC 3261 9.1).
			b.abandon(tx)
			b.d.failed(Outcome{Cause: DialUnreachable})
			return false
		case <-s.closed:
			tx.Terminate()
			b.d.failed(Outcome{Cause: DialUnreachable})
			return false
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// heard takes a provisional answer: the phone rings, or has something to hear.
func (b *invite) heard(res *gosip.Response) {
	if res.To() != nil {
		b.early(res)
	}
	if res.StatusCode >= 180 {
		b.d.ringOnce.Do(func() { close(b.d.ringing) })
	}
	if len(res.Body()) > 0 && isSDP(res) && res.To() != nil {
		b.d.hears(res.Body(), b.offer, b.answerer(res))
	}
}

// longer makes b.req the same call with the session timer that a 422 asks for,
// once (RFC 4028 7.3).
func (b *invite) longer(res *gosip.Response) bool {
	least := leastSession(res)
	if b.least != 0 || least == 0 || least > 24*time.Hour {
		return false
	}
	b.least = least
	req := b.again()
	req.RemoveHeader("Session-Expires")
	req.RemoveHeader("Min-SE")
	req.AppendHeader(gosip.NewHeader("Session-Expires", strconv.Itoa(int(least/time.Second))))
	req.AppendHeader(gosip.NewHeader("Min-SE", strconv.Itoa(int(least/time.Second))))
	return true
}

// again makes b.req a copy of itself: the next INVITE of the same call.
func (b *invite) again() *gosip.Request {
	req := b.req.Clone()
	req.RemoveHeader("Via")
	b.d.stack.address(req, b.contact.bind, b.contact.Network, b.contact.nextHop())
	req.CSeq().SeqNo++
	b.req = req
	return req
}

// retryWith makes b.req the same call with the answer to the challenge.
func (b *invite) retryWith(res *gosip.Response) bool {
	b.authed = true
	with := b.req.Clone()
	if !authorise(with, res, *b.cred) {
		return false
	}
	b.req = with
	b.again()
	return true
}

// success takes a 2xx: the first one wins, a later one is ended politely.
func (b *invite) success(res *gosip.Response) {
	d := b.d
	l := b.confirmed(res)
	l.ack(b.req.CSeq().SeqNo, b.req)
	b.won = l
	l.sessionAnswered(res)
	d.mu.Lock()
	won := !d.over && d.winner == nil && !d.given
	if won {
		d.winner = b
	}
	d.mu.Unlock()
	if won {
		answer := res.Body()
		if len(l.earlySDP) > 0 {
			answer = l.earlySDP // what the 200 says then means nothing (RFC 6337 3.1.1)
		}
		if d.finish(Outcome{Leg: l, Answer: answer, Offer: b.offer, From: b.answerer(res), Trunk: b.trunk, Code: res.StatusCode}) {
			d.stopOthers(b)
			return
		}
	}
	// CANCEL and 200 crossed, or another phone was faster (RFC 3261 9.1, 13.2.2.4).
	if l.finish(End{Cause: EndLocal}) {
		l.sendBye("")
	}
	d.failed(Outcome{Cause: DialCancelled})
}

// confirmed is the dialog that a 2xx confirms: one that is there already, or a new
// one. It is known before it is acknowledged: the peer's BYE may follow the ACK at
// once.
func (b *invite) confirmed(res *gosip.Response) *Leg {
	fresh := b.leg(res)
	tag, _ := res.To().Params.Get("tag")
	l := b.dialogs[tag]
	if l == nil {
		b.d.stack.addLeg(fresh)
		return fresh
	}
	l.mu.Lock()
	if l.state == legEarly {
		l.state = legConfirmed
	}
	l.target, l.routes, l.dest, l.allowsUpdate = fresh.target, fresh.routes, fresh.dest, fresh.allowsUpdate
	l.mu.Unlock()
	l.confOnce.Do(func() { close(l.confirmed) })
	return l
}

// leg builds the dialog from an answer to the INVITE (RFC 3261 12.1.2).
func (b *invite) leg(res *gosip.Response) *Leg {
	s := b.d.stack
	toTag, _ := res.To().Params.Get("tag")
	fromTag, _ := b.req.From().Params.Get("tag")
	callID := string(*b.req.CallID())
	l := &Leg{
		stack: s, bind: b.contact.bind,
		id:       dialogID{callID, fromTag, toTag},
		network:  b.contact.Network,
		sips:     wantsSIPS(&b.contact.uri, b.contact.path),
		local:    gosip.FromHeader{DisplayName: b.req.From().DisplayName, Address: *b.req.From().Address.Clone(), Params: b.req.From().Params.Clone()},
		remote:   gosip.ToHeader{DisplayName: res.To().DisplayName, Address: *res.To().Address.Clone(), Params: res.To().Params.Clone()},
		target:   *b.req.Recipient.Clone(),
		localSeq: b.req.CSeq().SeqNo,
		state:    legConfirmed, origin: b,
		confirmed: make(chan struct{}), done: make(chan struct{}), txOver: make(chan struct{}),
		allowsUpdate: hasToken(res, "Allow", "UPDATE"),
		localSDP:     b.offer, onReoffer: b.reoffer, cred: b.cred,
	}
	if c := res.Contact(); c != nil && c.Address.Host != "" {
		l.target = *c.Address.Clone()
	}
	l.routes = recordRoutes(res.GetHeaders("Record-Route"), true)
	if b.contact.Source != "" {
		l.dest = s.flow(l.network, b.contact.Source, true, len(l.routes) > 0)
	}
	if b.contact.hop != "" && l.dest == "" {
		l.dest = s.namedHop(l, b.contact)
	}
	if res.IsSuccess() {
		l.confOnce.Do(func() { close(l.confirmed) })
	}
	return l
}

// ack acknowledges a 2xx to the INVITE with that CSeq; of the INVITE, if it is
// given, it has the credentials (RFC 3261 13.2.2.4, 22.1).
func (l *Leg) ack(seq uint32, of *gosip.Request) {
	req := l.requestAs(gosip.ACK, seq)
	l.mu.Lock()
	if of != nil {
		l.auth = nil
		for _, name := range []string{"Authorization", "Proxy-Authorization"} {
			for _, h := range of.GetHeaders(name) {
				l.auth = append(l.auth, gosip.HeaderClone(h))
			}
		}
	}
	for _, h := range l.auth {
		req.AppendHeader(gosip.HeaderClone(h))
	}
	l.mu.Unlock()
	if err := l.stack.write(req); err != nil {
		l.stack.log.Warn("ack not sent", "sip_call_id", l.id.callID, "error", err)
	}
}

// sendCancel cancels the branch and returns when to stop waiting for its 487.
func (b *invite) sendCancel() <-chan time.Time {
	s := b.d.stack
	req := gosip.NewRequest(gosip.CANCEL, *b.req.Recipient.Clone())
	req.AppendHeader(b.req.Via().Clone())
	for _, name := range []string{"Route", "From", "To", "Call-ID"} {
		for _, h := range b.req.GetHeaders(name) {
			req.AppendHeader(gosip.HeaderClone(h))
		}
	}
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: b.req.CSeq().SeqNo, MethodName: gosip.CANCEL})
	mf := gosip.MaxForwardsHeader(70)
	req.AppendHeader(&mf)
	if b.elsewhere() {
		req.AppendHeader(gosip.NewHeader("Reason", reasonElsewhere)) // no missed call on the phone
	}
	req.SetBody(nil)
	req.SetTransport(carriedBy(b.contact.Network))
	req.Laddr = b.req.Laddr
	if d := b.req.MessageData.Destination(); d != "" { // the very one (RFC 3261 9.1)
		req.SetDestination(d)
	}
	s.background(req)
	return time.After(timeout)
}

// elsewhere says that another phone of the fork has answered.
func (b *invite) elsewhere() bool {
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	return b.d.winner != nil && b.d.winner != b
}
