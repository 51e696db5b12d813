package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// This file changes the session within a dialog, by re-INVITE (RFC 3261 14) and
// UPDATE (RFC 3311), asked for by either side.

// reinvite is a re-INVITE of the peer's from its arrival to its ACK.
type reinvite struct {
	seq      uint32
	owed     bool // it had no SDP: the peer's comes in the ACK
	answered bool // with 2xx
	acked    chan struct{}
}

// RefusedError says that the peer refused a request within the dialog.
type RefusedError struct {
	Method string
	Code   int

	least time.Duration // the Min-SE that a 422 asks for
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s refused with %d", e.Method, e.Code) }

// errGlare says that the other side changes the session, too.
var errGlare = errors.New("both sides change the session at once")

// Reoffer offers the peer another session and returns its SDP answer: by
// re-INVITE, or by UPDATE while the call isn't answered. It blocks until the peer
// has answered or ctx ends; what the peer answers then is met, but not told. When
// both sides change the session at once it tries again after the time of RFC 3261
// 14.1. A *RefusedError leaves the session as it was.
func (l *Leg) Reoffer(ctx context.Context, offer []byte) ([]byte, error) {
	for longer := false; ; {
		res, err := l.offerOnce(ctx, offer)
		var no *RefusedError
		switch {
		case err == nil:
			return res.Body(), nil
		case !longer && l.longerSession(err):
			longer = true
			continue
		case errors.Is(err, errGlare), errors.As(err, &no) && no.Code == 491:
		default:
			return nil, fmt.Errorf("change the session: %w", err)
		}
		select {
		case <-time.After(l.glareWait()):
		case <-l.done:
			return nil, ErrEnded
		case <-ctx.Done():
			return nil, fmt.Errorf("change the session: %w", ctx.Err())
		}
	}
}

// glareWait is RFC 3261 14.1: who made the Call-ID waits longer.
func (l *Leg) glareWait() time.Duration {
	if l.origin != nil {
		return time.Duration(210+rand.IntN(191)) * 10 * time.Millisecond
	}
	return time.Duration(rand.IntN(201)) * 10 * time.Millisecond
}

// offerOnce makes one attempt; it runs to its end even if ctx ends before.
func (l *Leg) offerOnce(ctx context.Context, offer []byte) (*gosip.Response, error) {
	method, err := l.beginOurs()
	if err != nil {
		return nil, err
	}
	req := l.request(method)
	l.askSession(req)
	setSDP(req, offer)
	type result struct {
		res *gosip.Response
		err error
	}
	ch := make(chan result, 1)
	if !l.stack.spawn(func() {
		res, err := l.exchange(req)
		if err == nil {
			l.refreshTarget(res.Contact())
			l.keepSDP(offer)
			l.sessionAnswered(res)
		}
		l.endOurs()
		ch <- result{res, err}
	}) {
		l.endOurs()
		return nil, ErrEnded
	}
	select {
	case r := <-ch:
		return r.res, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// beginOurs keeps changes from running into each other: one at a time, of either
// side (RFC 3261 14.1). It says by which method the change is to be made.
func (l *Leg) beginOurs() (gosip.RequestMethod, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	method := gosip.INVITE
	switch {
	case l.state == legEnded:
		return "", ErrEnded
	case l.ours, l.change != nil, l.state == legAnswered:
		return "", errGlare
	case l.state == legEarly && !l.allowsUpdate:
		return "", errors.New("the call isn't answered yet and the peer knows no UPDATE")
	case l.state == legEarly:
		method = gosip.UPDATE
	}
	l.ours = true
	return method, nil
}

func (l *Leg) endOurs() {
	l.mu.Lock()
	l.ours = false
	l.mu.Unlock()
}

// exchange runs one request of the dialog to its final answer, once more with
// credentials where the leg has some and they are asked for. A 2xx to an INVITE is
// acknowledged. An answer that says the dialog is gone (408, 481, none at all) ends
// the leg (RFC 3261 12.2.1.2), but not for a NOTIFY or REFER: these are a usage of
// their own (RFC 5057 5.1).
func (l *Leg) exchange(req *gosip.Request) (*gosip.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Second)
	defer cancel()
	res, err := l.stack.send(ctx, req)
	if err == nil && (res.StatusCode == 401 || res.StatusCode == 407) && l.cred != nil {
		if again, ok := l.authorised(req, res); ok {
			req = again
			res, err = l.stack.send(ctx, req)
		}
	}
	switch {
	case err == nil && res.IsSuccess():
		if req.IsInvite() {
			l.refreshTarget(res.Contact()) // the ACK goes there already
			l.ack(req.CSeq().SeqNo, req)
		}
		return res, nil
	case err == nil && res.StatusCode != 408 && res.StatusCode != 481:
		return nil, &RefusedError{Method: string(req.Method), Code: res.StatusCode, least: leastSession(res)}
	case err == nil:
		err = &RefusedError{Method: string(req.Method), Code: res.StatusCode}
	}
	switch req.Method {
	case gosip.BYE, gosip.NOTIFY, gosip.REFER:
	default:
		if l.finish(End{Cause: EndTransport}) {
			l.sendBye("")
		}
	}
	return nil, err
}

// authorised is the request with the answer to the challenge of res.
func (l *Leg) authorised(req *gosip.Request, res *gosip.Response) (*gosip.Request, bool) {
	again := req.Clone()
	again.RemoveHeader("Via")
	if !authorise(again, res, *l.cred) {
		return nil, false
	}
	l.stack.address(again, l.bind, l.network, l.dest)
	l.mu.Lock()
	l.localSeq++
	again.CSeq().SeqNo = l.localSeq
	if r := l.referred; r != nil && req.Method == gosip.REFER && r.seq == req.CSeq().SeqNo {
		r.seq = l.localSeq // what its NOTIFYs will name
	}
	l.mu.Unlock()
	return again, true
}

// handleReinvite answers a change of the session (RFC 3261 14.2).
func (s *Stack) handleReinvite(req *gosip.Request, tx *transaction) {
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	c, f, code, phrase := l.beginChange(req)
	if c == nil {
		s.refuseChange(req, tx, code, phrase)
		return
	}
	if !tx.unanswered() { // cancelled, before anything has changed
		l.endChange(c)
		return
	}
	sdp, refuse := f(req.Body())
	if refuse != 0 {
		l.endChange(c)
		s.respond(req, tx, refuse, "Not Acceptable Here")
		return
	}
	l.refreshTarget(req.Contact())
	l.mu.Lock()
	c.answered = true
	l.mu.Unlock()
	l.keepSDP(sdp)
	res := s.response(req, 200, "OK", sdp, l.sessionHeaders(req)...)
	res.AppendHeader(l.contact())
	res.AppendHeader(gosip.NewHeader("Allow", allowed))
	if err := tx.Respond(res); err != nil {
		l.endChange(c)
		s.log.Debug("re-INVITE not answered", "sip_call_id", l.id.callID, "error", err)
		return
	}
	s.obs.ServerRequest(string(gosip.INVITE), 200)
	l.repeat(tx, res, c.acked, func() {
		if l.finish(End{Cause: EndNoAck}) {
			l.sendBye("")
		}
	})
}

// beginChange lets one re-INVITE at a time in; nil comes with the status that
// refuses it.
func (l *Leg) beginChange(req *gosip.Request) (c *reinvite, f func([]byte) ([]byte, int), code int, phrase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == legEnded:
		return nil, nil, 481, "Call/Transaction Does Not Exist"
	case l.state == legEarly && l.callTx != nil, l.change != nil && !l.change.answered:
		return nil, nil, 500, "Another INVITE Is Open" // of the peer's own, section 14.2
	case l.ours, l.state != legConfirmed, l.change != nil && l.change.owed:
		// A change of ours, our last 2xx, or the SDP that answers it, is under
		// way: glare, section 14.2.
		return nil, nil, 491, "Request Pending"
	case l.onReoffer == nil:
		return nil, nil, 488, "Not Acceptable Here"
	}
	if l.change != nil {
		// Its ACK is lost or comes behind; that the peer goes on says as much.
		close(l.change.acked)
	}
	l.change = &reinvite{seq: req.CSeq().SeqNo, owed: len(req.Body()) == 0, acked: make(chan struct{})}
	return l.change, l.onReoffer, 0, ""
}

// refuseChange answers a change of the session that can't be made now; 500 says when to
// come again (RFC 3261 14.2, RFC 3311 5.2).
func (s *Stack) refuseChange(req *gosip.Request, tx *transaction, code int, phrase string) {
	var hs []gosip.Header
	if code == 500 {
		hs = append(hs, gosip.NewHeader("Retry-After", strconv.Itoa(rand.IntN(10))))
	}
	s.respond(req, tx, code, phrase, hs...)
}

// endChange forgets a re-INVITE that was not answered with 2xx.
func (l *Leg) endChange(c *reinvite) {
	l.mu.Lock()
	if l.change == c {
		l.change = nil
	}
	l.mu.Unlock()
}

// handleUpdate answers an UPDATE: a change of the session before the call is
// answered, or the refresh of a session timer (RFC 3311 5.2).
func (s *Stack) handleUpdate(req *gosip.Request, tx *transaction) {
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	offers := len(req.Body()) > 0
	if offers && !isSDP(req) {
		s.respond(req, tx, 415, "Unsupported Media Type", gosip.NewHeader("Accept", "application/sdp"))
		return
	}
	f, code, phrase := l.mayUpdate(offers)
	if code != 0 {
		s.refuseChange(req, tx, code, phrase)
		return
	}
	var sdp []byte
	if offers {
		var refuse int
		if sdp, refuse = f(req.Body()); refuse != 0 {
			s.respond(req, tx, refuse, "Not Acceptable Here")
			return
		}
		l.keepSDP(sdp)
	}
	l.refreshTarget(req.Contact())
	res := s.response(req, 200, "OK", sdp, l.sessionHeaders(req)...)
	res.AppendHeader(l.contact())
	s.obs.ServerRequest(string(req.Method), 200)
	if err := tx.Respond(res); err != nil {
		s.log.Debug("UPDATE not answered", "sip_call_id", l.id.callID, "error", err)
	}
}

// mayUpdate is RFC 3311 5.2: an offer must not meet another one. It returns what
// answers the offer, or the status that refuses it.
func (l *Leg) mayUpdate(offers bool) (f func([]byte) ([]byte, int), code int, phrase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == legEnded:
		return nil, 481, "Call/Transaction Does Not Exist"
	case !offers:
		return nil, 0, ""
	case l.ours, l.offers():
		return nil, 491, "Request Pending"
	case l.change != nil && !l.change.answered, l.state == legEarly && l.callTx != nil && !l.sdpDone:
		return nil, 500, "Another Offer Is Open"
	case l.change != nil && l.change.owed:
		return nil, 491, "Request Pending"
	case l.onReoffer == nil:
		return nil, 488, "Not Acceptable Here"
	}
	return l.onReoffer, 0, ""
}

// offers tells whether our own offer, to an INVITE that had none, still wants its answer:
// in the PRACK, or in the ACK. The leg's lock is held.
func (l *Leg) offers() bool {
	if l.callTx == nil || len(l.info.Offer) > 0 {
		return false
	}
	if l.sdpDone {
		return l.rel.pending != nil && l.rel.pending.withSDP
	}
	return l.state == legAnswered
}

// keepSDP remembers what we said last of the session: a refresh says it again.
func (l *Leg) keepSDP(sdp []byte) {
	if len(sdp) == 0 {
		return
	}
	l.mu.Lock()
	l.localSDP = sdp
	l.mu.Unlock()
}
