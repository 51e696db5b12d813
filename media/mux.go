package media

import (
	"net/netip"
	"time"
)

// isReport tells RTCP from RTP where both come by one port: its packet types would be payload types 64
// to 95 with the marker set, which nobody uses there (RFC 5761 section 4).
func isReport(data []byte) bool { return len(data) > 1 && data[1] >= 192 && data[1] <= 223 }

// sort hands a datagram that came by the RTP port to whom it is for; ok tells that it is RTP, which
// is left.
func (l *Leg) sort(data []byte, src netip.AddrPort, now time.Duration) (rest []byte, ok bool) {
	if len(data) > 0 && data[0] < 64 && l.sideways(data, src, now) {
		return nil, false
	}
	if l.muxed.Load() && isReport(data) {
		l.receiveReport(data, src, now)
		return nil, false
	}
	if o := l.opener.Load(); o != nil {
		return o.open(data)
	}
	return data, true
}

// sideways takes what shares the port with RTP on a leg whose keys come by DTLS (RFC 7983 section 7).
func (l *Leg) sideways(data []byte, src netip.AddrPort, now time.Duration) bool {
	switch first := data[0]; {
	case first <= 3:
		if i := l.ice.Load(); i != nil {
			l.answerCheck(i, data, src, now)
			return true
		}
	case first >= 20:
		if h := l.handshake.Load(); h != nil {
			l.mu.Lock()
			signalled, strict := l.rx.latch.signalled, l.rx.latch.strict
			l.mu.Unlock()
			if !h.take(data, src, signalled, strict) {
				l.foreign.Add(1)
			}
			return true
		}
	}
	return false
}

// mux has reports come and go by the RTP port, or by their own (RFC 5761), as the peer wants it.
func (l *Leg) mux(remote *remoteMedia) {
	if l.muxed.Swap(remote.mux) == remote.mux {
		return
	}
	to := remote.rtcp
	if remote.mux {
		to = l.sender.target()
	}
	l.reports.mu.Lock()
	l.reports.muxed, l.reports.remote = remote.mux, to
	l.reports.mu.Unlock()
}

// target is where the sender sends now.
func (s *sender) target() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote
}
