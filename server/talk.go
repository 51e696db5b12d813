package server

import (
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// after is what becomes of a call when a talk, or the wait for one, is over.
type after int

const (
	overAfter after = iota // nothing: it ends
	waitAfter              // it waits in c.queue
	ivrAfter               // it hears c.flow
	talkAfter              // it goes on talking, with somebody else
)

// talk is a caller's talk with a party, from the bridge until one of them leaves or it
// moves on.
type talk struct {
	*call
	b      *party // nil once the agent has left a transfer to us
	held   chan bool
	onHold bool
	keys   keyReader
	pause  codeReader
	// moving is where the call is being transferred to, nil when nowhere.
	moving *transfer
	// handing is under way while the trunk is asked to take the caller back.
	handing *handing
	// failed is when a transfer last came to nothing.
	failed  time.Time
	refers  chan asked
	swaps   chan *swap
	visits  chan func()   // run by the talk's goroutine
	over    chan struct{} // closed when it is
	company company
	confers codeReader
}

// giveBackWithin is how soon after a failed transfer a phone hangs up by itself, as some
// do, and not because the agent wants the call to end.
const giveBackWithin = time.Second

// talk bridges caller and agent until one of them leaves. The call goes on waiting when
// the offer was withdrawn as the agent picked up or the agent was gone before the
// bridge.
func (c *call) talk(b *party) after {
	t := &talk{call: c, held: make(chan bool, 8), refers: make(chan asked, 1), swaps: make(chan *swap), visits: make(chan func()), over: make(chan struct{}),
		company: company{s: c.s, a: c.audio}}
	if isDone(c.a.Done()) {
		c.cause = routing.CauseCallerHungUp
		c.end(b)
		return overAfter
	}
	if isDone(b.leg.Done()) {
		c.log.Warn("agent hung up before the bridge; the caller waits on", "seat", b.seat, "offer", b.offer)
		defer c.end(b)
		if b.offer == 0 { // picked up: routing has it that they talk
			return c.giveBack()
		}
		c.s.core.post(routing.OfferFailed{Call: c.id, Seat: b.seat, Offer: b.offer, Cause: routing.OfferRefused})
		return waitAfter
	}
	if !t.connect(b) {
		c.end(b)
		return overAfter
	}
	if !c.s.core.startTalk(routing.TalkStarted{Call: c.id, Seat: b.seat, Offer: b.offer}) {
		c.log.Warn("offer withdrawn as the agent picked up; the caller waits on", "seat", b.seat, "offer", b.offer)
		t.leave(nil)
		return waitAfter
	}
	c.AnswerCall()  // where the caller has gone, the talk finds out
	c.withdrawAll() // the others of a ring group, as routing has done
	return t.run()
}

// run talks until the call is over or goes on elsewhere.
func (t *talk) run() after {
	c := t.call
	c.log.Info("talk started", "seat", t.b.seat, "agent_sip_call_id", t.b.leg.CallID())
	c.s.talks.enter(t, t.b.leg)
	t.recordTalk()
	tone, stop := t.cfg.beeper()
	defer stop()
	defer func() {
		close(t.over)
		t.giveUp()
		t.leave(nil)
		t.company.close()
	}()
	for {
		gone, silent, digits := t.far()
		select {
		case <-c.a.Done():
			c.cause = routing.CauseCallerHungUp
			t.callerGone()
			return overAfter
		case <-gone:
			if next := t.farGone(); next != talkAfter {
				return next
			}
		case <-c.audio.Timeout():
			c.log.Warn("no sound from the caller's side any more")
			c.cause = silence(c.audio)
			return overAfter
		case <-silent:
			if t.moving != nil || t.handing != nil { // as if the agent had hung up
				t.farGone()
				continue
			}
			c.log.Warn("no sound from the other side any more", "with", t.b.where)
			c.cause = silence(t.b.audio)
			return overAfter
		case <-c.s.ctx.Done():
			c.drained()
			return overAfter
		case d := <-c.decisions:
			if next := t.decided(d); next != talkAfter {
				return next
			}
		case <-t.held:
			t.hold()
		case k, open := <-digits:
			if !open {
				continue
			}
			if next := t.pressed(k); next != talkAfter {
				return next
			}
		case r := <-t.refers:
			if next := t.refer(r); next != talkAfter {
				return next
			}
		case <-t.moving.early():
			t.moving.sounds(t)
		case code := <-t.handing.over():
			if next := t.handedBack(code); next != talkAfter {
				return next
			}
		case <-t.moving.tooLong():
			t.log.Warn("transfer not answered", "to", t.moving.to)
			t.moving.dial.Cancel()
			t.moving.limit = nil
		case <-t.moving.done():
			if next := t.arrived(); next != talkAfter {
				return next
			}
		case s := <-t.swaps:
			t.swap(s)
		case f := <-t.visits:
			f()
		case <-tone:
			t.beep()
		}
	}
}

// far are the channels of the other side; nil ones when there is nobody.
func (t *talk) far() (gone, silent <-chan struct{}, digits <-chan media.Digit) {
	if t.b == nil {
		return nil, nil, nil
	}
	return t.b.leg.Done(), t.b.audio.Timeout(), t.b.audio.Digits()
}

// farGone follows an agent, or somebody outside, who has hung up.
func (t *talk) farGone() after {
	c := t.call
	if t.handing != nil {
		t.forward(t.handing.to)
		t.leave(nil)
		return talkAfter
	}
	if t.moving == nil && t.b.seat != "" && time.Since(t.failed) < giveBackWithin {
		c.log.Info("agent's phone hung up after a transfer that failed; the caller waits on", "seat", t.b.seat)
		return c.giveBack()
	}
	if t.moving == nil {
		c.cause = routing.CauseAgentHungUp
		return overAfter
	}
	// A blind transfer: the agent is done, the caller is taken care of.
	c.log.Info("agent left the call to its transfer", "seat", t.b.seat, "to", t.moving.to)
	t.forward(t.moving.to)
	t.leave(nil)
	return talkAfter
}

// decided follows what routing says of a call that talks.
func (t *talk) decided(d routing.Decision) after {
	switch d := d.(type) {
	case *routing.Disconnect:
		t.cause = d.Cause
		return overAfter
	case *routing.Transferred:
		t.log.Info("call transferred", "from", d.Seat, "queue", d.Queue)
		t.queue = d.Queue
		return waitAfter
	}
	return talkAfter
}

// connect bridges the caller with b, who is the other side from now on.
func (t *talk) connect(b *party) bool {
	b.leg.JoinTrace(string(t.id))
	t.s.join(t.log, b.leg, b.audio, func(h bool) {
		select {
		case t.held <- h:
		default: // more re-INVITEs than anybody can press; the last state is asked again
		}
	})
	if b.seat != "" { // whoever is outside transfers nobody
		b.leg.OnRefer(func(r *sip.Referral) {
			select {
			case t.refers <- asked{Referral: r, leg: b.leg}:
			default:
				r.Refuse(491, "Request Pending")
			}
		})
	}
	if err := t.company.meet(b.audio); err != nil {
		t.log.Error("legs can't be bridged", "error", err)
		t.cause = routing.CauseFailed
		return false
	}
	t.b, t.onHold, t.keys, t.confers = b, false, keyReader{}, codeReader{}
	if b.audio.Held() { // before anybody listened for it
		select {
		case t.held <- true:
		default:
		}
	}
	return true
}

// hold plays music to the caller while the other side is away, and brings them
// together again.
func (t *talk) hold() {
	if t.b == nil || t.b.audio.Held() == t.onHold {
		return
	}
	t.onHold = !t.onHold
	t.log.Info("hold", "held", t.onHold)
	if t.b.seat != "" {
		t.s.core.post(routing.HoldChanged{Call: t.id, Held: t.onHold})
	}
	switch {
	case t.moving != nil || t.handing != nil: // the caller hears how that goes
	case t.onHold:
		t.company.part()
		t.playMusic()
	default:
		t.together()
	}
}

// together lets caller and party hear each other again, or the caller the music while
// the party holds.
func (t *talk) together() {
	if t.onHold {
		t.playMusic()
		return
	}
	if err := t.company.meet(t.b.audio); err != nil {
		t.log.Error("legs can't be bridged again", "error", err)
	}
}

// leave lets the other side go, once it has been told how its transfer came out.
func (t *talk) leave(told <-chan struct{}) {
	b := t.b
	if b == nil {
		return
	}
	t.b = nil
	b.leg.OnRefer(nil) // it may ask for nothing any more
	t.s.talks.forget(b.leg)
	t.company.lose()
	t.afterTalk(b)
	t.s.leave(b, told)
	t.heard.Agent = b.audio.Stats()
}

// giveBack lets a caller whom nobody talks with any more wait at the old place. Where a
// reload has taken the queue away the call ends.
func (c *call) giveBack() after {
	if c.s.core.tell(routing.CallRequeued{Call: c.id, Queue: c.queue, KeepPlace: true}) {
		return waitAfter
	}
	c.log.Error("caller can't wait again", "queue", c.queue)
	c.cause = routing.CauseFailed
	return overAfter
}

// end hangs a party up that never talked.
func (c *call) end(b *party) { c.s.leave(b, nil) }
