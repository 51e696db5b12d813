package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// lookup finds the addresses of a gateway, in the order to try them.
func (s *Stack) lookup(ctx context.Context, g Gateway) ([]hop, error) {
	network, port := strings.ToUpper(g.Network), g.Port
	if network == "" {
		network = "UDP"
	}
	if port == 0 {
		port = 5060
		if network == "TLS" {
			port = 5061
		}
	}
	if addr, err := netip.ParseAddr(g.Host); err == nil {
		return []hop{{network, netip.AddrPortFrom(addr, uint16(port)).String()}}, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, g.Host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", g.Host, err)
	}
	var out []hop
	for _, a := range addrs {
		out = append(out, hop{network, net.JoinHostPort(a, strconv.Itoa(port))})
	}
	return out, nil
}
