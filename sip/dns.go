package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// queryWithin is how long one name server may take for one question.
const queryWithin = 2 * time.Second

func newResolver(s *Stack) *resolver {
	d := &dnsClient{servers: s.opt.DNS}
	if len(d.servers) == 0 {
		// Without one (no such file on this system) the system's own way is left.
		if conf, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil {
			for _, server := range conf.Servers {
				d.servers = append(d.servers, net.JoinHostPort(server, conf.Port))
			}
		}
		d.system = net.DefaultResolver
	}
	return &resolver{spawn: s.spawn, leads: s.leads, query: d.query, entries: make(map[place]*entry)}
}

// dnsClient asks name servers one after the other.
type dnsClient struct {
	servers []string      // host:port
	system  *net.Resolver // for names in the hosts file and search domains; nil: not asked
}

// query asks for the records of one type. A name that isn't there has none.
func (d *dnsClient) query(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	err := errors.New("no name server is known")
	for _, server := range d.servers {
		var rrs []dns.RR
		if rrs, err = ask(ctx, server, name, kind); err == nil {
			if len(rrs) > 0 {
				return rrs, nil
			}
			break
		}
	}
	if d.system != nil && (kind == dns.TypeA || kind == dns.TypeAAAA) {
		if rrs := d.bySystem(ctx, name, kind); len(rrs) > 0 {
			return rrs, nil
		}
	}
	return nil, err
}

func ask(ctx context.Context, server, name string, kind uint16) ([]dns.RR, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.SetEdns0(1232, false)
	res, _, err := (&dns.Client{Timeout: queryWithin}).ExchangeContext(ctx, m, server)
	if err == nil && res.Truncated {
		res, _, err = (&dns.Client{Net: "tcp", Timeout: queryWithin}).ExchangeContext(ctx, m, server)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", server, err)
	case res.Rcode != dns.RcodeSuccess && res.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("ask %s: it answers %s", server, dns.RcodeToString[res.Rcode])
	}
	var out []dns.RR
	for _, rr := range res.Answer {
		if rr.Header().Rrtype == kind {
			out = append(out, rr)
		}
	}
	return out, nil
}

// bySystem asks as the system's other programs do; it tells no TTL, so that the
// shortest one counts.
func (d *dnsClient) bySystem(ctx context.Context, name string, kind uint16) []dns.RR {
	network := map[uint16]string{dns.TypeA: "ip4", dns.TypeAAAA: "ip6"}[kind]
	addrs, err := d.system.LookupNetIP(ctx, network, strings.TrimSuffix(name, "."))
	if err != nil {
		return nil
	}
	var out []dns.RR
	for _, a := range addrs {
		out = append(out, addressRecord(a.Unmap(), name, kind))
	}
	return out
}

func addressRecord(a netip.Addr, name string, kind uint16) dns.RR {
	h := dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
	if kind == dns.TypeA {
		return &dns.A{Hdr: h, A: a.AsSlice()}
	}
	return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
}
