package sip

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// This file is RFC 3262: provisional answers that are repeated until the other
// side acknowledges them with PRACK.

// provisionals are the provisional answers of an incoming leg that want a PRACK;
// guarded by the leg's lock.
type provisionals struct {
	seq     uint32        // RSeq of the last one sent
	pending *unacked      // the one that waits for its PRACK
	next    []provisional // sent one by one, each after the PRACK of the one before (section 3)
	final   func()        // the 200, held back until the PRACK
	last    provisional   // the one told last, without its SDP
	again   *time.Timer   // tells it again; nil before the first
}

type unacked struct {
	seq     uint32
	withSDP bool
	acked   chan struct{}
}

type provisional struct {
	code   int
	phrase string
	sdp    []byte
}

// maxProvisional bounds what waits behind a PRACK that doesn't come.
const maxProvisional = 8

// Ring sends 180. It does nothing once a final answer was sent.
func (l *Leg) Ring() { l.progress(provisional{180, "Ringing", nil}) }

// Progress sends 183 with SDP: the caller hears what we send before the call is
// answered. It does nothing once a final answer was sent.
func (l *Leg) Progress(sdp []byte) { l.progress(provisional{183, "Session Progress", sdp}) }

func (l *Leg) progress(p provisional) {
	l.mu.Lock()
	if l.state != legEarly || l.callTx == nil || !l.callTx.unanswered() {
		l.mu.Unlock()
		return
	}
	l.tellAgain(p)
	wants := hasToken(l.callReq, "Require", "100rel") || p.sdp != nil && hasToken(l.callReq, "Supported", "100rel")
	r := &l.rel
	if wants && r.pending != nil {
		if len(r.next) < maxProvisional {
			r.next = append(r.next, p)
		}
		l.mu.Unlock()
		return
	}
	l.spoke = true
	l.sdpDone = l.sdpDone || wants && p.sdp != nil
	var u *unacked
	if wants {
		u = r.await(p) // at once: others want to say something, too
	}
	l.mu.Unlock()
	l.keepSDP(p.sdp)
	if wants {
		l.sendReliably(p, u)
		return
	}
	if err := l.callTx.Respond(l.answer(p.code, p.phrase, p.sdp)); err != nil {
		l.stack.log.Debug("provisional answer not sent", "sip_call_id", l.id.callID, "code", p.code, "error", err)
	}
}

// tellAgain has a caller who is told nothing else for a minute hear the same once more: a proxy on
// the way gives a call up that is silent for three (RFC 3261 13.3.1.1 and 16.6, Timer C). The
// leg's lock is held.
func (l *Leg) tellAgain(p provisional) {
	r := &l.rel
	r.last = provisional{code: p.code, phrase: p.phrase}
	if r.again != nil {
		r.again.Reset(provisionalEvery)
		return
	}
	r.again = time.AfterFunc(provisionalEvery, func() {
		l.stack.spawn(func() {
			l.mu.Lock()
			p := l.rel.last
			l.mu.Unlock()
			l.progress(p) // nothing once there is a final answer
		})
	})
}

// saidAll ends that. The leg's lock is held.
func (r *provisionals) saidAll() {
	if r.again != nil {
		r.again.Stop()
	}
}

// await makes p the answer that waits for its PRACK. The leg's lock is held.
func (r *provisionals) await(p provisional) *unacked {
	if r.seq == 0 {
		r.seq = rand.Uint32N(1 << 16)
	}
	r.seq++
	r.pending = &unacked{seq: r.seq, withSDP: p.sdp != nil, acked: make(chan struct{})}
	return r.pending
}

// sendReliably sends a provisional answer and repeats it at T1, 2*T1, ... until its
// PRACK; without one after 64*T1 the call is refused (section 3).
func (l *Leg) sendReliably(p provisional, u *unacked) {
	res := l.answer(p.code, p.phrase, p.sdp, gosip.NewHeader("Require", "100rel"),
		gosip.NewHeader("RSeq", strconv.FormatUint(uint64(u.seq), 10)))
	send := func() {
		if err := l.callTx.Respond(res); err != nil {
			l.stack.log.Debug("provisional answer not sent", "sip_call_id", l.id.callID, "code", p.code, "error", err)
		}
	}
	send()
	l.stack.spawn(func() {
		overall := time.NewTimer(timeout)
		defer overall.Stop()
		gap := t1
		again := time.NewTimer(gap)
		defer again.Stop()
		for {
			select {
			case <-u.acked:
				return
			case <-l.done:
				return
			case <-again.C:
				send()
				gap *= 2
				again.Reset(gap)
			case <-overall.C:
				_ = l.Reject(504, "Server Time-out")
				return
			}
		}
	})
}

// holdFinal keeps a 200 back while a provisional answer with SDP waits for its
// PRACK: section 3 wants it acknowledged first. It tells whether it does.
func (l *Leg) holdFinal(send func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.rel.pending; p == nil || !p.withSDP {
		return false
	}
	l.rel.final = send
	return true
}

// OnAnswered sets what is told when the 200 to an incoming leg has gone out: at once, before Answer
// returns, or after the PRACK that it waits for. It must not block.
func (l *Leg) OnAnswered(f func()) {
	l.mu.Lock()
	l.onSent = f
	l.mu.Unlock()
}

func (l *Leg) sentAnswer() {
	l.mu.Lock()
	f := l.onSent
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

// handlePrack acknowledges a provisional answer of ours (section 3).
func (s *Stack) handlePrack(req *gosip.Request, tx *transaction) {
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	rack, _ := field(req, "RAck")
	u, next, final := l.acknowledged(rack)
	if u == nil {
		s.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	sdp, refuse := l.prackSDP(req, u)
	if refuse != 0 {
		s.respond(req, tx, refuse, "Not Acceptable Here")
	} else {
		res := s.response(req, 200, "OK", sdp)
		s.obs.ServerRequest(string(req.Method), 200)
		if err := tx.Respond(res); err != nil {
			s.log.Debug("PRACK not answered", "sip_call_id", l.id.callID, "error", err)
		}
	}
	for _, p := range next {
		l.progress(p)
	}
	if final != nil {
		final()
	}
}

// acknowledged takes the answer that rack names off the wait; nil when it names
// none that waits.
func (l *Leg) acknowledged(rack string) (u *unacked, next []provisional, final func()) {
	f := strings.Fields(rack) // "RSeq CSeq Method", section 7.2
	if len(f) != 3 {
		return nil, nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.rel
	u = r.pending
	if u == nil || l.callReq == nil || f[0] != strconv.FormatUint(uint64(u.seq), 10) ||
		f[1] != strconv.FormatUint(uint64(l.callReq.CSeq().SeqNo), 10) || !strings.EqualFold(f[2], "INVITE") {
		return nil, nil, nil
	}
	close(u.acked)
	r.pending = nil
	next, final = r.next, r.final
	r.next, r.final = nil, nil
	return u, next, final
}

// prackSDP takes the SDP of a PRACK: the answer to the offer that our provisional
// answer carried, or a new offer (section 5).
func (l *Leg) prackSDP(req *gosip.Request, u *unacked) (sdp []byte, refuse int) {
	if len(req.Body()) == 0 || !isSDP(req) {
		return nil, 0
	}
	l.mu.Lock()
	take, f := l.onAnswer, l.onReoffer
	l.mu.Unlock()
	switch {
	case u.withSDP && len(l.info.Offer) == 0:
		if take != nil {
			take(req.Body())
		}
		return nil, 0
	case f == nil:
		return nil, 488
	}
	if sdp, refuse = f(req.Body()); refuse == 0 {
		l.keepSDP(sdp)
	}
	return sdp, refuse
}

// early follows a provisional answer that wants to be acknowledged: the dialog is
// there from now on (RFC 3261 12.1.2), and the answer gets its PRACK. Repeated
// ones and those that came before their turn are passed over (section 4).
func (b *invite) early(res *gosip.Response) {
	v, _ := field(res, "RSeq")
	seq, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	tag, _ := res.To().Params.Get("tag")
	if err != nil || seq == 0 || tag == "" || !hasToken(res, "Require", "100rel") {
		return
	}
	l := b.dialogs[tag]
	if l == nil {
		l = b.leg(res)
		l.state = legEarly
		if !b.d.stack.addLeg(l) {
			return
		}
		b.dialogs[tag] = l
	}
	if l.rel.seq != 0 && uint32(seq) != l.rel.seq+1 {
		return
	}
	l.rel.seq = uint32(seq)
	if len(l.earlySDP) == 0 {
		l.earlySDP = res.Body()
	}
	req := l.request(gosip.PRACK)
	req.AppendHeader(gosip.NewHeader("RAck", fmt.Sprintf("%d %d INVITE", seq, b.req.CSeq().SeqNo)))
	b.d.stack.background(req)
}

// dropEarly forgets the early dialogs of the branch but the one that was answered.
func (b *invite) dropEarly(but *Leg) {
	for _, l := range b.dialogs {
		if l != but {
			l.finish(End{Cause: EndLocal})
		}
	}
}
