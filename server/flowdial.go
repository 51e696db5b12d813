package server

import (
	"context"
	"time"

	"hotline/ivr"
	"hotline/media"
	"hotline/records"
	"hotline/sip"
)

// Dial connects the caller with whom a dial step names, with the rights of the flow.
func (p recordedPort) Dial(ctx context.Context, dialled string, ring time.Duration, talks func()) (end ivr.Dialled) {
	c := p.c
	ctx, cancel := c.untilGone(ctx)
	defer cancel()
	to, ok := c.cfg.resolve(dialled)
	if !ok || to.agent == "" && to.number == "" {
		c.log.Error("flow dials what leads nowhere", "flow", c.flow.Name)
		return ivr.DialRefused
	}
	n := c.noteDial(to)
	defer func() { n.over(end) }()
	d, no := c.s.dialTo(to, c.onBehalf(byFlow(c.flow.Name), func(contacts []sip.Contact, sdp []byte) sip.Outgoing {
		return c.ringOut(contacts, to, sdp, c.customer.Tier)
	}))
	if no.code != 0 {
		c.log.Warn("flow's call refused", "flow", c.flow.Name, "to", to, "code", no.code, "reason", no.phrase)
		return dialledBy(no.code, "")
	}
	c.log.Info("flow dials", "flow", c.flow.Name, "to", to)
	b, end := c.awaitDialled(ctx, d, ring)
	n.sent(d, b != nil)
	if b == nil {
		return end
	}
	if b.vacate != nil {
		defer b.vacate()
	}
	defer c.s.leave(b, nil)
	if !c.AnswerCall() { // whose flow ends
		return ivr.DialNoAnswer
	}
	talks()
	c.s.join(c.log, b.leg, b.audio, nil)
	b.leg.JoinTrace(string(c.id))
	if err := media.Bridge(c.audio, b.audio); err != nil {
		c.log.Error("legs can't be bridged", "error", err)
		return ivr.DialRefused
	}
	defer media.Unbridge(c.audio, b.audio)
	c.log.Info("flow's call answered", "by", b.where)
	c.recordDialled(b)
	c.talkDialled(ctx, b)
	return ivr.DialTalked
}

// talkDialled lasts until one of them leaves. Both hear the tone of a recording, which an agent's keys pause.
func (c *call) talkDialled(ctx context.Context, b *party) {
	tone, stop := c.cfg.beeper()
	defer stop()
	defer c.pauseRecording(false) // nobody is left to end it
	digits, pause := b.audio.Digits(), codeReader{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.leg.Done():
			return
		case <-b.audio.Timeout():
			c.log.Warn("no sound from the other side any more", "with", b.where)
			return
		case <-tone:
			c.rec.beep(c.audio, b.audio)
		case k, open := <-digits:
			if !open {
				digits = nil
			} else if b.seat != "" && pause.add(c.cfg.FeatureCodes.PauseRecording, k) {
				c.togglePause(b)
			}
		}
	}
}

// dialNote is what the call's record will say of a call that its flow makes.
type dialNote struct {
	c     *call
	to    records.Dial
	began time.Time
	rang  time.Duration // until it was decided
}

func (c *call) noteDial(to destination) *dialNote {
	n := &dialNote{c: c, began: time.Now(), to: records.Dial{Flow: c.flow.Name, To: to.String()}}
	if to.number != "" {
		n.to.To = maskNumber(c.cfg.Outbound.Number(to.number))
	}
	return n
}

// sent notes by whom, and that the ringing is over.
func (n *dialNote) sent(d *dialled, answered bool) {
	n.to.Trunk = d.dial.Outcome().Trunk
	if answered {
		n.rang = time.Since(n.began)
	}
}

func (n *dialNote) over(end ivr.Dialled) {
	all := time.Since(n.began)
	if n.rang == 0 {
		n.rang = all
	}
	n.to.At, n.to.Outcome = records.Time{Time: n.began}, string(end)
	n.to.Ring, n.to.Talk = records.Seconds(n.rang.Microseconds()), records.Seconds((all - n.rang).Microseconds())
	n.c.heard.Dials = append(n.c.heard.Dials, n.to)
}

// untilGone is ctx until the caller is gone.
func (c *call) untilGone(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-c.a.Done():
		case <-c.audio.Timeout():
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, cancel
}

// awaitDialled is who has answered, or nil and how it came out. The caller hears the
// network's ring-back, or ours.
func (c *call) awaitDialled(ctx context.Context, d *dialled, ring time.Duration) (*party, ivr.Dialled) {
	c.play(media.RingBack(), media.PlayOptions{Loop: true})
	defer c.audio.Silence()
	limit := time.NewTimer(ring)
	defer limit.Stop()
	early := d.dial.Early()
	for {
		select {
		case <-ctx.Done():
			d.drop()
			return nil, ivr.DialNoAnswer
		case <-limit.C:
			d.drop()
			return nil, ivr.DialNoAnswer
		case <-c.justAnswered():
			if c.fromAnswer() { // told of when the ringing is over
				c.recordLeg("caller", "", c.audio)
			}
		case <-early:
			early = nil
			if !d.hears(c.audio) {
				c.log.Debug("ring-back can't be heard", "to", d.to)
			}
		case <-d.dial.Done():
			d.hush(c.audio)
			cause := d.dial.Outcome().Cause
			b, why, code := d.answered()
			if b == nil {
				c.log.Info("flow's call not answered", "to", d.to, "reason", why, "code", code)
				return nil, dialledBy(code, cause)
			}
			return b, ivr.DialTalked
		}
	}
}

// dialledBy says in a flow's words what became of a call that wasn't answered.
func dialledBy(code int, cause sip.DialCause) ivr.Dialled {
	switch {
	case cause == sip.DialBusy || code == 486 || code == 600:
		return ivr.DialBusy
	case cause == sip.DialUnreachable || cause == sip.DialNoCapacity || code == 480 || code == 408:
		return ivr.DialNoAnswer
	}
	return ivr.DialRefused
}
