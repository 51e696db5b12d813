package server

import (
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// ringing is an offer being carried out: the seat's phones ring.
type ringing struct {
	c       *call
	offer   routing.Offer
	dial    *sip.Dialing
	audio   *media.Leg
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
	contacts := c.s.sip.Contacts(string(o.Seat))
	if len(contacts) == 0 {
		fail(routing.OfferUnreachable, errNotRegistered)
		return
	}
	leg, err := c.s.media.NewLeg(string(c.id) + "/" + string(o.Seat))
	if err != nil {
		fail(routing.OfferFault, err)
		return
	}
	sdp, err := leg.Offer()
	if err != nil {
		_ = leg.Close()
		fail(routing.OfferFault, err)
		return
	}
	r.audio = leg
	c.log.Info("offer", "seat", o.Seat, "offer", o.Offer, "rule", o.Reasons.Rule, "waited_ms", o.Reasons.Waited/routing.Millisecond, "phones", len(contacts))
	r.dial = c.s.sip.Dial(sip.Outgoing{
		Contacts: contacts, ToUser: string(o.Seat), Offer: sdp,
		FromUser: c.shownNumber(), FromName: c.card(o.Reasons.Tier),
		Headers: []string{
			"X-Hotline-Call", string(c.id), "X-Hotline-Tier", o.Reasons.Tier.String(),
			"X-Hotline-Queue", string(c.queue), "X-Hotline-Customer", string(c.customer.ID),
			"X-Hotline-Language", c.language,
		},
	})
	c.ringings[o.Offer] = r
	go r.watch()
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
	name := c.customer.Name
	if name == "" {
		name = c.shownNumber()
	}
	return "[" + tier.String() + "] " + name + " / " + string(c.queue)
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
	if leg := r.dial.Cancel(); leg != nil {
		leg.Hangup()
	}
	r.dropAudio()
}

// withdrawAll stops every phone that rings for the call.
func (c *call) withdrawAll() {
	for _, r := range c.ringings { // each on its own
		r.withdraw()
	}
}

func (r *ringing) dropAudio() {
	if r.audio != nil {
		_ = r.audio.Close()
		r.audio = nil
	}
}

// outcome is the agent's leg, or nil when the offer failed; then that has been
// reported.
func (r *ringing) outcome() *agentLeg {
	r.stop()
	out := r.dial.Outcome()
	if out.Leg == nil {
		r.dropAudio()
		if out.Cause == sip.DialFault {
			r.c.log.Error("agent's phone takes none of our codecs", "seat", r.offer.Seat, "code", out.Code)
		}
		r.failed(offerCause(out.Cause))
		return nil
	}
	if err := r.audio.SetAnswer(out.Answer); err != nil {
		r.c.log.Error("agent's SDP can't be used", "seat", r.offer.Seat, "error", err)
		out.Leg.Hangup()
		r.dropAudio()
		r.failed(routing.OfferFault)
		return nil
	}
	r.c.s.core.post(routing.OfferAnswered{Call: r.offer.Call, Seat: r.offer.Seat, Offer: r.offer.Offer})
	return &agentLeg{offer: r.offer, leg: out.Leg, audio: r.audio}
}

// offerCause says in routing's words what became of the dialling.
func offerCause(d sip.DialCause) string {
	switch d {
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

// agentLeg is leg B of a call that was answered.
type agentLeg struct {
	offer routing.Offer
	leg   *sip.Leg
	audio *media.Leg
}

// talk bridges caller and agent until one of them leaves. It is false when the
// call goes on waiting: the offer was withdrawn as the agent picked up, the agent was
// gone before the bridge, or the talk ended with a transfer back into a queue.
func (c *call) talk(b *agentLeg) (over bool) {
	held := make(chan bool, 8)
	defer c.endTalk(b)
	c.join(b.leg, b.audio, func(h bool) {
		select {
		case held <- h:
		default: // more re-INVITEs than anybody can press; the last state is asked again below
		}
	})
	switch {
	case isDone(c.a.Done()):
		c.cause = routing.CauseCallerHungUp
		return true
	case isDone(b.leg.Done()):
		c.log.Warn("agent hung up before the bridge; the caller waits on", "seat", b.offer.Seat, "offer", b.offer.Offer)
		c.s.core.post(routing.OfferFailed{Call: c.id, Seat: b.offer.Seat, Offer: b.offer.Offer, Cause: routing.OfferRefused})
		return false
	}
	if err := media.Bridge(c.audio, b.audio); err != nil {
		c.log.Error("legs can't be bridged", "error", err)
		c.cause = routing.CauseFailed
		return true
	}
	if !c.s.core.startTalk(routing.TalkStarted{Call: c.id, Seat: b.offer.Seat, Offer: b.offer.Offer}) {
		c.log.Warn("offer withdrawn as the agent picked up; the caller waits on", "seat", b.offer.Seat, "offer", b.offer.Offer)
		media.Unbridge(c.audio, b.audio)
		return false
	}
	c.withdrawAll() // the others of a ring group, as routing has done
	c.log.Info("talk started", "seat", b.offer.Seat, "agent_sip_call_id", b.leg.CallID())
	onHold := false
	for {
		select {
		case <-c.a.Done():
			c.cause = routing.CauseCallerHungUp
			return true
		case <-b.leg.Done():
			c.cause = routing.CauseAgentHungUp
			return true
		case <-c.audio.Timeout():
			c.log.Warn("no sound from the caller's side any more")
			c.cause = routing.CauseRTPTimeout
			return true
		case <-b.audio.Timeout():
			c.log.Warn("no sound from the agent's side any more", "seat", b.offer.Seat)
			c.cause = routing.CauseRTPTimeout
			return true
		case <-c.s.ctx.Done():
			c.cause = routing.CauseDrained
			return true
		case d := <-c.decisions:
			switch d := d.(type) {
			case *routing.Disconnect:
				c.cause = d.Cause
				return true
			case *routing.Transferred:
				c.log.Info("call transferred", "from", d.Seat, "queue", d.Queue)
				c.queue = d.Queue
				return false
			}
		case <-held:
			if h := b.audio.Held(); h != onHold {
				onHold = h
				c.hold(b, h)
			}
		}
	}
}

// hold plays music to the caller while the agent is away, and brings them
// together again.
func (c *call) hold(b *agentLeg, held bool) {
	c.s.core.post(routing.HoldChanged{Call: c.id, Held: held})
	if held {
		media.Unbridge(c.audio, b.audio)
		c.playMusic()
		return
	}
	if err := media.Bridge(c.audio, b.audio); err != nil {
		c.log.Error("legs can't be bridged after hold", "error", err)
	}
}

func (c *call) endTalk(b *agentLeg) {
	media.Unbridge(c.audio, b.audio)
	b.leg.Hangup()
	_ = b.audio.Close()
	c.heard.Agent = b.audio.Stats()
	c.s.metrics.MediaLeg(c.heard.Agent)
}
