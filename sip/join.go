package sip

import (
	gosip "github.com/emiago/sipgo/sip"
)

// refuseJoin answers an INVITE that wants to join a call of ours (RFC 3911 4); a code of 0
// goes on. Who may take part in a call is asked of whoever dials a code for it (the hotline's
// supervisors, who listen before they speak); a Join would put its sender into the talk at
// once, heard by both, so nobody is joined: one who names a call that is there is told that it can't be, rather than be taken for a
// caller. Whoever requires it gets 420, as "join" isn't among the extensions we support.
func (s *Stack) refuseJoin(req *gosip.Request) (code int, phrase string) {
	values := fields(req, "Join")
	if len(values) == 0 {
		return 0, ""
	}
	d, ok := readReplaces(values[0]) // the same words, but for early-only
	if !ok || len(values) > 1 || len(fields(req, "Replaces")) > 0 {
		return 400, "Bad Join"
	}
	l, ok := s.replaced(d)
	if !ok {
		return 481, "Call/Transaction Does Not Exist"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == legEnded {
		return 603, "Decline"
	}
	return 488, "Not Acceptable Here"
}
