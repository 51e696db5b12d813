package sip

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// ErrEnded says that the leg was over before what was asked could be done: the
// caller cancelled or hung up.
var ErrEnded = errors.New("leg has ended")

// handleInvite takes new calls and re-INVITEs. It returns when the call's owner does: a trunk's call is answered then and goes on.
func (s *Stack) handleInvite(req *gosip.Request, tx *transaction) {
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		s.handleReinvite(req, tx)
		return
	}
	if req.Contact() == nil || req.Contact().Address.Host == "" {
		s.obs.Refused("malformed")
		s.refuse(req, tx, 400, "Missing Contact")
		return
	}
	if hopsOf(req) == 0 { // it will ring a phone, which is one more (RFC 7332 5)
		s.refuse(req, tx, 483, "Too Many Hops")
		return
	}
	if s.drain.Load() || int(s.calls.Load()) >= s.opt.MaxCalls {
		s.overloaded(req, tx)
		return
	}
	tr, user, ok := s.admitInvite(req, tx)
	if !ok {
		return
	}
	if s.opt.Handlers.Invite == nil {
		s.respond(req, tx, 480, "Temporarily Unavailable")
		return
	}
	if tr != nil && hasToken(req, "Require", "join") { // not for trunks, nor announced to them
		s.respond(req, tx, 420, "Bad Extension", gosip.NewHeader("Unsupported", "join"))
		return
	}
	replaces, code, phrase := s.readReplacing(req)
	var joins *Leg
	if code == 0 {
		joins, code, phrase = s.readJoining(req, tr)
	}
	if code != 0 {
		s.respond(req, tx, code, phrase)
		return
	}
	release, ok := s.admitCall(req, tx, tr)
	if !ok {
		return
	}
	l := s.newIncoming(req, tx, tr, user)
	l.release, l.info.Replaces, l.info.Joins = release, replaces, joins
	if !s.addLeg(l) {
		if release != nil {
			release()
		}
		// The same INVITE by two ways (RFC 3261 8.2.2.2).
		s.respond(req, tx, 482, "Loop Detected")
		return
	}
	l.tryingSoon()
	if !tx.OnCancel(func(cancel *gosip.Request) {
		l.finish(End{Cause: EndRemoteCancel, Reason: endReason(cancel)})
	}) {
		l.finish(End{Cause: EndRemoteCancel})
		return
	}
	s.opt.Handlers.Invite(l)
}

// tryingSoon sends 100 if nothing else is said soon, before the caller's Timer A
// repeats the INVITE: RFC 3261 17.2.1 asks for it where no answer comes within 200 ms.
func (l *Leg) tryingSoon() {
	l.mu.Lock() // the stack may be closing, and end the leg
	defer l.mu.Unlock()
	if l.state == legEnded {
		return
	}
	l.trying = time.AfterFunc(tryingAfter, func() {
		l.stack.spawn(func() {
			l.mu.Lock()
			silent := l.state == legEarly && !l.spoke
			l.mu.Unlock()
			if !silent {
				return
			}
			if err := l.callTx.Respond(l.stack.response(l.callReq, 100, "Trying", nil)); err != nil {
				l.stack.log.Debug("100 not sent", "sip_call_id", l.id.callID, "error", err)
			}
		})
	})
}

// tryingAfter leaves Timer A, 500 ms, time for a way there and back.
const tryingAfter = 100 * time.Millisecond

// hopsOf is how many hops a request may still make; one without the field is of a peer
// that knows none.
func hopsOf(req *gosip.Request) int {
	if h := req.MaxForwards(); h != nil {
		return min(int(h.Val()), 255)
	}
	return 70
}

// contactOfSource gives the INVITE of an old peer the address that it came from as
// Contact: there is none to send requests to else.
func contactOfSource(req *gosip.Request) {
	host, port, err := gosip.ParseAddr(req.Source())
	if err != nil {
		return
	}
	req.AppendHeader(&gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: req.From().Address.User, Host: host, Port: port}})
	_ = req.Contact()
}

func (s *Stack) newIncoming(req *gosip.Request, tx *transaction, tr *Trunk, user string) *Leg {
	fromTag, _ := req.From().Params.Get("tag")
	callID := string(*req.CallID())
	tag := s.localTag(callID, fromTag)
	local := req.To().AsFrom()
	local.Params = local.Params.Clone()
	local.Params.Add("tag", tag)
	network := tx.by.network()
	l := &Leg{
		stack: s, bind: tx.by.bind(),
		id:        dialogID{callID, tag, fromTag},
		network:   network,
		local:     local,
		remote:    req.From().AsTo(),
		target:    *req.Contact().Address.Clone(),
		localSeq:  newSeq(),
		remoteSeq: req.CSeq().SeqNo,
		confirmed: make(chan struct{}), done: make(chan struct{}),
		callReq: req, callTx: tx, txOver: make(chan struct{}),
		allowsUpdate: hasToken(req, "Allow", "UPDATE"),
		info: Incoming{
			CallID: callID, Trunk: tr, Agent: user, Dialled: req.Recipient.User,
			Caller: callerOf(req, tr), Diversions: diversionsOf(req, tr), Offer: req.Body(), Source: req.Source(), Hops: hopsOf(req),
		},
	}
	if tr == nil {
		l.info.Dialled, l.info.Instance = s.meant(&req.Recipient, l.info.Dialled)
	} else {
		l.info.Agent, l.info.Dialled = "", tr.Numbers.Apply(l.info.Dialled)
		if login := tr.Outbound.Login; login != nil && login.Realm != "" {
			// For a trunk that challenges our BYE, too. Without a realm anybody behind
			// the trunk could, with a nonce of his choice.
			l.cred = login
		}
		if s.stir != nil && tr.VerifyIdentity {
			l.info.Attestation = s.stir.attest(req, cmp.Or(l.info.Caller.Number, l.info.Caller.Withheld), []string{l.info.Dialled, tr.normal(req.Recipient.User)}, time.Now())
		}
	}
	l.routes = recordRoutes(req.GetHeaders("Record-Route"), false)
	l.sips = wantsSIPS(&req.Recipient, l.routes) && private(network)
	l.dest = s.flow(network, req.Source(), tr == nil || tr.Symmetric, len(l.routes) > 0)
	return l
}

// flow is where requests towards a peer go: back on its TCP connection, to the
// source of its packets when it is behind NAT, else ("") where its Contact or
// the route set says.
func (s *Stack) flow(network, source string, symmetric, routed bool) string {
	if (reliable(network) || symmetric) && !routed {
		return source
	}
	return ""
}

// recordRoutes is the route set (RFC 3261 12.1): as received for the callee,
// reversed for the caller.
func recordRoutes(hs []gosip.Header, reverse bool) []gosip.Uri {
	var out []gosip.Uri
	for _, h := range hs {
		if rr, ok := h.(*gosip.RecordRouteHeader); ok {
			out = append(out, *rr.Address.Clone())
		}
	}
	if reverse {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

func (l *Leg) answer(code int, phrase string, sdp []byte, hs ...gosip.Header) *gosip.Response {
	res := l.stack.response(l.callReq, code, phrase, sdp, hs...)
	if code < 300 && code > 100 {
		res.AppendHeader(l.contact())
	}
	if code >= 200 && code < 300 {
		res.AppendHeader(gosip.NewHeader("Allow", allowed))
		res.AppendHeader(gosip.NewHeader("Supported", l.supports()))
		res.AppendHeader(gosip.NewHeader("Allow-Events", allowEvents))
	}
	return res
}

// Answer sends 200 with the given SDP and repeats it until it is acknowledged
// (RFC 3261 13.3.1.4); after 64*T1 without ACK the leg ends with EndNoAck and
// the peer gets BYE. It returns ErrEnded when the caller was faster. Where a provisional answer
// with SDP still waits for its PRACK the 200 follows that, if it comes: see [Leg.OnAnswered].
func (l *Leg) Answer(sdp []byte) error {
	l.mu.Lock()
	if l.state != legEarly {
		l.mu.Unlock()
		return ErrEnded
	}
	l.mu.Unlock()
	l.keepSDP(sdp)
	if l.holdFinal(func() {
		if err := l.accept(nil); err != nil { // the provisional answer had the SDP
			l.stack.log.Debug("200 not sent", "sip_call_id", l.id.callID, "error", err)
		}
	}) {
		return nil
	}
	l.mu.Lock()
	if l.sdpDone {
		sdp = nil
	}
	l.mu.Unlock()
	return l.accept(sdp)
}

// accept sends the 200.
func (l *Leg) accept(sdp []byte) error {
	l.mu.Lock()
	if l.state != legEarly {
		l.mu.Unlock()
		return ErrEnded
	}
	l.state = legAnswered
	l.rel.saidAll()
	l.mu.Unlock()
	l.trying.Stop()
	res := l.answer(200, "OK", sdp, l.sessionHeaders(l.callReq)...)
	err := l.callTx.Respond(res)
	if errors.Is(err, errAnswered) { // the caller was faster: 487 is out
		l.mu.Lock()
		l.byePend = false
		l.mu.Unlock()
		if !l.finish(End{Cause: EndRemoteCancel}) {
			l.leave()
		}
		return ErrEnded
	}
	if err != nil {
		l.finish(End{Cause: EndTransport})
		return fmt.Errorf("send 200: %w", err)
	}
	l.stack.obs.ServerRequest(string(gosip.INVITE), 200)
	l.sentAnswer()
	l.repeat(l.callTx, res, l.confirmed, l.giveUp)
	return nil
}

// repeat sends a 2xx again at T1, 2*T1, ... up to T2 until acked is closed; after
// 64*T1 it calls failed. The leg's end does not stop it while a BYE is owed.
func (l *Leg) repeat(tx *transaction, res *gosip.Response, acked <-chan struct{}, failed func()) {
	var after func(gap, waited time.Duration)
	after = func(gap, waited time.Duration) {
		wait := min(gap, timeout-waited)
		// A timer, not a goroutine: nearly every 2xx is acknowledged before it fires.
		time.AfterFunc(wait, func() {
			l.stack.spawn(func() {
				switch waited += wait; {
				case isClosed(acked), isClosed(l.txOver):
				case waited >= timeout:
					failed()
				default:
					if err := tx.Respond(res); err != nil {
						l.stack.log.Debug("200 not repeated", "sip_call_id", l.id.callID, "error", err)
					}
					after(min(2*gap, t2), waited)
				}
			})
		})
	}
	after(t1, 0)
}

// giveUp ends a leg whose 2xx was never acknowledged.
func (l *Leg) giveUp() {
	l.mu.Lock()
	l.byePend = false
	l.mu.Unlock()
	l.finish(End{Cause: EndNoAck})
	l.sendBye("")
	l.leave()
}

// acknowledge notes the ACK; a BYE that waited for it goes out now. An ACK that
// carries the SDP we asked for hands it on; any other SDP in an ACK means nothing.
func (l *Leg) acknowledge(ack *gosip.Request) {
	l.mu.Lock()
	// All answers to a call carry one To tag, so the ACK of a 401 to its first
	// INVITE finds the leg of the second; only the CSeq tells them apart.
	if l.callReq != nil && !isClosed(l.confirmed) {
		if seq := ack.CSeq(); l.state == legEarly || seq == nil || seq.SeqNo != l.callReq.CSeq().SeqNo {
			l.mu.Unlock()
			return
		}
	}
	owed := false
	if c := l.change; c != nil {
		if seq := ack.CSeq(); seq == nil || seq.SeqNo != c.seq {
			l.mu.Unlock()
			return // of an earlier INVITE, again
		}
		owed, l.change = c.owed, nil
		close(c.acked)
	}
	if l.state == legAnswered {
		owed = len(l.info.Offer) == 0 && !l.sdpDone // else the PRACK had it
		l.state = legConfirmed
	}
	take := l.onAnswer
	bye := l.byePend
	l.byePend = false
	l.mu.Unlock()
	if owed && take != nil && len(ack.Body()) > 0 && isSDP(ack) {
		take(ack.Body())
	}
	l.confOnce.Do(func() {
		close(l.confirmed)
		if l.callTx != nil { // a call in progress is no work pending
			l.callTx.settle()
		}
	})
	if bye {
		l.sendBye("")
		l.leave()
	}
}

func (s *Stack) handleAck(req *gosip.Request, tx *transaction) {
	if l := s.findLeg(req); l != nil {
		l.acknowledge(req)
	}
}

// Reject refuses an incoming leg with a final status of 300 or more. It returns
// ErrEnded when the leg was answered or over already.
func (l *Leg) Reject(code int, phrase string, headers ...string) error {
	l.mu.Lock()
	if l.state != legEarly || l.callTx == nil || !l.callTx.unanswered() {
		l.mu.Unlock()
		return ErrEnded
	}
	l.mu.Unlock()
	var hs []gosip.Header
	for i := 0; i+1 < len(headers); i += 2 {
		hs = append(hs, gosip.NewHeader(headers[i], headers[i+1]))
	}
	if !l.finishWith(End{Cause: EndLocal, Code: code}, func() {
		l.stack.respond(l.callReq, l.callTx, code, phrase, hs...)
	}) {
		return ErrEnded
	}
	return nil
}
