package sip

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// abandonedInvite remembers a branch we stopped waiting for, so that a late
// answer is still met: 1xx with CANCEL, 2xx with ACK and BYE.
type abandonedInvite struct {
	inv       *invite
	cancelled bool
}

// abandon stops sending and keeps the branch in mind for as long as an answer
// may come.
func (b *invite) abandon(tx gosip.ClientTransaction) {
	s := b.d.stack
	branch, _ := b.req.Via().Params.Get("branch")
	s.mu.Lock()
	s.abandoned[branch] = &abandonedInvite{inv: b}
	s.mu.Unlock()
	tx.Terminate()
	time.AfterFunc(timeout, func() {
		s.mu.Lock()
		delete(s.abandoned, branch)
		s.mu.Unlock()
	})
}

// strayResponse meets answers that no transaction waits for: repeated 2xx of our
// legs get their ACK again, 2xx of other branches of a fork get ACK and BYE
// (RFC 3261 13.2.2.4), and late answers to abandoned INVITEs are ended.
func (s *Stack) strayResponse(res *gosip.Response) {
	seq := res.CSeq()
	if seq == nil || seq.MethodName != gosip.INVITE || res.To() == nil || res.From() == nil || res.CallID() == nil || res.Via() == nil || s.isClosed() {
		return
	}
	to, _ := res.To().Params.Get("tag")
	from, _ := res.From().Params.Get("tag")
	branch, _ := res.Via().Params.Get("branch")
	s.mu.Lock()
	known := s.legs[dialogID{string(*res.CallID()), from, to}]
	late := s.abandoned[branch]
	cancelNow := late != nil && res.IsProvisional() && !late.cancelled
	if cancelNow {
		late.cancelled = true
	}
	s.mu.Unlock()
	switch {
	case known != nil && res.IsSuccess():
		known.ack(seq.SeqNo, nil)
	case cancelNow:
		late.inv.sendCancel()
	case res.IsSuccess():
		s.endStray(res, late)
	case !res.IsProvisional():
		s.refusedAgain(branch)
	}
}

// endStray sends ACK and BYE into a dialog that nobody wants. Only answers to
// our own INVITEs get here: their From carries a tag that we made.
func (s *Stack) endStray(res *gosip.Response, late *abandonedInvite) {
	inv := s.findInvite(res, late)
	if inv == nil {
		return
	}
	l := inv.leg(res)
	l.ack(inv.req.CSeq().SeqNo, inv.req)
	if l.finish(End{Cause: EndLocal}) {
		l.sendBye("")
	}
}

func (s *Stack) findInvite(res *gosip.Response, late *abandonedInvite) *invite {
	if late != nil {
		return late.inv
	}
	id, from := string(*res.CallID()), ""
	from, _ = res.From().Params.Get("tag")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.legs {
		if l.id.callID == id && l.id.localTag == from && l.origin != nil {
			return l.origin
		}
	}
	return nil
}
