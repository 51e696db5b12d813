package sip

import gosip "github.com/emiago/sipgo/sip"

// Answerer is who an SDP came from that answers ours.
type Answerer struct {
	// Trunk by whose gateway it came; "" for another call.
	Trunk string
	// Source is the address that the INVITE went to, with its port, where it is known: a gateway's, or that
	// from which a phone registered.
	Source string
	// Dialog is another one for each party of a fork, and for each gateway; "" when the answer doesn't tell.
	Dialog string
}

// answerer is who has sent an answer to the branch's INVITE.
func (b *invite) answerer(res *gosip.Response) Answerer {
	a := Answerer{Trunk: b.trunk, Source: b.contact.hop}
	if a.Source == "" {
		a.Source = b.contact.Source
	}
	if tag, _ := res.To().Params.Get("tag"); tag != "" {
		a.Dialog = string(*b.req.CallID()) + ";" + tag
	}
	return a
}

// EarlyFrom is who has sent EarlySDP.
func (d *Dialing) EarlyFrom() Answerer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.earlyFrom
}
