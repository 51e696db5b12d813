package playout

// delays knows how much later than the quickest ones packets come, and what target follows
// from it.
type delays struct {
	base   int64 // transit (arrival less timestamp) of the quickest packet lately
	next   int64 // of the quickest since the window began
	window int64 // arrival that began it
	known  bool

	share [delayBins]float32 // histogram of what packets were later than base; sums to 1
	count int                // packets in it, up to memory
}

const (
	binLen     = 5 * perMs
	delayBins  = 64               // 320 ms
	memory     = 500              // packets: 10 s of 20 ms
	quantile   = float32(0.99)    // of packets that shall be in time
	windowLen  = 2 * 1000 * perMs // the quickest packet is forgotten after two of these
	hysteresis = binLen           // beyond a period, before delay is taken away
)

// reset expects packets to be that late, until some have come.
func (d *delays) reset(late int64) {
	*d = delays{count: 1}
	d.share[min(max(late+binLen-1, 0)/binLen, delayBins-1)] = 1
}

// add takes the transit of a packet into account.
func (d *delays) add(transit, arrival int64) {
	switch {
	case !d.known:
		d.base, d.next, d.window, d.known = transit, transit, arrival, true
	case arrival-d.window > windowLen || arrival < d.window:
		d.base, d.next, d.window = min(d.next, transit), transit, arrival
	default:
		d.base, d.next = min(d.base, transit), min(d.next, transit)
	}
	bin := min((transit-d.base+binLen-1)/binLen, delayBins-1)
	d.count = min(d.count+1, memory)
	keep := 1 - 1/float32(d.count)
	for i := range d.share {
		d.share[i] *= keep
	}
	d.share[bin] += 1 - keep
}

// late is how much later than the quickest packet all but a hundredth are, rounded up.
func (d *delays) late() int64 {
	var sum float32
	for i, s := range d.share {
		if sum += s; sum >= quantile {
			return int64(i) * binLen
		}
	}
	return (delayBins - 1) * binLen
}

// target is the delay aimed at: it holds back late packets, and is bounded.
func (b *Buffer) target() int64 {
	return min(max(b.delays.late()+b.period/2, b.low), b.high)
}

// need is the least delay of the quickest packet that serves the target.
func (b *Buffer) need() int64 { return b.target() - b.period/2 }

// delay is what the quickest packet waits now.
func (b *Buffer) delay() int64 { return b.offset - b.delays.base }
