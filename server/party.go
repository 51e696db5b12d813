package server

import (
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// party is the other side of a caller's talk: an agent at a seat, or somebody outside.
type party struct {
	seat  routing.SeatID // "" outside
	offer uint64         // by which the agent came; 0 without
	where string         // "agent NAME" or "trunk NAME"
	leg   *sip.Leg
	audio *media.Leg // nil when nothing was to be heard yet
	// vacate says that the seat's phone is in no call of its own any more.
	vacate func()
}

// leave hangs the party up, once told (if not nil) is closed: until then the phone
// hears how its transfer came out. It doesn't wait.
func (s *Server) leave(p *party, told <-chan struct{}) {
	hangUp := func() {
		p.leg.Hangup()
		if p.audio != nil {
			_ = p.audio.Close()
			s.mediaOver(s.log.With("with", p.where), p.audio.Stats())
		}
	}
	if told == nil {
		hangUp()
		return
	}
	s.calls.Go(func() {
		limit := time.NewTimer(toldWithin)
		defer limit.Stop()
		select {
		case <-told:
			// The phone hangs up by itself (RFC 5589 6.1); ours would cross it.
			select {
			case <-p.leg.Done():
			case <-limit.C:
			case <-s.ctx.Done():
			}
		case <-p.leg.Done():
		case <-limit.C:
		case <-s.ctx.Done():
		}
		hangUp()
	})
}

// toldWithin is how long a phone that has transferred its call may take to hang up.
const toldWithin = 2 * time.Second

// dialled is a phone being dialled, and the media leg that it is to talk on.
type dialled struct {
	dial   *sip.Dialing
	offers *offers
	to     destination
	// early is the leg whose phone was heard before it answered; nil for none.
	early *media.Leg
	// trusted, if not nil, tells whether a trunk sends its sound from where its SDP says.
	trusted func(trunk string) bool
	// vacate, if not nil, says that the phone is in no call of its own any more.
	vacate func()
	// keys, if not nil, tells how they travel with the trunk that answers.
	keys func(trunk ...string) string
}

// dialPhones dials an agent's phones, protected as told; the codec that beside speaks, if
// it isn't nil, comes first. contacts get their offers, and usual is the first one's.
func (s *Server) dialPhones(id string, to destination, contacts []sip.Contact, p media.Protection, beside *media.Leg, dial func(usual []byte) *sip.Dialing) (*dialled, error) {
	o := s.newOffers(id)
	usual, err := o.toPhones(contacts, func(audio *media.Leg) {
		audio.Protect(p)
		if beside != nil {
			audio.Favour(beside)
		}
	})
	if err != nil {
		o.close(nil)
		return nil, err
	}
	return &dialled{dial: dial(usual), offers: o, to: to}, nil
}

// drop gives the phone up, also one that has just answered.
func (d *dialled) drop() {
	if leg := d.dial.Cancel(); leg != nil {
		leg.Hangup()
	}
	d.offers.close(nil)
	if d.vacate != nil {
		d.vacate()
	}
}

// answered is who has answered, or nil and why nobody has: for the log, and as a
// status for whoever wanted it. It may be called once dial.Done is closed.
func (d *dialled) answered() (p *party, why string, code int) {
	out := d.dial.Outcome()
	if out.Leg == nil {
		d.drop()
		code = out.Code
		switch {
		case out.Cause == sip.DialNoOffer, out.Cause == sip.DialNoCapacity:
			code = 503 // for want of a port, most likely, or of a trunk that isn't full: nobody was asked
		case code < 300:
			code = 480
		}
		return nil, string(out.Cause), code
	}
	audio := d.offers.of(out.Offer)
	if audio == nil {
		d.drop()
		return nil, "what was answered was never offered", 488
	}
	d.offers.close(audio)
	if d.keys != nil {
		keysWith(out.Leg, audio, d.keys(out.Trunk))
	}
	if err := d.take(audio, out.Answer, out.From); err != nil {
		_ = audio.Close()
		d.drop()
		return nil, err.Error(), 488
	}
	if d.to.number != "" {
		d.to.trunk = out.Trunk
	}
	return &party{seat: routing.SeatID(d.to.agent), where: d.to.String(), leg: out.Leg, audio: audio, vacate: d.vacate}, "", 200
}

// hears lets the other side hear what the phone's network has to say before it
// answers: its ring-back, or an announcement. False when that can't be used.
func (d *dialled) hears(other *media.Leg) bool {
	audio := d.offers.of(d.dial.EarlyOffer())
	if audio == nil || d.take(audio, d.dial.EarlySDP(), d.dial.EarlyFrom()) != nil || media.Bridge(audio, other) != nil {
		return false
	}
	d.early = audio
	return true
}

// take gives the leg an answer. That of a gateway may be believed as far as a call is that comes from it.
func (d *dialled) take(audio *media.Leg, answer []byte, from sip.Answerer) error {
	if from.Trunk != "" {
		audio.Trust(d.trusted != nil && d.trusted(from.Trunk))
		expectFrom(audio, from.Source)
	}
	return audio.SetAnswerOf(from.Dialog, answer)
}

// hush ends what hears began.
func (d *dialled) hush(other *media.Leg) {
	if d.early != nil {
		media.Unbridge(d.early, other)
	}
}
