package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"hotline/ivr"
	"hotline/media"
	"hotline/records"
	"hotline/routing"
	"hotline/routing/customers"
	"hotline/sip"
)

// call is one caller from INVITE to record. Its goroutine owns it: what happens
// to the call is read from top to bottom in run.
type call struct {
	s   *Server
	id  routing.CallID
	log *slog.Logger
	cfg *settings

	flow *ivr.Flow

	a     *sip.Leg
	audio *media.Leg // the caller's; nil before accept
	early early

	decisions <-chan routing.Decision
	// ringings are the seats that ring now, by the number of the offer; rungs is what
	// happens to them.
	ringings map[uint64]*ringing
	rungs    chan rung
	picks    chan *pick
	customer customers.Customer
	known    bool // the directory knows the caller
	language string
	queue    routing.QueueID
	cause    string
	heard    figures
	rec      recorded
}

// figures are the media figures of a call for its record.
type figures struct {
	Caller, Agent media.LegStats
	Recordings    []records.Recording
	Dials         []records.Dial
}

// begin answers the call and leaves the rest of its way to a goroutine of its own: what answers goes deeper than
// what then waits, and a stack that has grown stays so deep.
func (c *call) begin() {
	c.s.recs.Store(c.id, c)
	if !c.accept() {
		c.finish()
		return
	}
	go func() {
		defer c.finish()
		c.run()
	}()
}

// run is the way of one call that was let in.
func (c *call) run() {
	if !c.waitsForAnswer() && !c.recordCall() || !c.bear() {
		return
	}
	for c.askIVR() && c.beforeQueue() {
		c.s.core.post(routing.CallQueued{Call: c.id, Queue: c.queue, Language: c.language})
		c.log.Info("call queued", "queue", c.queue, "tier", c.customer.Tier)
		if c.wait() != ivrAfter {
			return
		}
	}
}

// finish closes the call and lets the server forget it.
func (c *call) finish() {
	c.s.recs.Delete(c.id)
	c.close()
	c.s.active.Add(-1)
	c.log.Debug("call gone")
	select {
	case c.s.idle <- struct{}{}:
	default:
	}
	c.s.calls.Done()
}

// accept finds out who calls and answers; false when the call was turned away.
func (c *call) accept() bool {
	in := c.a.Incoming()
	c.a.JoinTrace(string(c.id))
	c.s.core.post(routing.CallArrived{Call: c.id, Number: in.Caller.Number, DID: in.Dialled, Trunk: in.Trunk.Name,
		Attestation: verdict(in.Attestation), Diversions: diversions(in.Diversions)})
	c.log.Info("call arrived", "trunk", in.Trunk.Name, "did", in.Dialled, "from", maskNumber(in.Caller.Number))
	if c.flow = c.cfg.flowFor(in.Trunk.Name, in.Dialled); c.flow == nil {
		if c.cfg.Incomplete(in.Trunk.Name, in.Dialled) {
			return c.refuse(484, "Address Incomplete", "digits of the number dialled are missing") // overlap dialling, RFC 3578
		}
		return c.refuse(404, "Not Found", "no flow for the number dialled")
	}
	c.identify(in.Caller)
	leg, err := c.s.newAudio(string(c.id), c.a.Listener())
	if errors.Is(err, media.ErrNoPorts) {
		c.log.Warn("call refused", "code", 503, "reason", err)
		c.cause = routing.CauseRejected
		if err := c.a.RejectOverload(); err != nil {
			c.cause = routing.CauseCallerHungUp
		}
		return false
	} else if err != nil {
		return c.refuse(500, "Server Internal Error", err.Error())
	}
	leg.Prefer(c.cfg.TrunkCodecs(in.Trunk.Name))
	leg.Protect(c.cfg.protection(c.a))
	leg.Trust(c.cfg.TrunkTrusted(in.Trunk.Name))
	keysWith(c.a, leg, c.cfg.TrunkKeys(in.Trunk.Name))
	c.audio = leg
	sdp, err := firstSDP(leg, in)
	if err != nil {
		return c.refuse(488, "Not Acceptable Here", err.Error())
	}
	c.s.join(c.log, c.a, leg, nil)
	c.early.sdp = sdp
	if c.flow.Early() > 0 && len(in.Offer) > 0 { // without an offer nothing can be heard before the answer
		c.soundEarly()
		return true
	}
	if !c.AnswerCall() {
		c.cause = routing.CauseCallerHungUp
		return false
	}
	if len(in.Offer) == 0 {
		return c.awaitAck()
	}
	return true
}

// awaitAck waits for the ACK with the caller's SDP.
func (c *call) awaitAck() bool {
	switch {
	case c.s.acknowledged(c.a):
		return true
	default:
		c.drained()
	}
	return false
}

// drained ends a call that the server's end cuts, unless the caller hung up before.
func (c *call) drained() {
	c.cause = routing.CauseDrained
	if isDone(c.a.Done()) {
		c.cause = routing.CauseCallerHungUp
	}
}

// firstSDP answers the caller's offer, or makes ours when the INVITE had none:
// then the answer comes in the ACK.
func firstSDP(audio *media.Leg, in sip.Incoming) ([]byte, error) {
	expectFrom(audio, in.Source)
	if len(in.Offer) == 0 {
		return audio.Offer()
	}
	return audio.Answer(in.Offer)
}

// expectFrom tells the leg where the phone's signalling comes from; with several phones it isn't known.
func expectFrom(audio *media.Leg, sources ...string) {
	var from netip.Addr
	for i, source := range sources {
		at, err := netip.ParseAddrPort(source)
		if err != nil || i > 0 && at.Addr() != from {
			return
		}
		from = at.Addr()
	}
	audio.Expect(from)
}

// join lets a leg's signalling steer its media: re-INVITEs, SDP in the ACK,
// digits by INFO. changed, if not nil, hears of each new hold state.
func (s *Server) join(log *slog.Logger, l *sip.Leg, m *media.Leg, changed func(held bool)) {
	l.OnReoffer(func(offer []byte) (sdp []byte, refuse int) {
		var err error
		if len(offer) == 0 {
			sdp, err = m.Offer()
		} else {
			sdp, err = m.Answer(offer)
		}
		if err != nil {
			log.Warn("new session refused", "error", err)
			return nil, 488
		}
		if changed != nil {
			changed(m.Held())
		}
		return sdp, 0
	})
	l.OnAnswer(func(answer []byte) {
		if err := m.SetAnswer(answer); err != nil {
			log.Warn("answer in the ACK can't be used", "error", err)
			l.Hangup()
			return
		}
		if changed != nil {
			changed(m.Held())
		}
	})
	l.OnDigit(func(key byte) { _ = m.InjectDigit(key) })
}

// identify looks the caller up. It takes at most the directory's deadline.
func (c *call) identify(who sip.Caller) {
	number := who.Number
	if who.Anonymous {
		number = who.Withheld // by which a customer has the tier, though nobody is shown who it is
	}
	cust, source, _ := c.s.who.get().Find(c.s.ctx, number)
	c.customer = cust
	c.known = source != customers.FromDefault && source != customers.FromAnonymous
	if c.known {
		c.language = cust.Language // a stranger is asked, or hears both
	}
	if c.known { // nothing is known of the others, perhaps as the directory is away
		c.a.Favour(cust.Tier.Band() == routing.BandA)
	}
	c.s.core.post(routing.CallIdentified{Call: c.id, Customer: cust.ID, Tier: cust.Tier, Manager: cust.Manager,
		Team: cust.Team, Language: c.language, Source: string(source)})
	c.log.Info("caller identified", "tier", cust.Tier, "customer", cust.ID, "source", source)
}

// refuse turns the call away before it was answered.
func (c *call) refuse(code int, phrase, why string, headers ...string) bool {
	c.log.Warn("call refused", "code", code, "reason", why)
	c.cause = routing.CauseRejected
	if err := c.a.Reject(code, phrase, headers...); err != nil {
		c.cause = routing.CauseCallerHungUp
	}
	return false
}

// askIVR plays the flow; false when the call is over.
func (c *call) askIVR() bool {
	res, err := ivr.Run(c.s.ctx, c.flow, recordedPort{c.audio, c}, c.cfg.prompts,
		ivr.Facts{Tier: c.customer.Tier, Language: c.language, Identified: c.known, Attestation: verdict(c.a.Incoming().Attestation)})
	if res.Language != "" {
		c.language = res.Language
	}
	switch {
	case isDone(c.a.Done()):
		c.cause = routing.CauseCallerHungUp
	case isDone(c.audio.Timeout()):
		c.cause = silence(c.audio)
	case c.s.ctx.Err() != nil:
		c.drained()
	case err != nil:
		c.log.Error("flow failed", "error", err)
		c.cause = routing.CauseFailed
	case res.Queue == "":
		c.cause, c.early.refuse = routing.CauseFlowEnded, res.Refuse
	default:
		c.queue = res.Queue
		return true
	}
	return false
}

// verdict is what is recorded of who signed for the caller's number; empty when nobody
// looked.
func verdict(a sip.Attestation) string {
	if a.Result == "valid" {
		return a.Level
	}
	return a.Result
}

// diversions are what is recorded of whom the call was meant for before.
func diversions(list []sip.Diversion) []routing.Diversion {
	var out []routing.Diversion
	for _, d := range list {
		out = append(out, routing.Diversion(d))
	}
	return out
}

func isDone(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// wait holds the caller in the queue, rings whom routing names, and talks, until the
// call is over or goes into a flow.
func (c *call) wait() after {
	c.s.waits.enter(c)
	defer c.s.waits.forget(c)
	c.playMusic()
	a := c.announce()
	defer a.stop()
	defer c.withdrawAll()
	for {
		select {
		case <-c.a.Done():
			c.cause = routing.CauseCallerHungUp
			return overAfter
		case <-c.audio.Timeout():
			c.cause = silence(c.audio)
			return overAfter
		case <-c.s.ctx.Done():
			c.drained()
			return overAfter
		case d := <-c.decisions:
			switch d := d.(type) {
			case *routing.Offer:
				c.ring(*d)
			case *routing.Withdraw:
				if r := c.ringings[d.Offer]; r != nil {
					r.withdraw()
				}
			case *routing.Overflow:
				if d.To == "" {
					c.turnAway(d)
					return overAfter
				}
				c.moveOn(d)
				a.begin()
			case *routing.Disconnect:
				c.cause = d.Cause
				return overAfter
			case *routing.Transferred:
				c.queue = d.Queue // told again: the talk has heard it, or has caused it
			}
		case <-c.justAnswered():
			if !c.recordAnswered() {
				return overAfter
			}
			c.playMusic()
		case <-a.due():
			a.tell()
		case <-a.told():
			a.next()
		case r := <-c.rungs:
			if b := c.rung(r); b != nil {
				if next := c.talkAndBack(b, a); next != waitAfter {
					return next
				}
			}
		case p := <-c.picks:
			if b := c.picked(p); b != nil {
				if next := c.talkAndBack(b, a); next != waitAfter {
					return next
				}
			}
		}
	}
}

// talkAndBack talks, and lets the caller wait again if that is what comes of it.
func (c *call) talkAndBack(b *party, a *announcing) after {
	a.now = nil
	next := c.talk(b)
	if next == waitAfter {
		a.begin() // perhaps in another queue
		c.playMusic()
	}
	return next
}

// rung follows what an agent's phone does, and returns the agent who has answered.
func (c *call) rung(r rung) *party {
	if c.ringings[r.offer.Offer] != r.ringing {
		return nil // withdrawn meanwhile
	}
	switch r.what {
	case rang:
		r.rings()
	case tooLong:
		r.withdraw()
		r.failed(routing.OfferNoAnswer)
	case decided:
		return r.outcome()
	}
	return nil
}

func (c *call) playMusic() {
	c.play(c.cfg.music[c.queue], media.PlayOptions{Loop: true})
}

// play plays a clip, or nothing when a reload has brought a name that the call's
// settings don't know.
func (c *call) play(clip *media.Clip, opt media.PlayOptions) *media.Playback {
	if clip == nil {
		return c.audio.Play(nil, opt)
	}
	return c.audio.Play(clip, opt)
}

// moveOn lets the caller wait in the queue that routing chose.
func (c *call) moveOn(d *routing.Overflow) {
	c.log.Info("call moved on", "from", d.From, "to", d.To, "cause", d.Cause)
	other := c.cfg.music[d.To] != c.cfg.music[c.queue]
	c.queue = d.To
	if other {
		c.playMusic()
	}
}

// turnAway tells the caller, if there is anything to tell, that the queue doesn't
// take or keep the call. For routing it is over already.
func (c *call) turnAway(d *routing.Overflow) {
	c.cause = d.Cause
	c.log.Info("call turned away", "queue", d.From, "cause", d.Cause, "prompt", d.Prompt)
	if d.Prompt == "" {
		return
	}
	c.hear(d.Prompt)
	c.cause = d.Cause // whoever hung up during the prompt
}

// close ends what is left of the call and reports its end.
func (c *call) close() {
	if c.cause == "" {
		c.cause = routing.CauseFailed
	}
	c.letGo()
	c.heard.Recordings = c.recordings()
	if c.audio != nil {
		_ = c.audio.Close()
		c.heard.Caller = c.audio.Stats()
		c.s.mediaOver(c.log.With("with", "caller"), c.heard.Caller)
	}
	c.log.Info("call ended", "cause", c.cause, "caller_secure", c.heard.Caller.Secure, "agent_secure", c.heard.Agent.Secure)
	c.s.endCall(c)
}

// maskNumber keeps the last two digits of a number for logs.
func maskNumber(n string) string {
	if len(n) < 4 {
		return "-"
	}
	return fmt.Sprintf("%s…%s", n[:3], n[len(n)-2:])
}
