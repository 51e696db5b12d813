package media

import (
	"net/netip"
	"time"
)

const (
	// relatch is how long the source that a leg is locked on must be silent before one that is
	// as likely may take its place.
	relatch = time.Second

	// relatchFar is the same for an address that neither SDP nor signalling knows, in place of one that
	// they do: a phone that pauses must not lose its leg to whoever sends to all ports.
	relatchFar = 5 * time.Second

	// learnPackets in a row must come from an unknown address before it is believed.
	learnPackets = 5
)

// latch decides which source of RTP is the phone (symmetric RTP, RFC 4961). SDP's address is only a first
// guess behind NAT; packets tell, and the more SDP and signalling know of their source, the sooner they
// are believed.
type latch struct {
	signalled netip.AddrPort // what SDP says
	hint      netip.Addr     // where signalling comes from; often the phone's address outside its NAT
	strict    bool           // only the address in SDP, whatever its port
	trusting  bool           // likewise, where signalling comes from that address, too
	locked    netip.AddrPort // where valid RTP comes from; zero: nowhere yet
	heard     time.Duration  // the last packet from locked
	leaving   netip.AddrPort // locked before SDP named another address; may still be on its way
	until     time.Duration  // when leaving stops being treated as a leftover

	learning *[4]candidate // nil: nobody unknown came yet, as with most legs
	next     int           // of learning, to be replaced
}

// candidate is an unknown source that may turn out to be the phone.
type candidate struct {
	src   netip.AddrPort
	seq   uint16 // of its last packet
	count int    // packets in a row
}

// rank is how much speaks for a source.
type rank int

const (
	unknownSource rank = iota + 1
	knownAddress       // SDP's or signalling's
	asSignalled        // SDP's, the port too
)

func (l *latch) rank(src netip.AddrPort) rank {
	switch {
	case src == l.signalled:
		return asSignalled
	case src.Addr() == l.signalled.Addr() || src.Addr() == l.hint:
		return knownAddress
	}
	return unknownSource
}

// certain tells that SDP's address is the phone's.
func (l *latch) certain() bool {
	return l.strict || l.trusting && l.hint.IsValid() && l.hint == l.signalled.Addr()
}

// accept tells whether a valid packet from src belongs to the leg, and whether the leg shall
// send to src from now on.
func (l *latch) accept(src netip.AddrPort, seq uint16, now time.Duration) (ok, changed bool) {
	if l.certain() && src.Addr() != l.signalled.Addr() {
		return false, false
	}
	if src == l.locked {
		l.heard = now
		return true, false
	}
	rank := l.rank(src)
	if l.holds(rank, now) {
		return false, false
	}
	if src == l.leaving && now < l.until {
		return true, false
	}
	if rank == unknownSource && !l.learn(src, seq) {
		return false, false
	}
	l.locked, l.heard, l.leaving = src, now, netip.AddrPort{}
	l.learning = nil
	return true, true
}

// holds tells whether the source that the leg is locked on keeps its place against one of that rank.
func (l *latch) holds(against rank, now time.Duration) bool {
	if !l.locked.IsValid() {
		return false
	}
	own := l.rank(l.locked)
	switch {
	case against > own:
		return false
	case against == unknownSource && own > unknownSource:
		return now-l.heard < relatchFar
	}
	return now-l.heard < relatch
}

// learn tells whether so many packets in a row have come from an unknown source.
func (l *latch) learn(src netip.AddrPort, seq uint16) bool {
	if l.learning == nil {
		l.learning, l.next = new([4]candidate), 0
	}
	for i := range l.learning {
		c := &l.learning[i]
		if c.src != src {
			continue
		}
		if c.count++; seq != c.seq+1 {
			c.count = 1
		}
		c.seq = seq
		return c.count >= learnPackets
	}
	l.learning[l.next] = candidate{src, seq, 1}
	l.next = (l.next + 1) % len(l.learning)
	return false
}

// signal notes the address in a new SDP and tells whether it is another one: then the leg
// sends there until RTP tells better.
func (l *latch) signal(addr netip.AddrPort, now time.Duration) (changed bool) {
	if addr == l.signalled {
		return false
	}
	first := !l.signalled.IsValid()
	l.signalled = addr
	if first && l.locked.IsValid() && (!l.certain() || l.locked.Addr() == addr.Addr()) {
		return false // early media came before the answer and has told already
	}
	if l.locked.IsValid() && l.locked != addr {
		l.leaving, l.until = l.locked, now+relatch
	}
	l.locked = netip.AddrPort{}
	return true
}
