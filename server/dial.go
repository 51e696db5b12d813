package server

import (
	"hotline/config"
	"hotline/routing"
	"hotline/sip"
)

// dialer is for whom another party is dialled.
type dialer struct {
	id         string // of the call, for logs
	who        string // wants it, and needs the right to it (byAgent, byFlow)
	caller     string // the number shown
	private    bool   // the caller withholds it: only trunks that are trusted with it are told
	diversions []sip.Diversion
	hops       int // of the call on whose behalf it is
	// phone is the INVITE to a colleague's phones.
	phone func(contacts []sip.Contact, sdp []byte) sip.Outgoing
}

func seatOf(agent string) routing.SeatID { return routing.SeatID(agent) }

// onBehalf is a call for a caller, of whom it is said who called whom before.
func (c *call) onBehalf(who string, phone func([]sip.Contact, []byte) sip.Outgoing) dialer {
	in := c.a.Incoming()
	number := in.Dialled
	if whole := sip.E164(number, in.Trunk.Region); whole != "" {
		number = whole // trunks have rules for these
	}
	by := dialer{id: string(c.id), who: who, caller: c.shownNumber(), private: in.Caller.Anonymous, hops: in.Hops, phone: phone}
	if in.Caller.Withheld != "" {
		by.caller = in.Caller.Withheld
	}
	by.diversions = append([]sip.Diversion{{Number: number, Reason: "unconditional"}}, in.Diversions...)
	return by
}

// dialTo dials an agent or a number outside; the code of refused isn't 0 when that
// can't or mustn't be.
func (s *Server) dialTo(to destination, by dialer) (*dialled, refused) {
	if to.agent == "" {
		return s.dialOutside(to, by)
	}
	contacts, p := s.settings.Load().phones(to.agent, s.sip.ContactsAt(to.agent, to.phone))
	if len(contacts) == 0 {
		return nil, refused{480, "Temporarily Unavailable"}
	}
	vacate, ok := s.occupy(seatOf(to.agent), true)
	if !ok {
		return nil, refused{486, "Busy Here"}
	}
	d, err := s.dialPhones(by.id+"/"+to.agent, to, contacts, p, nil, func(sdp []byte) *sip.Dialing {
		o := by.phone(contacts, sdp)
		o.Hops = by.hops
		return s.sip.Dial(o)
	})
	if err != nil {
		vacate()
		s.log.Error("phone can't be dialled", "seat", to.agent, "error", err)
		return nil, refused{503, "Service Unavailable"}
	}
	d.vacate = vacate
	return d, refused{}
}

// dialOutside dials a number by a trunk, if the agent has the right to it.
func (s *Server) dialOutside(to destination, by dialer) (*dialled, refused) {
	if to.number == "" {
		return nil, refused{404, "Not Found"} // agents don't call queues and flows
	}
	set, offers := s.settings.Load(), s.newOffers(by.id+"/outside")
	o := sip.Outgoing{OfferTo: set.offerTo(offers), FromUser: by.caller, Private: by.private, Diversions: by.diversions, Hops: by.hops}
	d, err := s.dialOut(by.who, to.number, o)
	if err != nil {
		if outsideReason(err) == "" {
			s.log.Error("number outside can't be dialled", "error", err)
		}
		return nil, notOutside(err)
	}
	return &dialled{dial: d, offers: offers, to: to, keys: set.TrunkKeys, trusted: set.TrunkTrusted}, refused{}
}

// offerTo makes the offer that suits each trunk that is tried: its codecs, its encryption,
// and how it wants keys to travel.
func (set *settings) offerTo(o *offers) func(trunk string, listener int) ([]byte, error) {
	return func(trunk string, listener int) ([]byte, error) {
		audio, err := o.leg(listener)
		if err != nil {
			return nil, err
		}
		audio.Protect(set.outside([]string{trunk}))
		audio.Prefer(set.TrunkCodecs(trunk))
		if set.TrunkKeys(trunk) == config.KeysInfo {
			audio.KeysBy(func(byte) {}) // nobody has answered yet
		}
		return o.sdp(audio, audio.Offer)
	}
}

// notOutside is how whoever asks for a call to the outside is told that dialling failed.
func notOutside(err error) refused {
	switch outsideReason(err) {
	case "":
		return refused{503, "Service Unavailable"}
	case noRoute:
		return refused{404, "Not Found"}
	default:
		return refused{403, "Not Allowed"}
	}
}
