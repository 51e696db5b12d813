package sip

import (
	"context"
	"net"
	"net/netip"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// answer sends an answer to a request that came by the connection. Where that has gone meanwhile one to the sender is
// opened (RFC 3261 18.2.2), if that is a trunk: for a stranger we would connect to wherever his Via points.
func (c *streamConn) answer(b []byte) error {
	_, err := c.Write(b)
	if err == nil {
		return nil
	}
	h, ok := c.wayBack(b)
	if !ok || !c.stack.spawn(func() { c.stack.answerBy(h, b) }) {
		return err
	}
	return nil // it is under way
}

// wayBack is where an answer goes whose connection has gone: the port that the Via names, at the address that the
// request came from. False for a peer who is no trunk by address or certificate.
func (c *streamConn) wayBack(b []byte) (wayTo, bool) {
	table, from := c.stack.access.Load(), addrOf(c.RemoteAddr())
	tr := table.trunkNamed(c)
	if tr == nil {
		tr = table.trunkAt(from)
	}
	if tr == nil || c.bound.Load() || c.network != "TCP" && c.network != "TLS" {
		return wayTo{}, false
	}
	msg, err := c.stack.parser.ParseSIP(b)
	if err != nil {
		return wayTo{}, false
	}
	res, ok := msg.(*gosip.Response)
	if !ok || res.Via() == nil {
		return wayTo{}, false
	}
	port := res.Via().Port
	if port <= 0 || port > 65535 {
		port = gosip.DefaultPort(c.network)
	}
	name := tr.TLSName
	if name == "" {
		name = strings.Trim(res.Via().Host, "[]")
	}
	return wayTo{network: c.network, addr: netip.AddrPortFrom(from, uint16(port)), name: name, bind: c.bind}, true
}

// answerBy sends an answer by a connection that it opens, if there is none.
func (s *Stack) answerBy(h wayTo, b []byte) {
	ctx, cancel := context.WithTimeout(s.streams.life, connectWithin)
	defer cancel()
	err := s.connectTo(ctx, h, false)
	if err == nil {
		err = net.ErrClosed
		s.pooled(h, func(c *streamConn) { _, err = c.Write(b) })
	}
	if err != nil {
		s.log.Debug("answer not sent by a new connection", "network", h.network, "to", h.addr.String(), "error", err)
	}
}

// pooled has f use the connection to that address in sipgo's pool, if there is one.
func (s *Stack) pooled(h wayTo, f func(*streamConn)) {
	c := s.uas[0].TransportLayer().Pool(carriedBy(h.network)).Get(h.addr.String())
	if c == nil {
		return
	}
	defer func() { _, _ = c.TryClose() }()
	t, ok := c.(*gosip.TCPConnection)
	if !ok {
		return
	}
	if conn, ok := t.Conn.(*streamConn); ok && conn.network == h.network {
		f(conn)
	}
}
