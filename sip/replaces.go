package sip

import (
	"net/url"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// Replaced is the call that an INVITE wants to take the place of (RFC 3891).
type Replaced struct {
	Leg *Leg
	// EarlyOnly: only while it isn't answered.
	EarlyOnly bool
}

// named is a dialog as a Replaces field names it.
type named struct {
	callID, toTag, fromTag string
	earlyOnly              bool
}

// readReplaces reads the value of a Replaces field (RFC 3891 6.1), or of Join, which has the
// same words but for early-only (RFC 3911 7.1).
func readReplaces(v string) (d named, ok bool) {
	id, _, _ := strings.Cut(v, ";")
	d.callID = strings.TrimSpace(id)
	d.toTag, _ = param(v, "to-tag")
	d.fromTag, _ = param(v, "from-tag")
	_, d.earlyOnly = param(v, "early-only")
	return d, d.callID != "" && d.toTag != "" && d.fromTag != ""
}

// replaced finds the leg of that dialog. Some phones write the tags the wrong way
// round; no other dialog can be meant then.
func (s *Stack) replaced(d named) (*Leg, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range []dialogID{{d.callID, d.toTag, d.fromTag}, {d.callID, d.fromTag, d.toTag}} {
		if l := s.legs[id]; l != nil {
			return l, true
		}
	}
	return nil, false
}

// ReplacesURI is the peer's target with a Replaces field that names this dialog (RFC
// 3891): whom to refer another call to, so that it takes this one's place.
func (l *Leg) ReplacesURI() string {
	l.mu.Lock()
	u := gosip.Uri{Scheme: "sip", User: l.remote.Address.User, Host: l.target.Host, Port: l.target.Port}
	l.mu.Unlock()
	return u.String() + "?Replaces=" + url.QueryEscape(l.dialogField())
}

// dialogField names the leg's dialog to its peer, in Replaces or Join.
func (l *Leg) dialogField() string {
	return l.id.callID + ";to-tag=" + l.id.remoteTag + ";from-tag=" + l.id.localTag
}

// readNamed finds the leg whose dialog an INVITE names, in Replaces or Join; nil without the
// field. A code other than 0 refuses the INVITE: there are two names, or nothing has that name.
func (s *Stack) readNamed(req *gosip.Request, name string) (l *Leg, d named, code int, phrase string) {
	values := fields(req, name)
	if len(values) == 0 {
		return nil, named{}, 0, ""
	}
	d, ok := readReplaces(values[0])
	if !ok || len(values) > 1 || len(fields(req, "Replaces")) > 0 && len(fields(req, "Join")) > 0 {
		return nil, d, 400, "Bad " + name
	}
	if l, ok = s.replaced(d); !ok {
		return nil, d, 481, "Call/Transaction Does Not Exist"
	}
	return l, d, 0, ""
}

// readReplacing finds the call that an INVITE wants to replace; a code other than 0
// refuses it (RFC 3891 3).
func (s *Stack) readReplacing(req *gosip.Request) (r *Replaced, code int, phrase string) {
	l, d, code, phrase := s.readNamed(req, "Replaces")
	if code != 0 || l == nil {
		return nil, code, phrase
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == legEnded:
		return nil, 603, "Decline"
	case l.state == legEarly && l.callTx != nil:
		return nil, 481, "Call/Transaction Does Not Exist" // we didn't begin it
	case l.state != legEarly && d.earlyOnly:
		return nil, 486, "Busy Here"
	}
	return &Replaced{Leg: l, EarlyOnly: d.earlyOnly}, 0, ""
}

// headerOf is a header field in a URI (RFC 3261 19.1.1), unescaped.
func headerOf(u *gosip.Uri, name string) (string, bool) {
	for _, k := range u.Headers.Keys() {
		if strings.EqualFold(k, name) {
			v, _ := u.Headers.Get(k)
			return unescape(v), true
		}
	}
	return "", false
}

func unescape(s string) string {
	if v, err := url.PathUnescape(s); err == nil {
		return v
	}
	return s
}
