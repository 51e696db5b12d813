package sip

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// direction of a trunk's call.
type direction int

const (
	inward direction = iota
	outward
)

// admitCall lets a call from a trunk in while the trunk's limits allow; release
// lets its place go. It has answered 503 when ok is false.
func (s *Stack) admitCall(req *gosip.Request, tx *transaction, tr *Trunk) (release func(), ok bool) {
	if tr == nil {
		return nil, true
	}
	t := s.trunks.find(tr.Name)
	if t == nil {
		return nil, true // it was taken away by a reload just now
	}
	if !t.admit(inward) {
		s.unavailable(req, tx, "trunk_limit", tr)
		return nil, false
	}
	return func() { t.release(inward) }, true
}

// unavailable answers 503.
func (s *Stack) unavailable(req *gosip.Request, tx *transaction, reason string, tr *Trunk) {
	s.obs.Refused(reason)
	var hs []gosip.Header
	if v := s.retryAfter(tr); v != "" {
		hs = append(hs, gosip.NewHeader("Retry-After", v))
	}
	s.fates.noteRefused(req)
	s.refuse(req, tx, 503, "Service Unavailable", hs...)
}

// RejectOverload refuses an incoming leg with 503 because we can't serve it now, with a
// Retry-After as for any overload. It returns ErrEnded like Reject.
func (l *Leg) RejectOverload() error {
	if v := l.stack.retryAfter(l.info.Trunk); v != "" {
		return l.Reject(503, "Service Unavailable", "Retry-After", v)
	}
	return l.Reject(503, "Service Unavailable")
}

// admit lets one more call of a direction begin; [trunkState.release] lets its
// place go.
func (t *trunkState) admit(d direction) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.room(time.Now()) {
		t.refused[d]++
		return false
	}
	t.calls[d]++
	return true
}

// room tells whether the limits allow one more call, and takes its token.
func (t *trunkState) room(now time.Time) bool {
	l := t.trunk.Limits
	if l.MaxCalls > 0 && t.calls[inward]+t.calls[outward] >= l.MaxCalls {
		return false
	}
	if l.MaxRate <= 0 {
		return true
	}
	t.tokens = min(max(1, l.MaxRate), t.tokens+now.Sub(t.filled).Seconds()*l.MaxRate)
	t.filled = now
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

func (t *trunkState) release(d direction) {
	t.mu.Lock()
	t.calls[d]--
	t.mu.Unlock()
}
