package server

import (
	"fmt"
	"sync"

	"hotline/media"
	"hotline/sip"
)

// newAudio opens the media leg of a call by one of our listeners.
func (s *Server) newAudio(id string, listener int) (*media.Leg, error) {
	return s.media.NewLegAt(id, s.started.MediaAt(listener)) // as the listeners are of that config
}

// offers are what a call being dialled offers: a media leg for each trunk that is tried,
// and for each of our addresses that its phones send sound to. The SDP that was answered
// tells which one talks.
type offers struct {
	s  *Server
	id string

	mu     sync.Mutex
	legs   []*media.Leg
	bySDP  map[string]*media.Leg
	closed bool
}

func (s *Server) newOffers(id string) *offers {
	return &offers{s: s, id: id, bySDP: make(map[string]*media.Leg)}
}

// leg opens one more media leg, for calls by a listener.
func (o *offers) leg(listener int) (*media.Leg, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, fmt.Errorf("opening leg: %w", media.ErrClosed)
	}
	l, err := o.s.newAudio(o.id, listener)
	if err != nil {
		return nil, err
	}
	o.legs = append(o.legs, l)
	return l, nil
}

// sdp is a leg's offer, as made by it.
func (o *offers) sdp(l *media.Leg, by func() ([]byte, error)) ([]byte, error) {
	sdp, err := by()
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bySDP[string(sdp)] = l
	return sdp, nil
}

// of is the leg whose SDP was answered; nil when there is none.
func (o *offers) of(sdp []byte) *media.Leg {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bySDP[string(sdp)]
}

// close closes all legs but one (nil for none); no more are opened.
func (o *offers) close(but *media.Leg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, l := range o.legs {
		if l != but {
			_ = l.Close()
		}
	}
	o.legs = nil
}

// toPhones gives each of an agent's phones its offer: of a leg at the address that the
// phone's listener has for sound, browsers one of their own. usual is the first phone's.
func (o *offers) toPhones(contacts []sip.Contact, prepare func(*media.Leg)) (usual []byte, err error) {
	legs, sdps := make(map[media.Address]*media.Leg), make(map[media.Address][]byte)
	browsers, sources := make(map[media.Address][]byte), make(map[media.Address][]string)
	for i := range contacts {
		c := &contacts[i]
		at := o.s.started.MediaAt(c.Listener())
		l := legs[at]
		if l == nil {
			if l, err = o.leg(c.Listener()); err != nil {
				return nil, err
			}
			prepare(l)
			legs[at] = l
			if sdps[at], err = o.sdp(l, l.Offer); err != nil {
				return nil, err
			}
		}
		sources[at] = append(sources[at], c.Source)
		c.Offer = sdps[at]
		if !c.Browser() {
			continue
		}
		if browsers[at] == nil {
			if browsers[at], err = o.sdp(l, l.OfferBrowser); err != nil {
				return nil, err
			}
		}
		c.Offer = browsers[at]
	}
	for at, l := range legs { // each on its own
		expectFrom(l, sources[at]...)
	}
	return contacts[0].Offer, nil
}
