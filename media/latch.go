package media

import (
	"net/netip"
	"time"
)

// relatch is how long the source that a leg is locked on must be silent before another
// source may take its place.
const relatch = time.Second

// latch decides which source of RTP is the phone (symmetric RTP, RFC 4961). SDP's address is
// only a first guess behind NAT; the first valid packet tells.
type latch struct {
	signalled netip.AddrPort // what SDP says
	strict    bool           // only the address in SDP, whatever its port
	locked    netip.AddrPort // where valid RTP comes from; zero: nowhere yet
	heard     time.Duration  // the last packet from locked
	leaving   netip.AddrPort // locked before SDP named another address; may still be on its way
	until     time.Duration  // when leaving stops being treated as a leftover
}

// accept tells whether a valid packet from src belongs to the leg, and whether the leg shall
// send to src from now on.
func (l *latch) accept(src netip.AddrPort, now time.Duration) (ok, changed bool) {
	if l.strict && src.Addr() != l.signalled.Addr() {
		return false, false
	}
	if src == l.locked {
		l.heard = now
		return true, false
	}
	if l.locked.IsValid() && now-l.heard < relatch {
		return false, false
	}
	if src == l.leaving && now < l.until {
		return true, false
	}
	l.locked, l.heard, l.leaving = src, now, netip.AddrPort{}
	return true, true
}

// signal notes the address in a new SDP and tells whether it is another one: then the leg
// sends there until RTP tells better.
func (l *latch) signal(addr netip.AddrPort, now time.Duration) (changed bool) {
	if addr == l.signalled {
		return false
	}
	first := !l.signalled.IsValid()
	l.signalled = addr
	if first && l.locked.IsValid() {
		return false // early media came before the answer and has told already
	}
	if l.locked.IsValid() && l.locked != addr {
		l.leaving, l.until = l.locked, now+relatch
	}
	l.locked = netip.AddrPort{}
	return true
}
