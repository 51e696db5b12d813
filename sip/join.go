package sip

import (
	gosip "github.com/emiago/sipgo/sip"
)

// supportedByAgents is what is told to agents' phones: they may join a talk, which no trunk may.
const supportedByAgents = supported + ", join"

// supports are the extensions that the peer of the leg may require of us.
func (l *Leg) supports() string {
	if l.info.Agent != "" || l.origin != nil && l.origin.trunk == "" {
		return supportedByAgents
	}
	return supported
}

// readJoining finds the call that an INVITE wants to join (RFC 3911 4), nil for none; a code
// other than 0 refuses it. Unlike the RFC we have nobody join what isn't answered: nobody talks there.
func (s *Stack) readJoining(req *gosip.Request, tr *Trunk) (l *Leg, code int, phrase string) {
	l, _, code, phrase = s.readNamed(req, "Join")
	if code != 0 || l == nil {
		return nil, code, phrase
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == legEnded:
		return nil, 603, "Decline"
	case l.state == legEarly:
		return nil, 481, "Call/Transaction Does Not Exist"
	case tr != nil:
		return nil, 403, "Forbidden"
	}
	return l, 0, ""
}
