package server

import (
	"hotline/config"
	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// dialer is for whom another party is dialled.
type dialer struct {
	id     string // of the call, for logs
	agent  string // who wants it, and needs the right to it
	caller string // the number shown
	// diverted is the number that was dialled first, when the call is a caller's.
	diverted string
	hops     int // of the call on whose behalf it is
	// phone is the INVITE to a colleague's phones.
	phone func(contacts []sip.Contact, sdp []byte) sip.Outgoing
}

func seatOf(agent string) routing.SeatID { return routing.SeatID(agent) }

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
	d, err := s.dialPhone(by.id+"/"+to.agent, to, contacts, p, nil, config.KeysAny, nil, func(sdp []byte) (*sip.Dialing, error) {
		o := by.phone(contacts, sdp)
		o.Hops = by.hops
		return s.sip.Dial(o), nil
	})
	if err != nil {
		vacate()
		s.log.Error("phone can't be dialled", "seat", to.agent, "error", err)
		return nil, refused{503, "Service Unavailable"}
	}
	expectFrom(d.audio, sourcesOf(contacts)...)
	d.vacate = vacate
	return d, refused{}
}

// sourcesOf are the addresses that phones registered from.
func sourcesOf(contacts []sip.Contact) (from []string) {
	for _, c := range contacts {
		from = append(from, c.Source)
	}
	return from
}

// dialOutside dials a number by a trunk, if the agent has the right to it.
func (s *Server) dialOutside(to destination, by dialer) (*dialled, refused) {
	if to.number == "" {
		return nil, refused{404, "Not Found"} // agents don't call queues and flows
	}
	set := s.settings.Load()
	var codecs []media.Codec
	trunks := set.Outbound.TrunksFor(set.Outbound.Number(to.number))
	if len(trunks) > 0 {
		codecs = set.TrunkCodecs(trunks[0])
	}
	d, err := s.dialPhone(by.id+"/outside", to, nil, set.outside(trunks), codecs, set.TrunkKeys(trunks...), nil, func(sdp []byte) (*sip.Dialing, error) {
		o := sip.Outgoing{Offer: sdp, FromUser: by.caller, Hops: by.hops}
		if by.diverted != "" {
			o.Diversions = []sip.Diversion{{Number: by.diverted, Reason: "unconditional"}}
		}
		return s.dialOut(byAgent(by.agent), to.number, o)
	})
	if err != nil {
		if outsideReason(err) == "" {
			s.log.Error("number outside can't be dialled", "error", err)
		}
		return nil, notOutside(err)
	}
	d.keys, d.trusted = set.TrunkKeys, set.TrunkTrusted
	return d, refused{}
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
