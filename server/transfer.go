package server

import (
	"strings"
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// asked is what a phone asks for: a REFER, or nothing where keys have asked.
type asked struct {
	*sip.Referral
	// leg is where it came in; nil for the other call's, and for keys.
	leg *sip.Leg
	// consult is the other call of the agent that it came by; nil for the caller's.
	consult *direct
	// own is the agent's side of that call: it stays until the phone has been told.
	own *party
}

// transfer is a call on its way to another party, which is being dialled.
type transfer struct {
	*dialled
	asked asked
	heard bool // the caller hears what comes before the answer
	limit <-chan time.Time
}

// tooLong fires when nobody has answered for as long as an agent's phone may ring, and
// somebody outside three times as long.
func (m *transfer) tooLong() <-chan time.Time {
	if m == nil {
		return nil
	}
	return m.limit
}

// newTransfer is a transfer to a phone that rings from now on.
func (t *talk) newTransfer(d *dialled, r asked) *transfer {
	limit := t.cfg.Routing.RingTime
	if d.to.number != "" {
		limit *= 3
	}
	return &transfer{dialled: d, asked: r, limit: time.After(limit)}
}

// early is closed when there is something to hear before the answer.
func (m *transfer) early() <-chan struct{} {
	if m == nil || m.heard {
		return nil
	}
	return m.dial.Early()
}

// done is closed when it is known who has answered, or that nobody has.
func (m *transfer) done() <-chan struct{} {
	if m == nil {
		return nil
	}
	return m.dial.Done()
}

// sounds lets the caller hear the ring-back of the number outside.
func (m *transfer) sounds(t *talk) {
	m.heard = true
	if !m.hears(t.audio) {
		t.log.Debug("ring-back can't be heard", "to", m.to)
	}
}

// refused says how a transfer that isn't begun is answered.
type refused struct {
	code   int
	phrase string
}

// refer takes what the agent's phone asks for: a blind transfer, or an attended one to
// the party of another call (RFC 5589 6 and 7).
func (t *talk) refer(r asked) after {
	switch {
	case t.moving != nil || t.handing != nil || t.b == nil:
		r.Refuse(491, "Request Pending")
		return talkAfter
	case r.consult == nil && r.leg != t.b.leg:
		// An agent who has transferred the caller is still there for a moment, and has
		// no say any more.
		r.Refuse(403, "Not Your Call")
		return talkAfter
	}
	if r.Replaces == nil {
		return t.blind(r.To, r)
	}
	consult := r.consult
	if consult == nil {
		consult = t.s.directs.of(r.Replaces)
	}
	if consult == nil || consult.agent != string(t.b.seat) {
		r.Refuse(403, "Not Your Call")
		return talkAfter
	}
	r.Accept()
	h := consult.handOver()
	if r.consult != nil {
		r.own = h.own
	} else if h.own != nil {
		t.s.leave(h.own, nil)
	}
	switch {
	case h.b != nil:
		return t.moveTo(h.b, r)
	case h.far != nil: // it still rings
		t.part()
		t.moving = t.newTransfer(h.far, r)
	default:
		t.answer(r, 487, "Request Terminated")
	}
	return talkAfter
}

// answer tells the phone how its transfer ended, and lets go of the call that it asked
// for it in, if that isn't the caller's. The caller's may go when told is closed; nil is
// at once.
func (t *talk) answer(r asked, code int, phrase string) (told <-chan struct{}) {
	if r.Referral == nil {
		return nil
	}
	told = r.Done(code, phrase)
	if r.own != nil {
		t.s.leave(r.own, told)
		return nil
	}
	return told
}

// blind sends the caller to whom somebody means who dials this.
func (t *talk) blind(dialled string, r asked) after {
	to, ok := t.cfg.resolve(dialled)
	if r.Referral != nil {
		to.phone = r.Instance
	}
	no := refused{404, "Not Found"}
	next := talkAfter
	if ok {
		no = refused{}
		switch {
		case to.queue != "":
			next, no = t.toQueue(to, r)
		case to.flow != "":
			next = t.toFlow(to, r)
		case to.agent == string(t.b.seat):
			no = refused{486, "Busy Here"}
		case to.number != "" && t.cfg.TakesRefer(t.a.Incoming().Trunk.Name):
			no = t.handBack(to, r)
		default:
			no = t.dialOn(to, r)
		}
	}
	if no.code != 0 {
		t.failed = time.Now()
		t.log.Warn("transfer refused", "seat", t.b.seat, "to", to, "code", no.code, "reason", no.phrase)
		if r.Referral != nil {
			r.Refuse(no.code, no.phrase)
		}
	}
	return next
}

// dialOn begins to dial another party. The caller hears music meanwhile.
func (t *talk) dialOn(to destination, r asked) refused { return t.dialFor(string(t.b.seat), to, r) }

// dialFor dials with an agent's rights, who may have left.
func (t *talk) dialFor(agent string, to destination, r asked) refused {
	d, no := t.s.dialTo(to, t.onBehalf(byAgent(agent), func(contacts []sip.Contact, sdp []byte) sip.Outgoing {
		return t.ringOut(contacts, to, sdp, t.customer.Tier)
	}))
	if no.code != 0 {
		return no
	}
	if r.Referral != nil {
		r.Accept()
	}
	t.log.Info("call is being transferred", "by", agent, "to", d.to)
	t.part()
	t.moving = t.newTransfer(d, r)
	return refused{}
}

// part lets the caller hear music while the call moves.
func (t *talk) part() {
	t.company.part()
	t.playMusic()
}

// toQueue sends the caller to wait in a queue.
func (t *talk) toQueue(to destination, r asked) (after, refused) {
	if !t.s.core.tell(routing.CallRequeued{Call: t.id, Queue: to.queue}) {
		return talkAfter, refused{404, "Not Found"} // a reload has just taken it
	}
	t.log.Info("call transferred", "from", t.b.seat, "to", to)
	t.queue = to.queue
	t.leave(accept(r))
	return waitAfter, refused{}
}

// toFlow lets the caller hear a flow.
func (t *talk) toFlow(to destination, r asked) after {
	told := accept(r)
	t.log.Info("call transferred", "from", t.b.seat, "to", to)
	t.forward(to)
	t.flow = t.cfg.flowOf(to)
	t.leave(told)
	return ivrAfter
}

// accept takes a transfer on that is done at once.
func accept(r asked) (told <-chan struct{}) {
	if r.Referral == nil {
		return nil
	}
	r.Accept()
	return r.Done(200, "OK")
}

// forward tells routing that the agent is done and the call goes on without a seat.
func (t *talk) forward(to destination) {
	t.s.core.post(routing.CallForwarded{Call: t.id, To: to.String()})
}

// arrived follows a transfer whose party has answered, or hasn't.
func (t *talk) arrived() after {
	m := t.moving
	t.moving = nil
	m.hush(t.audio)
	p, why, code := m.answered()
	if p != nil {
		return t.moveTo(p, m.asked)
	}
	t.failed = time.Now()
	t.log.Warn("transfer failed", "to", m.to, "reason", why, "code", code)
	t.answer(m.asked, code, "Transfer Failed")
	if t.b != nil { // the agent has the caller again
		t.together()
		return talkAfter
	}
	return t.giveBack()
}

// moveTo lets the caller talk with p; the agent before is done.
func (t *talk) moveTo(p *party, r asked) after {
	agreed := true
	if p.seat != "" {
		agreed = t.s.core.tell(routing.CallTaken{Call: t.id, Seat: p.seat})
	} else if t.b != nil {
		t.forward(destination{trunk: strings.TrimPrefix(p.where, "trunk ")})
	}
	if p.vacate != nil {
		p.vacate()
	}
	code, phrase := 200, "OK"
	if !agreed {
		code, phrase = 486, "Busy Here"
	}
	told := t.answer(r, code, phrase)
	if !agreed {
		t.log.Warn("transfer came too late", "to", p.where)
		t.s.leave(p, nil)
		if t.b == nil {
			return t.giveBack()
		}
		t.together()
		return talkAfter
	}
	t.leave(told)
	if !t.connect(p) {
		t.s.leave(p, nil)
		return overAfter
	}
	t.s.talks.enter(t, p.leg)
	t.recordTalk()
	t.log.Info("call transferred", "to", p.where, "agent_sip_call_id", p.leg.CallID())
	return talkAfter
}

// giveUp stops a transfer that is under way when the call ends.
func (t *talk) giveUp() {
	if m := t.moving; m != nil {
		t.moving = nil
		m.drop()
		t.answer(m.asked, 487, "Request Terminated")
	}
}

// keyReader collects the keys that an agent presses for a transfer: the code, an
// extension, #.
type keyReader struct {
	got  string
	last time.Duration
}

// keysWithin is how long a key may follow the one before.
const keysWithin = 5 * time.Second

// add takes a key; the extension is whole when ok.
func (k *keyReader) add(code string, d media.Digit) (extension string, ok bool) {
	if d.At-k.last > keysWithin {
		k.got = ""
	}
	k.last = d.At
	k.got += string(d.Key)
	if len(k.got) > len(code)+32 || !strings.HasPrefix(code, k.got) && !strings.HasPrefix(k.got, code) {
		k.got = ""
		if strings.HasPrefix(code, string(d.Key)) {
			k.got = string(d.Key)
		}
		return "", false
	}
	extension, ok = strings.CutSuffix(strings.TrimPrefix(k.got, code), "#")
	if !strings.HasPrefix(k.got, code) || !ok {
		return "", false
	}
	k.got = ""
	return extension, extension != ""
}

// codeReader tells when a code of keys has been pressed.
type codeReader struct {
	got  string
	last time.Duration
}

// add takes a key and tells whether it is the code's last.
func (c *codeReader) add(code string, d media.Digit) bool {
	if d.At-c.last > keysWithin {
		c.got = ""
	}
	c.last = d.At
	c.got += string(d.Key)
	c.got = c.got[max(len(c.got)-len(code), 0):]
	if c.got != code {
		return false
	}
	c.got = ""
	return true
}

// pressed follows the keys of an agent's phone.
func (t *talk) pressed(d media.Digit) after {
	if t.b.seat == "" || t.moving != nil || t.handing != nil {
		return talkAfter
	}
	if t.confers.add(t.cfg.FeatureCodes.Conference, d) {
		t.confer()
		return talkAfter
	}
	if t.pause.add(t.cfg.FeatureCodes.PauseRecording, d) && !strings.HasPrefix(t.keys.got, t.cfg.FeatureCodes.Transfer) {
		t.togglePause(t.b)
	}
	extension, ok := t.keys.add(t.cfg.FeatureCodes.Transfer, d)
	if !ok {
		return talkAfter
	}
	return t.blind(extension, asked{})
}
