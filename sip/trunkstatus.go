package sip

import (
	"cmp"
	"slices"
	"time"
)

// TrunkStatus is how a trunk is at one moment.
type TrunkStatus struct {
	Name string `json:"name"`
	// CallsIn and CallsOut are in progress.
	CallsIn  int `json:"calls_in"`
	CallsOut int `json:"calls_out"`
	// RefusedIn and RefusedOut were more than the trunk's limits allow, since the
	// start.
	RefusedIn  uint64 `json:"refused_in"`
	RefusedOut uint64 `json:"refused_out"`
	// Gateways in the order of the configuration.
	Gateways []GatewayStatus `json:"gateways"`
	// Registration of ours with the trunk; nil when there is none.
	Registration *RegistrationStatus `json:"registration,omitempty"`
}

// GatewayStatus is how a gateway is at one moment.
type GatewayStatus struct {
	Gateway string `json:"gateway"` // host or host:port
	// Up: calls may go there. A gateway that isn't watched, or wasn't looked up
	// yet, is up.
	Up        bool            `json:"up"`
	Addresses []AddressStatus `json:"addresses"`
}

// AddressStatus is how one address of a gateway is at one moment.
type AddressStatus struct {
	Network string `json:"network"`
	Address string `json:"address"`
	// State is "up", "down" (by OPTIONS), "resting" (it asked for it by
	// Retry-After) or "suspect" (it gave no answer to a call lately; tried last).
	State string `json:"state"`
	// Answered: it gave a sign of life to the latest OPTIONS.
	Answered bool `json:"answered"`
}

// Trunks tells how all trunks are, ordered by name.
func (s *Stack) Trunks() []TrunkStatus {
	s.trunks.mu.Lock()
	states := make([]*trunkState, 0, len(s.trunks.byName))
	for _, t := range s.trunks.byName {
		states = append(states, t)
	}
	s.trunks.mu.Unlock()
	out := make([]TrunkStatus, 0, len(states))
	for _, t := range states {
		out = append(out, t.status(time.Now()))
	}
	slices.SortFunc(out, func(a, b TrunkStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (t *trunkState) status(now time.Time) TrunkStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := TrunkStatus{Name: t.trunk.Name, CallsIn: t.calls[inward], CallsOut: t.calls[outward],
		RefusedIn: t.refused[inward], RefusedOut: t.refused[outward], Gateways: []GatewayStatus{}}
	for _, g := range t.gateways {
		st.Gateways = append(st.Gateways, g.status(now))
	}
	if t.reg != nil {
		st.Registration = t.reg.status()
	}
	return st
}

func (g *gatewayState) status(now time.Time) GatewayStatus {
	st := GatewayStatus{Gateway: g.String(), Up: len(g.hops) == 0 && !g.missing, Addresses: []AddressStatus{}}
	for _, h := range g.hops {
		a := AddressStatus{Network: h.network, Address: h.addr, State: h.state(now), Answered: h.answered}
		st.Up = st.Up || a.State == "up" || a.State == "suspect"
		st.Addresses = append(st.Addresses, a)
	}
	return st
}

func (h *hopState) state(now time.Time) string {
	switch {
	case h.down:
		return "down"
	case now.Before(h.restUntil):
		return "resting"
	case now.Before(h.suspectUntil):
		return "suspect"
	default:
		return "up"
	}
}
