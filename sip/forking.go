package sip

// ringNext rings the next contacts: those of the same preference together. Branches
// that can't begin any more have failed.
func (d *Dialing) ringNext() {
	d.mu.Lock()
	n := 0
	for n < len(d.waiting) && d.waiting[n].contact.Q == d.waiting[0].contact.Q {
		n++
	}
	group := d.waiting[:n]
	d.waiting = d.waiting[n:]
	d.open += n
	d.mu.Unlock()
	for _, b := range group {
		if !d.stack.spawn(b.run) {
			d.failed(Outcome{Cause: DialUnreachable})
		}
	}
}
