package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// What the DNS says counts at least and at most so long, whatever its TTL.
	minTTL = 30 * time.Second
	maxTTL = time.Hour
	// failTTL is how long a name that couldn't be looked up isn't asked for again.
	failTTL = 10 * time.Second
	// lookupWithin bounds all questions for one name.
	lookupWithin = 5 * time.Second
	// maxHops bounds how many addresses of one gateway are tried.
	maxHops = 16
)

var errNoAddress = errors.New("the DNS knows no address that a listener of ours leads to")

// resolver finds the addresses of gateways by RFC 3263. It remembers them; when
// their time is over they are asked for anew in the background and the old ones
// count until the answer comes, so that only the first call waits for the DNS.
type resolver struct {
	spawn func(func()) bool
	// query asks for the records of one type; none is no error.
	query func(ctx context.Context, name string, kind uint16) ([]dns.RR, error)
	// leads tells whether a listener leads to addresses of that kind.
	leads func(network string, v4 bool) bool

	mu      sync.Mutex
	entries map[place]*entry
}

// place is what a gateway is looked up by.
type place struct {
	host    string
	port    int
	network string // "" for any
}

// entry is what is known of one place; resolver.mu guards it.
type entry struct {
	found  []record
	err    error
	expire time.Time
	asking chan struct{} // closed when the answer is there; nil when nobody asks
}

// record is one address with its rank.
type record struct {
	priority, weight int
	hop
}

// locate finds the addresses of a gateway, in the order to try them: at random by
// the weights of the DNS, each time anew. It waits for the DNS when nothing is
// known yet, at most until ctx ends.
func (s *Stack) locate(ctx context.Context, g Gateway) ([]hop, error) {
	at := place{g.Host, g.Port, strings.ToUpper(g.Network)}
	if addr, err := netip.ParseAddr(g.Host); err == nil {
		at.network = orUDP(at.network)
		return []hop{at.hop(addr.Unmap(), at.network)}, nil
	}
	found, err := s.resolver.find(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", g.Host, err)
	}
	shuffle(found, func(r record) (int, int) { return r.priority, r.weight })
	var out []hop
	for _, r := range found[:min(len(found), maxHops)] {
		out = append(out, r.hop)
	}
	return out, nil
}

func orUDP(network string) string {
	if network == "" {
		return "UDP"
	}
	return network
}

// hop is an address at the port of the place, or the one that belongs to the
// network.
func (p place) hop(addr netip.Addr, network string) hop {
	port := p.port
	if port == 0 {
		port = 5060
		if network == "TLS" {
			port = 5061
		}
	}
	return hop{network, netip.AddrPortFrom(addr, uint16(port)).String()}
}

// find returns a copy of what is known of a place.
func (r *resolver) find(ctx context.Context, at place) ([]record, error) {
	r.mu.Lock()
	e := r.entries[at]
	if e == nil {
		e = &entry{}
		r.entries[at] = e
	}
	if e.asking == nil && !time.Now().Before(e.expire) {
		asking := make(chan struct{})
		if r.spawn(func() { r.ask(at, e, asking) }) {
			e.asking = asking
		}
	}
	asking := e.asking
	if asking != nil && len(e.found) == 0 {
		r.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if len(e.found) == 0 {
		return nil, e.err
	}
	return append([]record(nil), e.found...), nil
}

// ask looks a place up and remembers the answer. When that fails, what was known
// before goes on to count.
func (r *resolver) ask(at place, e *entry, asking chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	q := &question{resolver: r, ctx: ctx, ttl: maxTTL}
	found := q.all(at)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(found) > 0:
		e.found, e.err, e.expire = found, nil, time.Now().Add(max(q.ttl, minTTL))
	case q.err != nil:
		e.err, e.expire = q.err, time.Now().Add(failTTL)
	default:
		// The DNS answers, and there is nothing.
		e.found, e.err, e.expire = nil, errNoAddress, time.Now().Add(failTTL)
	}
	e.asking = nil
	close(asking)
}

// question is the lookup of one place.
type question struct {
	*resolver
	ctx context.Context
	ttl time.Duration // the shortest of all answers
	err error         // the last failure of the DNS
}

// services are what NAPTR and SRV call the networks, in our order of preference.
var services = []struct{ network, naptr, srv string }{
	{"UDP", "SIP+D2U", "_sip._udp."}, {"TCP", "SIP+D2T", "_sip._tcp."}, {"TLS", "SIPS+D2T", "_sips._tcp."},
}

// all are the addresses of a place (RFC 3263 4.1 and 4.2).
func (q *question) all(at place) []record {
	if at.port == 0 {
		if at.network == "" {
			if found := q.naptr(at); len(found) > 0 {
				return found
			}
		}
		var found []record
		for i, sv := range services {
			if at.network == "" || at.network == sv.network {
				found = append(found, q.srv(sv.srv+at.host, sv.network, i)...)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	network := orUDP(at.network)
	var found []record
	for i, addr := range q.addresses(at.host, network) {
		found = append(found, record{i, 1, at.hop(addr, network)})
	}
	return found
}

// naptr follows the NAPTR records whose service we speak.
func (q *question) naptr(at place) []record {
	var list []*dns.NAPTR
	for _, rr := range q.records(at.host, dns.TypeNAPTR) {
		if n, ok := rr.(*dns.NAPTR); ok && strings.EqualFold(n.Flags, "s") {
			list = append(list, n)
		}
	}
	shuffle(list, func(n *dns.NAPTR) (int, int) { return int(n.Order)<<16 | int(n.Preference), 1 })
	var found []record
	for i, n := range list {
		for _, sv := range services {
			if strings.EqualFold(n.Service, sv.naptr) {
				found = append(found, q.srv(n.Replacement, sv.network, i)...)
			}
		}
	}
	return found
}

// srv follows the SRV records of a name. rank comes before their priorities.
func (q *question) srv(name, network string, rank int) []record {
	if !q.leads(network, true) && !q.leads(network, false) {
		return nil
	}
	var found []record
	for _, rr := range q.records(name, dns.TypeSRV) {
		s, ok := rr.(*dns.SRV)
		if !ok || s.Target == "." { // RFC 2782: the service is not there
			continue
		}
		at := place{port: int(s.Port)}
		for _, addr := range q.addresses(s.Target, network) {
			found = append(found, record{rank<<16 | int(s.Priority), int(s.Weight), at.hop(addr, network)})
		}
	}
	return found
}

// addresses are those of a host that our listeners lead to, IPv4 first.
func (q *question) addresses(host, network string) []netip.Addr {
	var out []netip.Addr
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if !q.leads(network, kind == dns.TypeA) {
			continue
		}
		for _, rr := range q.records(host, kind) {
			var addr netip.Addr
			switch rr := rr.(type) {
			case *dns.A:
				addr, _ = netip.AddrFromSlice(rr.A)
			case *dns.AAAA:
				addr, _ = netip.AddrFromSlice(rr.AAAA)
			}
			if addr.IsValid() {
				out = append(out, addr.Unmap())
			}
		}
	}
	return out
}

// records asks for one type, and notes how long the answer lasts.
func (q *question) records(name string, kind uint16) []dns.RR {
	rrs, err := q.query(q.ctx, dns.Fqdn(name), kind)
	if err != nil {
		q.err = err
	}
	for _, rr := range rrs {
		q.ttl = min(q.ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return rrs
}

// leads tells whether a listener of ours leads to addresses of that kind.
func (s *Stack) leads(network string, v4 bool) bool {
	addr := netip.IPv6Unspecified()
	if v4 {
		addr = netip.IPv4Unspecified()
	}
	return s.bindToward(hop{network, netip.AddrPortFrom(addr, 0).String()}) != nil
}
