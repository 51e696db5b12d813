package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"hotline/media"
	"hotline/recording"
	"hotline/sip"
)

// direct is a call that an agent makes, to a colleague or outside; routing knows of it
// only that the phones are busy. It is often a question before a transfer: then the
// talk with the caller takes the other side over.
type direct struct {
	s     *Server
	log   *slog.Logger
	cfg   *settings
	agent string
	a     *sip.Leg
	audio *media.Leg // the agent's; nil until there is something to hear
	far   *dialled
	b     *party // once answered
	began time.Time

	give  chan chan handed // the other side is wanted
	gone  chan struct{}
	given bool

	taped
}

// handed is what is left of a direct call when somebody takes it over: the other side,
// still ringing or answered, and the agent's own.
type handed struct {
	far *dialled
	b   *party
	own *party
}

// agentDials serves an agent who calls a colleague or somebody outside.
func (s *Server) agentDials(leg *sip.Leg, cfg *settings, to destination) {
	in := leg.Incoming()
	d := &direct{
		s: s, cfg: cfg, agent: in.Agent, a: leg, began: time.Now(), give: make(chan chan handed), gone: make(chan struct{}),
		log: s.log.With("agent", in.Agent, "sip_call_id", leg.CallID()),
	}
	vacate, _ := s.occupy(seatOf(in.Agent), false)
	if vacate != nil {
		defer vacate()
	}
	d.run(to)
}

func (d *direct) run(to destination) {
	far, no := d.s.dialTo(to, dialer{id: d.a.CallID(), who: byAgent(d.agent), caller: d.agent, hops: d.a.Incoming().Hops, phone: d.ringOut(to)})
	if no.code != 0 {
		d.log.Warn("agent's call refused", "to", to, "code", no.code, "reason", no.phrase)
		_ = d.a.Reject(no.code, no.phrase)
		return
	}
	d.far = far
	d.log.Info("agent calls", "to", far.to)
	d.s.directs.enter(d)
	defer d.close()
	d.a.OnRefer(d.referred)
	if d.ring() {
		d.talk()
	}
}

// ringOut is the INVITE to a colleague's phone.
func (d *direct) ringOut(to destination) func([]sip.Contact, []byte) sip.Outgoing {
	name := d.agent
	if a, ok := d.cfg.Agent(d.agent); ok && a.Name != "" {
		name = a.Name
	}
	return func(contacts []sip.Contact, sdp []byte) sip.Outgoing {
		return sip.Outgoing{Contacts: contacts, ToUser: to.agent, Offer: sdp, FromUser: d.agent, FromName: name}
	}
}

// directWithin is how long an agent's own call may ring.
const directWithin = 3 * time.Minute

// ring waits for the other side's answer; false when the call is over.
func (d *direct) ring() bool {
	ringing, early := d.far.dial.Ringing(), d.far.dial.Early()
	limit := time.NewTimer(directWithin)
	defer limit.Stop()
	for {
		select {
		case <-limit.C:
			_ = d.a.Reject(480, "Not Answered")
			return false
		case <-d.a.Done():
			return false
		case <-d.s.ctx.Done():
			return false
		case to := <-d.give:
			to <- handed{far: d.far, own: d.own()}
			d.given = true
			return false
		case <-ringing:
			ringing = nil
			d.a.Ring()
			d.log.Debug("agent's call rings", "to", d.far.to)
		case <-early:
			early = nil
			d.sounds()
		case <-d.far.dial.Done():
			if ringing != nil && isDone(ringing) { // in their order, though both came at once
				d.a.Ring()
			}
			return d.answered()
		}
	}
}

// open makes the agent's media leg, if there is none yet, and its SDP.
func (d *direct) open() ([]byte, error) {
	if d.audio == nil {
		audio, err := d.s.newAudio(d.a.CallID(), d.a.Listener())
		if err != nil {
			return nil, err
		}
		audio.Protect(d.cfg.protection(d.a))
		d.audio = audio
		d.s.join(d.log, d.a, audio, nil)
	}
	return firstSDP(d.audio, d.a.Incoming())
}

// sounds lets the agent hear what comes before the answer.
func (d *direct) sounds() {
	sdp, err := d.open()
	if err != nil || !d.far.hears(d.audio) {
		d.log.Debug("ring-back can't be heard", "error", err)
		return
	}
	d.a.Progress(sdp)
}

// answered answers the agent as the other side has.
func (d *direct) answered() bool {
	b, why, code := d.far.answered()
	if b == nil {
		d.log.Info("agent's call not answered", "to", d.far.to, "reason", why, "code", code)
		_ = d.a.Reject(code, "Not Answered")
		return false
	}
	d.b = b
	sdp, err := d.open()
	if err != nil {
		d.log.Warn("agent's call can't be answered", "error", err)
		if errors.Is(err, media.ErrNoPorts) {
			_ = d.a.Reject(503, "Service Unavailable")
			return false
		}
		_ = d.a.Reject(488, "Not Acceptable Here")
		return false
	}
	d.s.join(d.log, b.leg, b.audio, nil)
	if err := d.a.Answer(sdp); err != nil {
		return false
	}
	if err := media.Bridge(d.audio, b.audio); err != nil {
		d.log.Error("legs can't be bridged", "error", err)
		return false
	}
	return true
}

// talk lets both talk until one hangs up or the other side is wanted elsewhere.
func (d *direct) talk() {
	d.record()
	defer d.endRecording(recording.EndedCall)
	tone, stop := d.cfg.beeper()
	defer stop()
	digits := d.audio.Digits()
	for {
		select {
		case <-d.a.Done():
		case <-d.b.leg.Done():
		case <-d.audio.Timeout():
		case <-d.b.audio.Timeout():
		case <-d.s.ctx.Done():
		case <-tone:
			d.rec.beep(d.audio, d.b.audio)
			continue
		case k, open := <-digits:
			if !open {
				digits = nil
				continue
			}
			d.pressed(k)
			continue
		case to := <-d.give:
			d.endRecording(recording.EndedTalk)
			media.Unbridge(d.audio, d.b.audio)
			to <- handed{b: d.b, own: d.own()}
			d.given = true
		}
		return
	}
}

// close ends what is left of the call.
func (d *direct) close() {
	d.s.directs.forget(d)
	close(d.gone)
	d.log.Info("agent's call over", "to", d.far.to, "answered", d.b != nil, "taken_over", d.given, "seconds", int(time.Since(d.began).Seconds()))
	if d.given {
		<-d.a.Done() // whoever has taken it over hangs it up
		return
	}
	d.s.leave(d.own(), nil)
	switch {
	case d.b != nil:
		d.s.leave(d.b, nil)
		if d.b.vacate != nil {
			d.b.vacate()
		}
	default:
		d.far.drop() // nothing where it has failed
	}
}

// own is the agent's side of the call.
func (d *direct) own() *party { return &party{seat: seatOf(d.agent), leg: d.a, audio: d.audio} }

// handOver gives all sides to whoever takes the call over; none when it is over.
func (d *direct) handOver() handed {
	to := make(chan handed, 1)
	select {
	case d.give <- to:
		return <-to
	case <-d.gone:
		return handed{}
	}
}

// referred takes an attended transfer that the phone asks for in this call, naming the
// one with the caller.
func (d *direct) referred(r *sip.Referral) {
	if r.Replaces != nil {
		if t := d.s.talks.of(r.Replaces); t != nil {
			select {
			case t.refers <- asked{Referral: r, consult: d}:
				return
			default:
			}
		}
	}
	r.Refuse(403, "Forbidden")
}

// directs are the direct calls by the agent's leg.
type directs struct {
	mu sync.Mutex
	by map[*sip.Leg]*direct
}

func (t *directs) enter(d *direct) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[*sip.Leg]*direct)
	}
	t.by[d.a] = d
}

func (t *directs) forget(d *direct) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.by, d.a)
}

func (t *directs) of(l *sip.Leg) *direct {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.by[l]
}
