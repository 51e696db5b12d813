package sip

import (
	"bytes"
	"net/netip"
	"strconv"
	"sync"

	gosip "github.com/emiago/sipgo/sip"
)

// Message is one SIP message that came or went, as [MessageObserver] is told of it. Method
// and Code are as they stood in it: a peer may have made them up.
type Message struct {
	Sent    bool   // else it was received
	Method  string // of a request, or of the one that a response answers
	Code    int    // 0 for a request
	Network string // "UDP", "TCP", "TLS", "WS" or "WSS"
	// Peer is the name of the trunk, PeerAgents for the phone of an agent that is
	// registered, or "" for anybody else.
	Peer string
}

// PeerAgents stands for all agents' phones in [Message].
const PeerAgents = "agents"

// MessageObserver is an Observer that also wants to know of each message, retransmissions
// and refusals included. Keep-alives don't count, nor what is beyond MaxSourceRate.
type MessageObserver interface {
	// Message must not block.
	Message(Message)
}

// tally counts a message, and tells who the peer is; conn is nil for a datagram.
func (s *Stack) tally(g *glance, sent bool, network string, remote netip.AddrPort, conn *streamConn) (peer string) {
	if _, wanted := s.obs.(MessageObserver); !wanted {
		return ""
	}
	peer = s.peerName(remote, conn)
	m := Message{Sent: sent, Method: g.method, Code: g.code, Network: network, Peer: peer}
	if g.code != 0 {
		_, method, _ := bytes.Cut(g.seq, []byte(" "))
		m.Method = methodOf(bytes.TrimSpace(method))
	}
	s.observe(m)
	return peer
}

// observe tells the observer of a message.
func (s *Stack) observe(m Message) {
	if o, ok := s.obs.(MessageObserver); ok {
		o.Message(m)
	}
}

// methodOf is the name of a method, without a copy for those that are served.
func methodOf(b []byte) string {
	for _, m := range [...]gosip.RequestMethod{gosip.INVITE, gosip.ACK, gosip.BYE, gosip.CANCEL, gosip.OPTIONS, gosip.REGISTER} {
		if string(b) == string(m) {
			return string(m)
		}
	}
	return string(b)
}

// peerName is who is behind an address: what he has shown, else the trunk that the
// address belongs to.
func (s *Stack) peerName(remote netip.AddrPort, conn *streamConn) string {
	if tr := s.access.Load().trunkNamed(conn); tr != nil {
		return tr.Name
	}
	if conn != nil && conn.bound.Load() || s.reg.knows(remote) {
		return PeerAgents
	}
	if name := s.peers.of(remote); name != "" {
		return name
	}
	if tr := s.trunkFrom(remote, conn); tr != nil {
		return tr.Name
	}
	return ""
}

// trunkFrom is the trunk that a message is of, as far as it can be told before anybody has shown a password: by its
// certificate, its Addresses, or the address and port where it has shown its password before.
func (s *Stack) trunkFrom(remote netip.AddrPort, conn *streamConn) *Trunk {
	table := s.access.Load()
	if tr := table.trunkNamed(conn); tr != nil {
		return tr
	}
	if tr := table.trunkAt(remote.Addr()); tr != nil {
		return tr
	}
	if name := s.peers.shownAt(remote); name != "" {
		return table.byName[name]
	}
	return nil
}

// peers remembers addresses that are a trunk's without being in its Addresses: those of
// its gateways, and those where its password was shown.
type peers struct {
	mu sync.RWMutex
	at map[netip.AddrPort]peer
}

type peer struct {
	trunk string
	shown bool // its password, from there
}

func newPeers() *peers { return &peers{at: make(map[netip.AddrPort]peer)} }

// note never learns from a message that anybody could have sent.
func (p *peers) note(addr netip.AddrPort, trunk string, shown bool) {
	is := p.get(addr)
	if is.trunk == trunk && (is.shown || !shown) || is.shown && !shown {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.at) >= maxAcquaintances {
		clear(p.at) // it fills again from those who are still there
	}
	p.at[addr] = peer{trunk, shown}
}

func (p *peers) get(addr netip.AddrPort) peer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.at[addr]
}

func (p *peers) of(addr netip.AddrPort) string { return p.get(addr).trunk }

// shownAt is the trunk that has shown its password from there.
func (p *peers) shownAt(addr netip.AddrPort) string {
	if is := p.get(addr); is.shown {
		return is.trunk
	}
	return ""
}

// forget is for when passwords may have changed.
func (p *peers) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.at)
}

// noteHop remembers where a trunk's requests go to.
func (p *peers) noteHop(to hop, trunk string) {
	if addr, err := netip.ParseAddrPort(to.addr); err == nil {
		p.note(addr, trunk, false)
	}
}

// statusOf is the code of a response's start line; 0 for anything else. A line that begins
// as a response without a number has code 1, so that it isn't taken for a request.
func statusOf(line []byte) int {
	if len(line) < 4 || !bytes.EqualFold(line[:4], []byte("SIP/")) {
		return 0
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	if n, err := strconv.Atoi(string(code)); err == nil && n > 0 {
		return n
	}
	return 1
}
