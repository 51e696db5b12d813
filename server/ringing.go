package server

import (
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/routing/customers"
	"hotline/sip"
)

// ringing is an offer being carried out: the seat's phones ring.
type ringing struct {
	*dialled
	c       *call
	offer   routing.Offer
	stopped chan struct{}
}

// rung is what happens to a ringing.
type rung struct {
	*ringing
	what rungWhat
}

type rungWhat uint8

const (
	rang    rungWhat = iota // the phone rings
	tooLong                 // nobody has answered within the ring time
	decided                 // the phone has answered, refused or failed
)

// failPause is how long an offer that couldn't even begin stays open. Without it
// a fault that lasts (no free port) and a rest of 0 make routing and this call
// spin.
const failPause = time.Second

// ring dials the seat; c.rungs hears what comes of it. When that can't even begin,
// the offer fails after failPause.
func (c *call) ring(o routing.Offer) {
	r := &ringing{c: c, offer: o, stopped: make(chan struct{})}
	fail := func(cause string, err error) {
		c.log.Warn("seat can't be rung", "seat", o.Seat, "error", err)
		time.AfterFunc(failPause, func() { r.failed(cause) })
	}
	all := c.s.sip.Contacts(string(o.Seat))
	contacts, p := c.cfg.phones(string(o.Seat), all)
	if len(contacts) == 0 && len(all) > 0 {
		fail(routing.OfferFault, media.ErrKeysInClear)
		return
	}
	if len(contacts) == 0 {
		fail(routing.OfferUnreachable, errNotRegistered)
		return
	}
	c.log.Info("offer", "seat", o.Seat, "offer", o.Offer, "rule", o.Reasons.Rule, "waited_ms", o.Reasons.Waited/routing.Millisecond, "phones", len(contacts))
	to := destination{agent: string(o.Seat)}
	d, err := c.s.dialPhones(string(c.id)+"/"+string(o.Seat), to, contacts, p, c.audio, func(sdp []byte) *sip.Dialing {
		return c.s.sip.Dial(c.ringOut(contacts, to, sdp, o.Reasons.Tier))
	})
	if err != nil {
		fail(routing.OfferFault, err)
		return
	}
	r.dialled = d
	c.ringings[o.Offer] = r
	go r.watch()
}

// ringOut is the INVITE to an agent's phone, with the customer's card.
func (c *call) ringOut(contacts []sip.Contact, to destination, sdp []byte, tier routing.Tier) sip.Outgoing {
	return sip.Outgoing{
		Contacts: contacts, ToUser: to.agent, Offer: sdp, Hops: c.a.Incoming().Hops,
		FromUser: c.shownNumber(), FromName: c.card(tier),
		Headers: append(c.phoneHeaders(to.agent, tier),
			"X-Hotline-Call", string(c.id), "X-Hotline-Tier", tier.String(),
			"X-Hotline-Queue", string(c.queue), "X-Hotline-Customer", string(c.shownCustomer().ID),
			"X-Hotline-Language", c.language,
		),
	}
}

// phoneHeaders are what phones act on: the customer's page, how to ring, and that they
// are to pick up by themselves.
func (c *call) phoneHeaders(agent string, tier routing.Tier) (hs []string) {
	if page := c.cfg.Card.Fill(func(field string) string {
		switch field {
		case "customer":
			return string(c.shownCustomer().ID)
		case "call":
			return string(c.id)
		case "tier":
			return tier.String()
		case "queue":
			return string(c.queue)
		default:
			return c.language
		}
	}); page != "" {
		hs = append(hs, "Call-Info", "<"+page+">;purpose=info")
	}
	if alert := c.cfg.Card.AlertFor(tier); alert != "" {
		hs = append(hs, "Alert-Info", "<"+alert+">")
	}
	if a, ok := c.cfg.Agent(agent); ok && a.AutoAnswer {
		hs = append(hs, "Answer-Mode", "Auto", "Call-Info", "<sip:hotline>;answer-after=0",
			"Alert-Info", "<http://hotline.invalid>;info=alert-autoanswer;delay=0")
	}
	return hs
}

// watch tells the call what happens, until the ringing is decided or stopped.
func (r *ringing) watch() {
	limit := time.NewTimer(std(r.offer.RingTime))
	defer limit.Stop()
	tell := func(what rungWhat) bool {
		select {
		case r.c.rungs <- rung{r, what}:
			return true
		case <-r.stopped:
			return false
		}
	}
	sounds := r.dial.Ringing()
	for {
		select {
		case <-sounds:
			sounds = nil // once
			limit.Reset(std(r.offer.RingTime))
			if !tell(rang) {
				return
			}
		case <-limit.C:
			tell(tooLong)
			return
		case <-r.dial.Done():
			tell(decided)
			return
		case <-r.stopped:
			return
		}
	}
}

// card is what the agent's phone shows as the caller's name: the tier first.
func (c *call) card(tier routing.Tier) string {
	name := c.shownCustomer().Name
	if name == "" {
		name = c.shownNumber()
	}
	return "[" + tier.String() + "] " + name + " / " + string(c.queue)
}

// shownCustomer is who calls, as far as agents are shown it: nobody when the caller
// withholds the number.
func (c *call) shownCustomer() customers.Customer {
	if c.a.Incoming().Caller.Anonymous {
		return customers.Customer{}
	}
	return c.customer
}

func (c *call) shownNumber() string {
	if n := c.a.Incoming().Caller.Number; n != "" {
		return n
	}
	return "anonymous"
}

// rings reports that the phone rings.
func (r *ringing) rings() {
	r.c.s.core.post(routing.OfferRinging{Call: r.offer.Call, Seat: r.offer.Seat, Offer: r.offer.Offer})
}

// failed puts the call back to its place.
func (r *ringing) failed(cause string) {
	r.c.log.Info("offer failed", "seat", r.offer.Seat, "offer", r.offer.Offer, "cause", cause)
	r.c.s.core.post(routing.OfferFailed{Call: r.offer.Call, Seat: r.offer.Seat, Offer: r.offer.Offer, Cause: cause})
}

// stop ends the ringing for the call; what the phones do is left alone.
func (r *ringing) stop() {
	close(r.stopped)
	delete(r.c.ringings, r.offer.Offer)
}

// withdraw stops the phones, or hangs up the one that has just answered.
func (r *ringing) withdraw() {
	r.stop()
	r.drop()
}

// withdrawAll stops every phone that rings for the call.
func (c *call) withdrawAll() {
	for _, r := range c.ringings { // each on its own
		r.withdraw()
	}
}

// outcome is the agent who answered, or nil when the offer failed; then that has been
// reported.
func (r *ringing) outcome() *party {
	r.stop()
	p, why, code := r.answered()
	if p != nil {
		r.c.s.core.post(routing.OfferAnswered{Call: r.offer.Call, Seat: r.offer.Seat, Offer: r.offer.Offer})
		p.offer = r.offer.Offer
		return p
	}
	cause := offerCause(r.dial.Outcome())
	if cause == routing.OfferFault {
		r.c.log.Error("agent's phone can't talk with us", "seat", r.offer.Seat, "code", code, "reason", why)
	}
	r.failed(cause)
	return nil
}

// offerCause says in routing's words what became of the dialling. One that was
// answered and came to nothing could not be talked with.
func offerCause(o sip.Outcome) string {
	if o.Leg != nil {
		return routing.OfferFault
	}
	switch o.Cause {
	case sip.DialBusy:
		return routing.OfferBusy
	case sip.DialRefused:
		return routing.OfferRefused
	case sip.DialFault:
		return routing.OfferFault
	default:
		return routing.OfferUnreachable
	}
}
