package sip

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Outbound is how calls leave by a trunk; see [Stack.DialTrunk].
type Outbound struct {
	// Gateways are the ways into the trunk's network. None: no call leaves by it.
	Gateways []Gateway
	// Login answers the challenges of the gateways; nil answers none. Its Realm
	// should be set: a gateway may pass on a challenge of somebody else.
	Login *Credentials
	// Domain is the host of the Request-URI, To and From. "": the gateway's host
	// in the first two, our own address in From.
	Domain string
	// Numbers are the rules for the numbers that the trunk is told.
	Numbers NumberRules
	// CallerID is the number shown for all calls; "": that of each caller.
	CallerID string
	// Identity is where the caller is named; "" is IdentityFrom.
	Identity IdentityField
	// Diversion is how it is told of forwarded calls.
	Diversion DiversionStyle
	// Failover are the final statuses after which the next gateway is tried,
	// beside no answer at all: 408 and 5xx only. nil takes 408, 500, 502, 503, 504.
	Failover []int
	// Unreachable is how long a gateway may take for its first answer; 3 s.
	Unreachable time.Duration
	// Register keeps us registered with the trunk; nil: we don't register.
	Register *Registration
	// Health is how the gateways are watched.
	Health Health
	// MaxRest bounds what a gateway's Retry-After can ask for; 5 min.
	MaxRest time.Duration
}

// Gateway is one way into a trunk's network.
type Gateway struct {
	// Host is a name or an IP address. A name without Port is looked up by RFC
	// 3263.
	Host string
	// Port; 0 is what the DNS says, else 5060, with TLS 5061.
	Port int
	// Network is "udp", "tcp" or "tls"; "" is what the DNS says, else udp.
	Network string
	// Priority: lower ones are tried first.
	Priority int
	// Weight is the share of the calls among gateways of one priority; 0 gets
	// calls only when no other is left.
	Weight int
}

// String is the gateway as it is configured: host or host:port.
func (g Gateway) String() string {
	if g.Port == 0 {
		return g.Host
	}
	return net.JoinHostPort(g.Host, strconv.Itoa(g.Port))
}

// TrunkLimits bound the calls of a trunk, both ways together. Zero values bound
// nothing.
type TrunkLimits struct {
	// MaxCalls at once.
	MaxCalls int
	// MaxRate is the number of new calls a second; a burst of as many is let
	// through.
	MaxRate float64
}

var defaultFailover = []int{408, 500, 502, 503, 504}

const (
	defaultGatewayUnreachable = 3 * time.Second
	defaultMaxRest            = 5 * time.Minute
	// suspectFor is how long an address that gave no answer to a call is tried
	// after all others.
	suspectFor = 30 * time.Second
)

// trunkStates keeps what is known of the trunks across changes of Access.
type trunkStates struct {
	mu     sync.Mutex
	byName map[string]*trunkState
	open   bool // the listeners are up
}

// trunkState is one trunk at work: its calls, and how its gateways are.
type trunkState struct {
	mu       sync.Mutex
	trunk    *Trunk
	calls    [2]int    // by direction
	refused  [2]uint64 // for the limits, by direction
	tokens   float64   // calls that may begin at once
	filled   time.Time
	gateways []*gatewayState
	stop     context.CancelFunc // ends the watch over the gateways
	reg      *registering       // nil: we don't register with it
}

// gatewayState is what is known of one gateway. Gateway never changes;
// trunkState.mu guards the rest.
type gatewayState struct {
	Gateway
	hops    []*hopState
	missing bool // the DNS knows no address
}

// hopState is what is known of one address of a gateway; trunkState.mu guards it.
type hopState struct {
	hop
	restUntil    time.Time // by its own Retry-After
	suspectUntil time.Time // it gave no answer
	failures     int       // pings in a row
	down         bool
	answered     bool // the latest ping
}

// hop is an address that requests are sent to.
type hop struct {
	network string // "UDP", "TCP", "TLS"
	addr    string // host:port with an IP address
}

// setTrunks takes over the trunks of a new Access; those that stay keep their state.
func (s *Stack) setTrunks(trunks []*Trunk) {
	t := &s.trunks
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.byName
	t.byName = make(map[string]*trunkState, len(trunks))
	for _, tr := range trunks {
		st := old[tr.Name]
		if st == nil {
			st = &trunkState{tokens: max(1, tr.Limits.MaxRate), filled: time.Now()}
		}
		fresh := st.configure(tr)
		t.byName[tr.Name] = st
		if t.open {
			s.work(st, fresh)
		}
	}
	for name, st := range old {
		if t.byName[name] == nil {
			st.end()
		}
	}
}

// openTrunks begins what trunks do by themselves, once the listeners are up.
func (s *Stack) openTrunks() {
	s.trunks.mu.Lock()
	defer s.trunks.mu.Unlock()
	s.trunks.open = true
	for _, st := range s.trunks.byName {
		s.work(st, changes{true, true})
	}
}

// work begins what a trunk does by itself, in place of what it did before.
func (s *Stack) work(t *trunkState, fresh changes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.trunk.Outbound
	if fresh.gateways {
		ctx, stop := context.WithCancel(context.Background())
		if t.stop != nil {
			t.stop()
		}
		t.stop = stop
		if o.Health.Interval > 0 && len(o.Gateways) > 0 {
			s.spawn(func() { s.watch(ctx, t) })
		}
	}
	if fresh.registration {
		before := t.reg
		t.reg = nil
		if before != nil {
			before.leave()
		}
		if o.Register != nil {
			t.reg = s.register(t, o, before)
		}
	}
}

// end stops what the trunk does by itself.
func (t *trunkState) end() {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop != nil {
		t.stop()
	}
}

// leave takes our registration with the trunk back.
func (t *trunkState) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reg != nil {
		t.reg.leave()
		t.reg = nil
	}
}

// leaveTrunks takes our registrations back, so that trunks send their calls
// elsewhere.
func (s *Stack) leaveTrunks() {
	s.trunks.mu.Lock()
	defer s.trunks.mu.Unlock()
	for _, t := range s.trunks.byName {
		t.leave()
	}
}

// find is the state of a trunk; nil when there is no such trunk.
func (t *trunkStates) find(name string) *trunkState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[name]
}

// changes tell what of a trunk's own work has to begin anew.
type changes struct{ gateways, registration bool }

// configure takes over a trunk's configuration.
func (t *trunkState) configure(tr *Trunk) changes {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := changes{true, true}
	if t.trunk != nil {
		a, b := &t.trunk.Outbound, &tr.Outbound
		fresh.gateways = !reflect.DeepEqual(a.Gateways, b.Gateways) || a.Health != b.Health
		fresh.registration = a.Domain != b.Domain || !reflect.DeepEqual(a.Login, b.Login) || !reflect.DeepEqual(a.Register, b.Register)
	}
	old := t.gateways
	t.trunk, t.gateways = tr, nil
	for _, g := range tr.Outbound.Gateways {
		i := slices.IndexFunc(old, func(o *gatewayState) bool {
			return o.Host == g.Host && o.Port == g.Port && o.Network == g.Network
		})
		st := &gatewayState{Gateway: g}
		if i >= 0 {
			st.hops, st.missing = old[i].hops, old[i].missing
			if tr.Outbound.Health.Interval == 0 {
				for _, at := range st.hops { // nobody would ever call one up again
					at.down, at.failures = false, 0
				}
			}
		}
		t.gateways = append(t.gateways, st)
	}
	return fresh
}

func (t *trunkState) config() *Trunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trunk
}

// order are the gateways in the order in which one call tries them.
func (t *trunkState) order() []*gatewayState {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.gateways)
	shuffle(out, func(g *gatewayState) (int, int) { return g.Priority, g.Weight })
	return out
}

// shuffle orders by priority, and at random by weight among equals, as RFC 2782
// wants for SRV records.
func shuffle[T any](list []T, of func(T) (priority, weight int)) {
	slices.SortStableFunc(list, func(a, b T) int {
		pa, _ := of(a)
		pb, _ := of(b)
		return cmp.Compare(pa, pb)
	})
	for i := range list {
		prio, _ := of(list[i])
		end, sum := i, 0
		for ; end < len(list); end++ {
			p, w := of(list[end])
			if p != prio {
				break
			}
			sum += max(w, 0)
		}
		if sum == 0 {
			continue
		}
		n := rand.IntN(sum)
		for j := i; j < end; j++ {
			_, w := of(list[j])
			if n -= max(w, 0); n < 0 {
				list[i], list[j] = list[j], list[i]
				break
			}
		}
	}
}

// merge notes where a gateway was found to be, and returns the state of each
// address, in the same order.
func (t *trunkState) merge(g *gatewayState, hops []hop) []*hopState {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*hopState, 0, len(hops))
	for _, h := range hops {
		i := slices.IndexFunc(g.hops, func(o *hopState) bool { return o.hop == h })
		if i >= 0 {
			out = append(out, g.hops[i])
		} else {
			out = append(out, &hopState{hop: h})
		}
	}
	g.hops, g.missing = out, len(out) == 0
	return slices.Clone(out)
}

// usable tells whether calls may go to an address now, and whether they should
// rather try others first.
func (t *trunkState) usable(h *hopState, now time.Time) (ok, suspect bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !h.down && !now.Before(h.restUntil), now.Before(h.suspectUntil)
}

// note draws the conclusions from a call's failure at an address.
func (t *trunkState) note(h *hopState, o Outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case o.Code == 0:
		h.suspectUntil = now.Add(suspectFor)
	case o.Code == 503 && o.RetryAfter > 0:
		// RFC 3261 21.5.4.
		limit := t.trunk.Outbound.MaxRest
		if limit == 0 {
			limit = defaultMaxRest
		}
		h.restUntil = now.Add(min(o.RetryAfter, limit))
	}
}
