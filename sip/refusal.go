package sip

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// refusalLife (Timer D) is how long a refusal of an INVITE of ours may come again by UDP (RFC 3261
// 17.1.1.2).
const refusalLife = 32 * time.Second

// forgetRefused ends the transaction of an INVITE that was refused, and keeps its ACK
// for the time in which the refusal may be repeated. sipgo would wait T2 before each
// further ACK, with its lock held, while the peer goes on repeating.
func (s *Stack) forgetRefused(req *gosip.Request, res *gosip.Response, tx gosip.ClientTransaction) {
	tx.Terminate()
	via := req.Via()
	if via == nil || reliable(via.Transport) {
		return
	}
	branch, _ := via.Params.Get("branch")
	ack := refusalAck(req, res)
	s.mu.Lock()
	if s.refused == nil {
		s.refused = make(map[string]*gosip.Request)
	}
	s.refused[branch] = ack
	s.mu.Unlock()
	time.AfterFunc(refusalLife, func() {
		s.mu.Lock()
		delete(s.refused, branch)
		s.mu.Unlock()
	})
}

// refusalAck is the ACK to a refusal (RFC 3261 17.1.1.3).
func refusalAck(req *gosip.Request, res *gosip.Response) *gosip.Request {
	ack := gosip.NewRequest(gosip.ACK, *req.Recipient.Clone())
	ack.AppendHeader(req.Via().Clone())
	for _, h := range req.GetHeaders("Route") {
		ack.AppendHeader(gosip.NewHeader("Route", h.Value()))
	}
	ack.AppendHeader(gosip.NewHeader("From", req.From().Value()))
	ack.AppendHeader(gosip.NewHeader("To", res.To().Value()))
	ack.AppendHeader(gosip.NewHeader("Call-ID", req.CallID().Value()))
	ack.AppendHeader(&gosip.CSeqHeader{SeqNo: req.CSeq().SeqNo, MethodName: gosip.ACK})
	mf := gosip.MaxForwardsHeader(70)
	ack.AppendHeader(&mf)
	ack.SetBody(nil)
	ack.SetTransport(req.Transport())
	ack.SetDestination(req.Destination())
	ack.Laddr = req.Laddr
	return ack
}

// refusedAgain acknowledges a repeated refusal.
func (s *Stack) refusedAgain(branch string) {
	s.mu.Lock()
	ack := s.refused[branch]
	if ack != nil {
		ack = ack.Clone()
	}
	s.mu.Unlock()
	if ack == nil {
		return
	}
	if err := s.write(ack); err != nil {
		s.log.Debug("ACK not repeated", "error", err)
	}
}
