package recording

const (
	// paceWindow is how long a stream is watched before its place is judged, in samples, and paceLeast is how many packets
	// that takes.
	paceWindow = 10 * rate
	paceLeast  = 100
	// paceSlack is how far it may run from the clock: 5 ms.
	paceSlack = rate / 200
)

// pace follows a phone whose clock is off: its timestamps would carry its sound ever further from that of the other
// channel. The quickest packets of a window tell; those that come late mean nothing.
type pace struct {
	begun   bool
	known   bool
	normal  int64 // how far ahead of the clock the quickest packets were placed at first
	best    int64 // the same in this window
	until   int64 // its end
	packets int   // in it
	owed    int64 // samples by which the stream is to be moved back
}

// step takes a packet that is placed so far ahead of the clock, and says by how much it and what follows is moved: by a
// sample at most, which nobody hears.
func (p *pace) step(ahead, now int64) int64 {
	switch {
	case p.owed > 0:
		p.owed--
		p.begun = false
		return -1
	case p.owed < 0:
		p.owed++
		p.begun = false
		return 1
	case !p.begun:
		p.begun, p.best, p.until, p.packets = true, ahead, now+paceWindow, 0
	}
	p.best = max(p.best, ahead)
	if p.packets++; now < p.until || p.packets < paceLeast {
		return 0
	}
	p.begun = false
	if off := p.best - p.normal; !p.known {
		p.known, p.normal = true, p.best
	} else if off > paceSlack || off < -paceSlack {
		p.owed = off
	}
	return 0
}
