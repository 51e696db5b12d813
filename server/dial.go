package server

import (
	"hotline/routing"
	"hotline/sip"
)

// dialer is for whom another party is dialled.
type dialer struct {
	id     string // of the call, for logs
	agent  string // who wants it
	caller string // the number shown
	// phone is the INVITE to a colleague's phones.
	phone func(contacts []sip.Contact, sdp []byte) sip.Outgoing
}

func seatOf(agent string) routing.SeatID { return routing.SeatID(agent) }

// dialTo dials an agent or a number outside; the code of refused isn't 0 when that
// can't or mustn't be.
func (s *Server) dialTo(to destination, by dialer) (*dialled, refused) {
	if to.agent == "" {
		return nil, refused{404, "Not Found"}
	}
	contacts := s.sip.Contacts(to.agent)
	if len(contacts) == 0 {
		return nil, refused{480, "Temporarily Unavailable"}
	}
	vacate, ok := s.occupy(seatOf(to.agent), true)
	if !ok {
		return nil, refused{486, "Busy Here"}
	}
	d, err := s.dialPhone(by.id+"/"+to.agent, to, func(sdp []byte) *sip.Dialing {
		return s.sip.Dial(by.phone(contacts, sdp))
	})
	if err != nil {
		vacate()
		s.log.Error("phone can't be dialled", "seat", to.agent, "error", err)
		return nil, refused{503, "Service Unavailable"}
	}
	d.vacate = vacate
	return d, refused{}
}
