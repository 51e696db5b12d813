package media

import (
	"errors"
	"sync"
	"time"
)

// ErrNoPorts says that every RTP port pair is taken or resting. The call should be refused
// with 503; pairs come back as calls end.
var ErrNoPorts = errors.New("no free RTP port pair")

// portPool hands out the even ports of a range, the longest unused first.
type portPool struct {
	mu     sync.Mutex
	rest   time.Duration
	free   []freePort // ordered by time of release
	inUse  int
	random bool // no range: the kernel chooses, nothing to keep
}

type freePort struct {
	port  uint16
	since time.Duration
}

func newPortPool(low, high uint16, rest time.Duration) *portPool {
	p := &portPool{rest: rest, random: low == 0 && high == 0}
	if p.random {
		return p
	}
	for port := int(low) + int(low&1); port+1 <= int(high); port += 2 {
		p.free = append(p.free, freePort{uint16(port), -rest})
	}
	return p
}

// take returns the port that has rested longest, or 0 when none has rested enough. A port rests
// so that what is still on its way to the call before does not reach the next one.
func (p *portPool) take(now time.Duration) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 || now-p.free[0].since < p.rest {
		return 0
	}
	port := p.free[0].port
	p.free = p.free[1:]
	p.inUse++
	return port
}

// took counts a port that the kernel chose.
func (p *portPool) took() {
	p.mu.Lock()
	p.inUse++
	p.mu.Unlock()
}

// give returns a port that take or took counted; it rests from now.
func (p *portPool) give(port uint16, now time.Duration) {
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
	for _, f := range p.free {
		if now-f.since < p.rest {
			resting++
		}
	}
	return p.inUse, len(p.free) - resting, resting
}
