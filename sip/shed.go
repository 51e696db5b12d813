package sip

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// This file refuses new work before anything is made of it: no transaction, no
// goroutine, not even a parsed message.

// glance is what can be seen of a message at a glance: its values as they stand.
type glance struct {
	method                               string // "" for a response
	code                                 int    // 0 for a request
	callID, seq, from, to, allowed, call []byte
	asserted, remoteParty                []byte
}

func look(data []byte) glance {
	var g glance
	line, rest := cutLine(bytes.TrimLeft(data, "\r\n"))
	if g.code = statusOf(line); g.code == 0 {
		method, _, _ := bytes.Cut(line, []byte(" "))
		g.method = methodOf(method)
	}
	for len(rest) > 0 {
		if line, rest = cutLine(rest); len(line) == 0 {
			break
		}
		is, value := fieldOf(line)
		if at := g.place(is); at != nil {
			*at = bytes.TrimSpace(value)
		}
	}
	return g
}

// place is where the value of a field belongs; nil for nowhere. Who asserts himself is who does so first.
func (g *glance) place(is fieldName) *[]byte {
	switch {
	case is == fieldCallID:
		return &g.callID
	case is == fieldCSeq:
		return &g.seq
	case is == fieldFrom:
		return &g.from
	case is == fieldTo:
		return &g.to
	case is == fieldCall:
		return &g.call
	case is == fieldAuthorization:
		return &g.allowed
	case is == fieldAsserted && g.asserted == nil:
		return &g.asserted
	case is == fieldRemoteParty && g.remoteParty == nil:
		return &g.remoteParty
	default:
		return nil
	}
}

// newWork tells whether a request begins something. All of a call in progress, and what
// ends one that begins, is served always.
func (s *Stack) newWork(g *glance) bool {
	switch g.method {
	case "", "ACK", "CANCEL":
		return false
	}
	if !s.hasDialog(g.callID) {
		return true
	}
	from, to := rawTag(g.from), rawTag(g.to)
	if to == "" {
		// One of the first INVITE's transaction, again: 503 would be taken for its answer.
		return g.method != "INVITE" || !s.hasLeg(g.callID, s.localTag(string(g.callID), from), from)
	}
	return !s.hasLeg(g.callID, to, from)
}

func (s *Stack) hasDialog(callID []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialogs[string(callID)] > 0
}

func (s *Stack) hasLeg(callID []byte, localTag, remoteTag string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs[dialogID{string(callID), localTag, remoteTag}] != nil
}

// admits tells whether a message that came then may go on. conn is nil for a datagram.
func (s *Stack) admits(g *glance, from netip.AddrPort, came time.Time, conn *streamConn) bool {
	if !s.newWork(g) {
		return true
	}
	first := g.method == "INVITE" && conn == nil && rawTag(g.to) == ""
	if !first {
		return s.admitsNew(g, from, came, conn)
	}
	now := time.Now()
	switch s.fates.of(g.callID, g.seq, now) {
	case fateLetIn:
		return true
	case fateRefused:
		return false
	}
	if !s.admitsNew(g, from, came, nil) {
		s.fates.note(g.callID, g.seq, fateRefused, now)
		return false
	}
	s.fates.note(g.callID, g.seq, fateLetIn, now)
	return true
}

func (s *Stack) admitsNew(g *glance, from netip.AddrPort, came time.Time, conn *streamConn) bool {
	who := favoured
	limited := s.admission.limited()
	if limited {
		who = s.standing(g, from, conn)
	}
	if int(s.crew.size.Load()-s.crew.waiting.Load()) >= s.opt.MaxPending+s.Calls() { // an agent's own call has one for as long as it lasts
		return false
	}
	return s.admission.admit(who, came, time.Now())
}

// standing of whoever sends a request.
func (s *Stack) standing(g *glance, from netip.AddrPort, conn *streamConn) standing {
	tr := s.trunkFrom(from, conn)
	switch {
	case tr != nil && (tr.VIP || s.favours(g, tr)), s.reg.knows(from):
		return favoured
	case tr != nil, conn != nil && conn.known.Load(), s.flood.known.has(from.Addr(), time.Now()):
		return familiar
	case len(g.allowed) > 0 && s.answersUs(g.allowed, from.Addr()):
		return familiar
	default:
		return stranger
	}
}

// answersUs tells whether credentials answer a challenge of ours that was sent to this
// address: then it isn't forged.
func (s *Stack) answersUs(credentials []byte, from netip.Addr) bool {
	_, nonce, _ := bytes.Cut(credentials, []byte(`nonce="`))
	nonce, _, _ = bytes.Cut(nonce, []byte(`"`))
	ours, fresh, _ := s.auth.genuine(string(nonce), prefixOf(from), time.Now())
	return ours && fresh
}

// shed is the 503 to a request that isn't admitted, in the room that out has; nil for none.
func (s *Stack) shed(out, data []byte, tr *Trunk) []byte {
	s.obs.Refused("overload")
	if after := s.retryAfter(tr); after != "" {
		return appendRawResponse(out, data, 503, "Service Unavailable", "Retry-After: "+after)
	}
	return appendRawResponse(out, data, 503, "Service Unavailable")
}

// retryAfter, in seconds, is spread so that those turned away don't come back together; a trunk that
// is alone has none, because it would stop sending altogether.
func (s *Stack) retryAfter(tr *Trunk) string {
	if s.opt.RetryAfter <= 0 || tr != nil && tr.SoleUpstream {
		return ""
	}
	least := max(1, int(s.opt.RetryAfter/2/time.Second))
	most := max(least, int(5*s.opt.RetryAfter/2/time.Second))
	return strconv.Itoa(least + rand.IntN(most-least+1))
}

// isRawAck tells of an ACK to an answer that rawResponse gave: nobody waits for it.
func isRawAck(g *glance) bool { return g.method == "ACK" && rawTag(g.to) == rawToTag }

// takes tells whether a datagram may go on; it has been answered, or is beyond what its
// source may send, when not.
func (f *udpFront) takes(g *glance, data []byte, from netip.AddrPort, came time.Time) bool {
	s := f.stack
	peer := s.tally(g, false, "UDP", from, nil)
	if isRawAck(g) {
		return false
	}
	if s.admits(g, from, came, nil) {
		s.trace(g, data, false, "UDP", f.bind.local, from)
		return true
	}
	if res := s.shed(f.answer, data, s.trunkFrom(from, nil)); res != nil {
		f.answer = res
		s.observe(Message{Sent: true, Method: g.method, Code: 503, Network: "UDP", Peer: peer})
		_ = f.write(res, from)
	}
	return false
}

// sourceOfPacket is the address that a datagram came from.
func sourceOfPacket(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		return plainAddr(u.AddrPort())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return plainAddr(ap)
}

// takes is the same for a message of a stream.
func (c *streamConn) takes(msg []byte) bool {
	g := look(msg)
	from := sourceOfPacket(c.RemoteAddr())
	c.stack.tally(&g, false, c.network, from, c)
	if isRawAck(&g) {
		return false
	}
	if c.stack.admits(&g, from, time.Now(), c) {
		c.stack.trace(&g, msg, false, c.network, sourceOfPacket(c.Conn.LocalAddr()), from)
		return true
	}
	if res := c.stack.shed(nil, msg, c.stack.trunkFrom(from, c)); res != nil {
		_, _ = c.Write(res)
	}
	return false
}
