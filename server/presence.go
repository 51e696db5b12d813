package server

import (
	"hotline/routing"
	"hotline/sip"
)

// watch says which agent's phone an agent wants to see who subscribes to a name or an
// extension. Everybody sees everybody's, but messages only one's own.
func (s *Server) watch(agent, dialled string, event sip.Event) (account string, ok bool) {
	to, ok := s.settings.Load().resolve(dialled)
	if !ok || to.agent == "" || event == sip.EventMessages && to.agent != agent {
		return "", false
	}
	return to.agent, true
}

// show tells those who watch a seat how it is now. It runs on the core's goroutine,
// and does nothing before the server is up: [Server.showAll] follows then.
func (s *Server) show(d routing.SeatChanged) {
	select {
	case <-s.up:
		s.sip.Publish(string(d.Seat), s.presentity(d))
	default:
	}
}

// showAll tells how all seats are.
func (s *Server) showAll() {
	s.core.do(func() {
		for _, v := range s.core.state.Seats() {
			s.show(routing.SeatChanged{Seat: v.ID, State: v.State, Status: v.Status, Reason: v.Reason})
		}
	})
}

// showSeat tells how a seat is whose phone has changed without a word of routing's: in
// wrap-up its own calls are none of routing's business.
func (s *Server) showSeat(seat routing.SeatID) {
	if v, ok := s.core.state.Seat(seat); ok {
		s.show(routing.SeatChanged{Seat: v.ID, State: v.State, Status: v.Status, Reason: v.Reason})
	}
}

// presentity is what others see of a seat: what its phone does and whether its agent
// takes calls, nothing of who calls.
func (s *Server) presentity(d routing.SeatChanged) sip.Presentity {
	p := sip.Presentity{Open: d.Status == routing.StatusReady}
	switch d.State {
	case routing.SeatRinging:
		p.Call, p.Incoming = sip.CallRinging, true
	case routing.SeatTalking:
		p.Call, p.Incoming = sip.CallConfirmed, true
	case routing.SeatOffline, routing.SeatGone:
		p.Open = false
	}
	if p.Call == sip.CallNone && s.ownCalls[d.Seat] > 0 {
		p.Call = sip.CallConfirmed
	}
	switch {
	case d.State == routing.SeatOffline || d.State == routing.SeatGone:
		p.Note = "offline"
	case d.Status == routing.StatusLoggedOut:
		p.Note = "logged out"
	case d.Status == routing.StatusBreak:
		p.Note = "break"
		if d.Reason != "" {
			p.Note += ": " + d.Reason
		}
	case p.Call == sip.CallRinging:
		p.Note = "ringing"
	case p.Call == sip.CallConfirmed:
		p.Note = "on the phone"
	case d.State == routing.SeatWrapUp:
		p.Note = "after a call"
	}
	return p
}
