package sip

import (
	"fmt"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// EndCause is how a leg ended.
type EndCause string

// The causes of End.
const (
	EndRemoteBye    EndCause = "remote_bye"    // the peer hung up
	EndRemoteCancel EndCause = "remote_cancel" // the caller gave up before the answer
	EndLocal        EndCause = "local"         // we hung up or refused
	EndNoAck        EndCause = "no_ack"        // our answer was never acknowledged (RFC 3261 13.3.1.4)
	EndTransport    EndCause = "transport"     // the way to the peer broke
	EndExpired      EndCause = "expired"       // nobody refreshed the session (RFC 4028)
	EndClosed       EndCause = "closed"        // the stack was closed
)

// End tells how a leg ended.
type End struct {
	Cause EndCause
	// Code is the final status that we sent when the leg was refused, else 0.
	Code int
	// Reason is what the peer's BYE or CANCEL said of it (RFC 3326), such as
	// `SIP;cause=200;text="Call completed elsewhere"`; at most 128 bytes.
	Reason string
}

type legState int

const (
	legEarly     legState = iota // no final answer yet
	legAnswered                  // 2xx sent, not acknowledged
	legConfirmed                 // both sides up
	legEnded
)

// Leg is one INVITE dialog with one peer: the caller's (A) or an agent's (B).
// All methods may be called from any goroutine; none waits for the peer.
type Leg struct {
	stack *Stack
	bind  *bind
	id    dialogID
	info  Incoming

	network string // "UDP", "TCP", "TLS", "WS", "WSS"
	sips    bool   // our Contact is one of sips
	dest    string // where requests of this dialog are sent, host:port; "" by the route
	local   gosip.FromHeader
	remote  gosip.ToHeader
	routes  []gosip.Uri

	confirmed chan struct{}
	done      chan struct{}
	turns     turns

	mu        sync.Mutex
	state     legState
	end       End
	target    gosip.Uri
	localSeq  uint32
	remoteSeq uint32
	byePend   bool // hung up before the ACK came: BYE follows it
	confOnce  sync.Once
	leaveOnce sync.Once
	onReoffer func([]byte) ([]byte, int)
	onDigit   func(byte)
	noDigits  bool   // keys by INFO are refused
	keys      []byte // to be sent by INFO; the first is under way
	onAnswer  func([]byte)
	onSent    func() // the 200 has gone out
	callTx    *transaction
	callReq   *gosip.Request
	release   func()        // gives the place among its trunk's calls back; nil for none
	txOver    chan struct{} // closed when no answer of ours needs repeating any more
	origin    *invite       // the INVITE of ours that made this leg
	change    *reinvite     // the peer's re-INVITE under way, one at a time
	ours      bool          // a change of ours is under way

	trying *time.Timer // to the 100 of an incoming leg
	spoke  bool        // a provisional answer has gone out

	allowsUpdate bool // the peer's Allow says so
	sdpDone      bool // offer and answer were exchanged before the 200
	localSDP     []byte
	earlySDP     []byte // the answer in a reliable provisional answer
	session      session
	rel          provisionals
	onRefer      func(*Referral)
	referred     *refer // a REFER of ours under way

	cred *Credentials   // answer a challenge within the dialog
	auth []gosip.Header // credentials that the INVITE carried; its ACK has the same
}

// Incoming is what an INVITE said.
type Incoming struct {
	CallID string
	// Trunk the call came by; nil when an agent called.
	Trunk *Trunk
	// Agent is the authenticated account that called; "" for a trunk.
	Agent string
	// Dialled is the user part of the Request-URI.
	Dialled string
	// Instance is the phone of the account Dialled that is meant, where a GRUU names
	// one (RFC 5627); only agents may.
	Instance string
	Caller   Caller
	// Diversions say whom the call was meant for before, the latest first; only
	// a trunk that is trusted with it is believed.
	Diversions []Diversion
	// Attestation is what the Identity of the call is worth (RFC 8224).
	Attestation Attestation
	// Offer is the SDP of the INVITE; empty when the peer wants ours in the 2xx.
	Offer []byte
	// Source is the address the INVITE came from.
	Source string
	// Hops is the Max-Forwards of the INVITE, 1 to 255: see [Outgoing.Hops].
	Hops int
	// Replaces is the call whose place it wants to take; nil for a new one. Nobody
	// has judged yet whether the caller may.
	Replaces *Replaced
	// Joins is an answered call of ours that an agent wants to take part in (RFC 3911); nil for
	// a new one. Nobody has judged yet whether the agent may, or whether anybody talks there.
	Joins *Leg
}

// Incoming returns the facts of the INVITE of an incoming leg.
func (l *Leg) Incoming() Incoming { return l.info }

// CallID is the dialog's Call-ID, for logs.
func (l *Leg) CallID() string { return l.id.callID }

// Done is closed when the leg is over; End then tells how.
func (l *Leg) Done() <-chan struct{} { return l.done }

// Confirmed is closed when the peer has acknowledged the answer (incoming), or
// has answered (outgoing).
func (l *Leg) Confirmed() <-chan struct{} { return l.confirmed }

// End tells how the leg ended; the zero value while it lives.
func (l *Leg) End() End {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// OnReoffer sets what answers a re-INVITE: it gets the peer's SDP (empty when it
// wants an offer) and returns ours, or a status to refuse with (488). Without
// one, re-INVITEs are refused with 488.
func (l *Leg) OnReoffer(f func(offer []byte) (answer []byte, refuse int)) {
	l.mu.Lock()
	l.onReoffer = f
	l.mu.Unlock()
}

// OnDigit sets what receives digits sent by INFO (application/dtmf-relay,
// application/dtmf). It must not block.
func (l *Leg) OnDigit(f func(key byte)) {
	l.mu.Lock()
	l.onDigit = f
	l.mu.Unlock()
}

// OnAnswer sets what receives the peer's SDP when it comes in the ACK: the
// INVITE had none and our 200 carried the offer.
func (l *Leg) OnAnswer(f func(answer []byte)) {
	l.mu.Lock()
	l.onAnswer = f
	l.mu.Unlock()
}

// finish ends the leg for its owner, once; false when it was over already.
func (l *Leg) finish(e End) bool { return l.finishWith(e, func() {}) }

// finishWith answers between deciding that the leg is over and letting the
// transaction go.
func (l *Leg) finishWith(e End, send func()) bool {
	l.mu.Lock()
	if l.state == legEnded {
		l.mu.Unlock()
		return false
	}
	l.state, l.end = legEnded, e
	l.stopSession()
	l.rel.saidAll()
	if l.trying != nil {
		l.trying.Stop()
	}
	l.mu.Unlock()
	send()
	close(l.done)
	if !l.lingers() {
		l.leave()
	}
	return true
}

// lingers tells whether the dialog must be kept for a BYE that waits for an ACK.
func (l *Leg) lingers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byePend
}

func (l *Leg) leave() {
	l.stack.dropLeg(l)
	l.leaveOnce.Do(func() {
		close(l.txOver)
		if l.callTx != nil {
			l.callTx.abandon()
			l.callTx.settle()
		}
	})
}

// Hangup ends the leg as its state demands: an unanswered incoming one is
// refused with 487, an established one gets BYE. The owner sees Done at once; the
// messages follow in the background. It does nothing on a leg that is over.
func (l *Leg) Hangup() {
	l.mu.Lock()
	switch l.state {
	case legEarly:
		l.mu.Unlock()
		_ = l.Reject(487, "Request Terminated")
		return
	case legAnswered:
		// RFC 3261 15: no BYE before the ACK, or before it is given up.
		l.byePend = true
		l.mu.Unlock()
		l.finish(End{Cause: EndLocal})
		return
	case legEnded:
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if l.finish(End{Cause: EndLocal}) {
		l.sendBye("")
	}
}

// sendBye hangs up; the reason, if not empty, says why (RFC 3326).
func (l *Leg) sendBye(reason string) {
	req := l.request(gosip.BYE)
	if reason != "" {
		req.AppendHeader(gosip.NewHeader("Reason", reason))
	}
	l.stack.inBackground(req, func() error {
		_, err := l.exchange(req)
		return err
	})
}

// refreshTarget takes the peer's new Contact (RFC 3261 12.2.2).
func (l *Leg) refreshTarget(c *gosip.ContactHeader) {
	if c == nil || c.Address.Wildcard || c.Address.Host == "" {
		return
	}
	l.mu.Lock()
	l.target = *c.Address.Clone()
	l.mu.Unlock()
}

// inOrder checks the CSeq of a request within the dialog (RFC 3261 12.2.2).
func (l *Leg) inOrder(seq uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remoteSeq != 0 && seq <= l.remoteSeq {
		return false
	}
	l.remoteSeq = seq
	return true
}

// inDialog finds the leg of a request within a dialog; nil when the request has
// been answered: 481 for no dialog, 500 for one that comes too late (12.2.2). A
// 481 there would end the call.
func (s *Stack) inDialog(req *gosip.Request, tx *transaction) *Leg {
	l := s.findLeg(req)
	if l == nil {
		s.refuse(req, tx, 481, "Call/Transaction Does Not Exist")
		return nil
	}
	if !l.inOrder(req.CSeq().SeqNo) {
		s.respond(req, tx, 500, "CSeq Out Of Order")
		return nil
	}
	return l
}

// handleBye ends the leg the peer hangs up; a second BYE finds none and gets 481.
func (s *Stack) handleBye(req *gosip.Request, tx *transaction) {
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	// The owner knows before the peer does that the peer was heard.
	defer s.respond(req, tx, 200, "OK")
	end := End{Cause: EndRemoteBye, Reason: endReason(req)}
	l.mu.Lock()
	l.byePend = false
	early := l.state == legEarly && l.callTx != nil && l.callTx.unanswered()
	l.mu.Unlock()
	if early {
		// RFC 3261 15.1.2: the INVITE still wants its final answer.
		l.finishWith(end, func() { s.respond(l.callReq, l.callTx, 487, "Request Terminated") })
		return
	}
	if !l.finish(end) {
		l.leave()
	}
}

// handleInfo takes digits (RFC 6086 legacy use).
func (s *Stack) handleInfo(req *gosip.Request, tx *transaction) {
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	kind := ""
	if h := req.ContentType(); h != nil {
		kind, _, _ = strings.Cut(h.Value(), ";")
	}
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/dtmf-relay", "application/dtmf":
		if l.refusesKeys() {
			s.respond(req, tx, 415, "Unsupported Media Type", gosip.NewHeader("Accept", ""))
			return
		}
	case "":
		s.respond(req, tx, 200, "OK")
		return
	default:
		s.respond(req, tx, 415, "Unsupported Media Type", gosip.NewHeader("Accept", "application/dtmf-relay, application/dtmf"))
		return
	}
	key, ok := infoDigit(string(req.Body()))
	if !ok {
		s.respond(req, tx, 400, "No Digit")
		return
	}
	l.mu.Lock()
	f := l.onDigit
	l.mu.Unlock()
	if f != nil {
		f(key)
	}
	// Last: the peer sends the next key once this one is answered.
	s.respond(req, tx, 200, "OK")
}

// infoDigit reads "Signal=5" or a bare "5"; 10 and 11 are * and #.
func infoDigit(body string) (byte, bool) {
	v := strings.TrimSpace(body)
	for line := range strings.Lines(body) {
		if k, rest, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(k), "signal") {
			v = strings.TrimSpace(rest)
			break
		}
	}
	switch v {
	case "10":
		v = "*"
	case "11":
		v = "#"
	}
	v = strings.ToUpper(v)
	if len(v) == 1 && strings.Contains("0123456789*#ABCD", v) {
		return v[0], true
	}
	return 0, false
}

// String names the leg in logs without telling numbers.
func (l *Leg) String() string { return fmt.Sprintf("leg %s", l.id.callID) }
