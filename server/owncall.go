package server

import (
	"sync"

	"hotline/routing"
)

// occupy tells routing that the seat's phone is in a call that isn't routing's, so
// that nothing is offered to it. With onlyFree it is false when the seat has another
// call, or none is there. vacate takes it back; it may be called more than once.
func (s *Server) occupy(seat routing.SeatID, onlyFree bool) (vacate func(), ok bool) {
	ran := make(chan struct{})
	if !s.core.do(func() {
		defer close(ran)
		v, known := s.core.state.Seat(seat)
		if onlyFree && (!known || v.Call != "" || s.ownCalls[seat] > 0) {
			return
		}
		ok = true
		if s.ownCalls[seat]++; s.ownCalls[seat] == 1 && v.Node == s.core.node {
			s.core.apply(routing.OwnCallChanged{Seat: seat, Busy: true})
		}
		s.showSeat(seat)
	}) {
		return nil, false
	}
	select {
	case <-ran:
	case <-s.core.done:
		return nil, false
	}
	if !ok {
		return nil, false
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			s.core.do(func() {
				if s.ownCalls[seat]--; s.ownCalls[seat] > 0 {
					return
				}
				delete(s.ownCalls, seat)
				defer s.showSeat(seat)
				if v, _ := s.core.state.Seat(seat); v.Node == s.core.node && v.OwnCall {
					s.core.apply(routing.OwnCallChanged{Seat: seat})
				}
			})
		})
	}, true
}
