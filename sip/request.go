package sip

import (
	"math/rand/v2"
	"slices"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// request builds the dialog's next request (RFC 3261 12.2.1.1).
func (l *Leg) request(method gosip.RequestMethod) *gosip.Request {
	l.mu.Lock()
	l.localSeq++
	seq := l.localSeq
	l.mu.Unlock()
	return l.requestAs(method, seq)
}

// requestAs builds a request within the dialog.
func (l *Leg) requestAs(method gosip.RequestMethod, seq uint32) *gosip.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	target, routes, dest := l.target, l.routes, l.dest
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") {
		// A strict router of RFC 2543: it finds itself in the Request-URI, and the
		// target last in the route (section 12.2.1.1).
		target, routes, dest = routes[0], append(slices.Clone(routes[1:]), target), routes[0].HostPort()
	}
	req := gosip.NewRequest(method, requestURI(&target))
	l.stack.address(req, l.bind, l.network, dest)
	for i := range routes {
		req.AppendHeader(&gosip.RouteHeader{Address: *routes[i].Clone()})
	}
	from, to := l.local, l.remote
	from.Params, to.Params = from.Params.Clone(), to.Params.Clone()
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	id := gosip.CallIDHeader(l.id.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: seq, MethodName: method})
	l.stack.common(req, l.bind)
	if method == gosip.INVITE {
		req.ReplaceHeader(gosip.NewHeader("Supported", l.supports()))
	}
	if c := req.Contact(); c != nil && l.sips {
		secureContact(c)
	}
	return req
}

// requestURI is an address as it may stand in a request line: header fields and a method, which a Contact may name,
// mean nothing there (RFC 3261 19.1.1), and would add to our request what a peer likes.
func requestURI(u *gosip.Uri) gosip.Uri {
	out := *u.Clone()
	out.Headers = nil
	out.UriParams = slices.DeleteFunc(out.UriParams, func(p gosip.HeaderKV) bool { return strings.EqualFold(p.K, "method") })
	return out
}

// address puts the top Via on a request and fixes by which listener and to which
// address it leaves. An empty dest leaves it to the route set or the target.
func (s *Stack) address(req *gosip.Request, b *bind, network, dest string) {
	via := &gosip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: network, Host: viaHost(b.host), Port: b.port}
	via.Params.Add("branch", gosip.GenerateBranchN(20))
	via.Params.Add("rport", "")
	if network == "TLS" && s.client != nil && s.client.shows() {
		via.Params.Add("alias", "") // RFC 5923: who checks our certificate may call us on this connection
	}
	req.PrependHeader(via)
	req.SetTransport(carriedBy(network))
	if dest != "" {
		req.SetDestination(dest)
	}
	req.Laddr = gosip.Addr{IP: b.local.Addr().AsSlice()}
	if !reliable(network) {
		// sipgo finds the listener's own socket by this address; without it
		// requests leave from another port.
		req.Laddr.Port = int(b.local.Port())
	}
}

// common adds the fields that every request of ours carries.
func (s *Stack) common(req *gosip.Request, b *bind) {
	mf := gosip.MaxForwardsHeader(70)
	req.AppendHeader(&mf)
	if req.Method == gosip.INVITE || req.Method == gosip.REGISTER {
		req.AppendHeader(s.contact(b))
		req.AppendHeader(gosip.NewHeader("Allow", allowed))
	}
	if req.Method == gosip.INVITE {
		req.AppendHeader(gosip.NewHeader("Supported", supported))
	}
	req.AppendHeader(gosip.NewHeader("User-Agent", s.opt.UserAgent))
	req.SetBody(nil)
}

func (s *Stack) contact(b *bind) *gosip.ContactHeader {
	c := &gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: s.opt.UserAgent, Host: viaHost(b.host), Port: b.port}}
	switch b.network {
	case "TCP", "TLS", "WS":
		c.Address.UriParams.Add("transport", strings.ToLower(b.network))
	case "WSS":
		c.Address.UriParams.Add("transport", "ws") // RFC 7118 5.2 has no other
	}
	return c
}

// viaHost puts an IPv6 address into brackets.
func viaHost(h string) string {
	if strings.Contains(h, ":") && !strings.HasPrefix(h, "[") {
		return "[" + h + "]"
	}
	return h
}

func setSDP(m interface {
	AppendHeader(gosip.Header)
	SetBody([]byte)
}, sdp []byte) {
	if len(sdp) > 0 {
		m.AppendHeader(gosip.NewHeader("Content-Type", "application/sdp"))
		m.SetBody(sdp)
	}
}

func newSeq() uint32 { return 1 + rand.Uint32N(1<<20) }
