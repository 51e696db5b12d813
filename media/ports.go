package media

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// ErrNoPorts says that every RTP port pair is taken or resting. The call should be refused
// with 503; pairs come back as calls end.
var ErrNoPorts = errors.New("no free RTP port pair")

// pair is the two sockets of a leg: RTP on an even port, RTCP on the next (RFC 3550 section 11).
type pair struct {
	rtp, rtcp *socket
	port      uint16
	shard     *shard // reads both
}

func (p *pair) close() error {
	p.shard.poll.remove(p.rtp)
	p.shard.poll.remove(p.rtcp)
	return errors.Join(p.rtp.close(), p.rtcp.close())
}

// maxSpare bounds the pairs that are kept open for later legs: those of a second of a thousand calls, at two
// seconds of rest.
const maxSpare = 2048

// kernelTries bounds the search for an even port with a free neighbour among those the kernel gives.
const kernelTries = 200

// portPool hands out pairs, the longest unused first. Pairs of calls that ended stay open: opening
// and closing sockets is a tenth of what a call costs.
type portPool struct {
	open   func(port uint16) (*pair, error) // 0: the kernel chooses
	rest   time.Duration
	random bool // no range: the kernel chooses

	mu     sync.Mutex
	spare  []freePair // both ordered by time of release
	free   []freePort
	inUse  int
	closed bool
}

// freePair is a pair that is open without a leg.
type freePair struct {
	*pair
	since time.Duration
}

// freePort is a port of the range that isn't open.
type freePort struct {
	port  uint16
	since time.Duration
}

func newPortPool(low, high uint16, rest time.Duration, open func(uint16) (*pair, error)) *portPool {
	p := &portPool{rest: rest, random: low == 0 && high == 0, open: open}
	if p.random {
		return p
	}
	for port := int(low) + int(low&1); port+1 <= int(high); port += 2 {
		p.free = append(p.free, freePort{port: uint16(port), since: -rest})
	}
	return p
}

// take returns the open pair that has rested longest, or opens one. A pair rests so that what is still on
// its way to the call before does not reach the next one. ErrNoPorts says that all are taken or
// resting; taken tells of a port that another process holds, which is tried again later.
func (p *portPool) take(now time.Duration, taken func(port uint16)) (*pair, error) {
	for range p.tries(now) {
		port, open, ok := p.next(now)
		switch {
		case !ok:
			return nil, ErrNoPorts
		case open != nil:
			return open, nil
		}
		opened, err := p.open(port)
		if err == nil {
			return opened, nil
		}
		p.unopened(port, now)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		if !p.random {
			taken(port)
		}
	}
	return nil, ErrNoPorts
}

// tries is how many ports are worth trying.
func (p *portPool) tries(now time.Duration) int {
	if p.random {
		return kernelTries
	}
	_, free, _ := p.count(now)
	return free
}

// next takes the first that has rested: an open pair, else a port to open; without a range, port 0 stands
// for one of the kernel's.
func (p *portPool) next(now time.Duration) (port uint16, open *pair, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, nil, false
	case len(p.spare) > 0 && now-p.spare[0].since >= p.rest:
		open = p.spare[0].pair
		p.spare = p.spare[1:]
	case p.random:
	case len(p.free) > 0 && now-p.free[0].since >= p.rest:
		port = p.free[0].port
		p.free = p.free[1:]
	default:
		return 0, nil, false
	}
	p.inUse++
	return port, open, true
}

// give takes a pair back, which rests from now.
func (p *portPool) give(pair *pair, now time.Duration) error {
	p.mu.Lock()
	if len(p.spare) < maxSpare && !p.closed {
		p.inUse--
		p.spare = append(p.spare, freePair{pair, now})
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	err := pair.close()
	p.unopened(pair.port, now)
	return err
}

// unopened takes back a port that isn't open.
func (p *portPool) unopened(port uint16, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse--
	if !p.random {
		p.free = append(p.free, freePort{port, now})
	}
}

// count tells the pairs in use, those ready to be taken, and those resting.
func (p *portPool) count(now time.Duration) (inUse, free, resting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.spare {
		if now-f.since < p.rest {
			resting++
		}
	}
	for _, f := range p.free {
		if now-f.since < p.rest {
			resting++
		}
	}
	if p.random {
		return p.inUse, 0, 0
	}
	return p.inUse, len(p.spare) + len(p.free) - resting, resting
}

// spares is how many pairs are open without a leg.
func (p *portPool) spares() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.spare)
}

// close closes the spare pairs; those in use are closed when they are given back.
func (p *portPool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, f := range p.spare {
		errs = append(errs, f.close())
	}
	p.spare = nil
	return errors.Join(errs...)
}

// openPair opens a pair at that address on that port and the next, read by the shard with the fewest legs. 0 lets
// the kernel choose; EADDRINUSE then says that its choice was odd, or its neighbour taken.
func (e *Engine) openPair(bind netip.Addr, port uint16) (*pair, error) {
	rtp, err := listen(bind, port)
	if err != nil {
		return nil, err
	}
	if rtp.port&1 == 1 {
		return nil, errors.Join(syscall.EADDRINUSE, rtp.close())
	}
	rtcp, err := listen(bind, rtp.port+1)
	if err != nil {
		return nil, errors.Join(err, rtp.close())
	}
	p := &pair{rtp: rtp, rtcp: rtcp, port: rtp.port, shard: e.calmest()}
	if err := errors.Join(p.shard.poll.add(rtp), p.shard.poll.add(rtcp)); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// calmest is the shard that serves the fewest legs.
func (e *Engine) calmest() *shard {
	least := e.shards[0]
	for _, s := range e.shards[1:] {
		if s.load() < least.load() {
			least = s
		}
	}
	return least
}
