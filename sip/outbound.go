package sip

import (
	"fmt"
	"slices"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// What a REGISTER may add to RFC 3261: Path (RFC 3327), the way to the phone, and
// Outbound (RFC 5626), the connection it opened.

const (
	// flowTimer is told to phones with Outbound: how often to show that their
	// connection lives.
	flowTimer = 120 * time.Second
	// maxPath bounds the hops to a phone.
	maxPath = 8
)

// registerExtensions are the option tags that a REGISTER may require.
var registerExtensions = []string{"path", "outbound", "gruu"}

// optionTags lists the tags in a field such as Supported.
func optionTags(req *gosip.Request, name string) []string {
	var out []string
	for _, h := range req.GetHeaders(name) {
		for t := range strings.SplitSeq(h.Value(), ",") {
			if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
				out = append(out, t)
			}
		}
	}
	return out
}

// unknownTags are those required that the registrar doesn't know (RFC 3261 8.2.2.3).
func unknownTags(req *gosip.Request) []string {
	return slices.DeleteFunc(optionTags(req, "Require"), func(t string) bool { return slices.Contains(registerExtensions, t) })
}

func supports(req *gosip.Request, tag string) bool {
	return slices.Contains(optionTags(req, "Supported"), tag) || slices.Contains(optionTags(req, "Require"), tag) ||
		slices.Contains(optionTags(req, "k"), tag)
}

// readPath reads the Path fields: the route to the phone, first hop first (RFC 3327
// 5.3).
func readPath(req *gosip.Request) ([]gosip.Uri, error) {
	var path []gosip.Uri
	for _, h := range req.GetHeaders("Path") {
		uris, err := readRoute(h.Value())
		if err != nil {
			return nil, err
		}
		path = append(path, uris...)
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("path has %d hops, at most %d are taken", len(path), maxPath)
	}
	return path, nil
}

// readRoute reads a list of addresses in angle brackets.
func readRoute(list string) ([]gosip.Uri, error) {
	var out []gosip.Uri
	for list = strings.TrimSpace(list); list != ""; {
		open, end := strings.IndexByte(list, '<'), strings.IndexByte(list, '>')
		var u gosip.Uri
		if open != 0 || end < 0 || gosip.ParseUri(list[1:end], &u) != nil || u.Host == "" {
			return nil, fmt.Errorf("path %.64q can't be read", list)
		}
		if _, err := networkOf(u); err != nil {
			return nil, err
		}
		out = append(out, u)
		_, list, _ = strings.Cut(list[end:], ",")
		list = strings.TrimSpace(list)
	}
	return out, nil
}

// follow makes the contact one that is reached by a path: its first hop is where
// requests go, not where the REGISTER came from.
func (c *Contact) follow(s *Stack, path []gosip.Uri) {
	if len(path) == 0 {
		return
	}
	c.path, c.Source, c.conn = path, "", nil
	c.Network, _ = networkOf(path[0]) // readRoute has asked
	c.bind = s.bindTo(c.Network, path[0].Host)
}

// readFlow tells whether a REGISTER asks for Outbound with this contact, and gives
// it its flow; lacks says that the first hop doesn't know Outbound, which would
// spoil it (RFC 5626 6: 439).
func (c *Contact) readFlow(req *gosip.Request, params gosip.HeaderParams) (asked, lacks bool) {
	instance, _ := params.Get("+sip.instance")
	c.instance = strings.Trim(instance, `"`)
	regID, _ := params.Get("reg-id")
	if c.instance == "" || regID == "" || !supports(req, "outbound") || len(c.instance) > 256 || len(regID) > 10 {
		return false, false
	}
	if len(req.GetHeaders("Via")) > 1 {
		path, err := readPath(req)
		if err != nil || len(path) == 0 || !path[len(path)-1].UriParams.Has("ob") {
			return true, true
		}
	}
	c.regID = regID
	return true, false
}

// replaces tells whether registering c ends the binding old: the same flow of the
// same phone, or the same contact.
func (c *Contact) replaces(old *Contact) bool {
	if c.regID != "" && old.regID != "" && c.instance == old.instance {
		return c.regID == old.regID
	}
	return c.URI == "*" || c.URI == old.URI
}

// onePerPhone leaves the best binding of each phone: a phone with two flows must not
// ring twice (RFC 5626 7).
func onePerPhone(cs []*Contact) []*Contact {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(cs), func(c *Contact) bool {
		if c.regID == "" {
			return false
		}
		again := seen[c.instance]
		seen[c.instance] = true
		return again
	})
}

// connectionLost ends the bindings whose only way was the connection; a phone on TCP
// that can be dialled at its Contact stays.
func (r *registrar) connectionLost(conn *streamConn) {
	var changed []string
	r.mu.Lock()
	for _, user := range conn.users {
		var left []*Contact
		lost := false
		for _, c := range r.aors[user] {
			switch {
			case c.conn != conn:
				left = append(left, c)
			case c.dialable():
				alone := *c
				alone.Source, alone.conn, lost = "", nil, true
				left = append(left, &alone)
			default:
				lost = true
			}
		}
		if lost && !r.closed {
			r.set(user, left)
			changed = append(changed, user)
		}
	}
	conn.users = nil
	r.mu.Unlock()
	for _, user := range changed {
		r.tell(user)
	}
}

// dialable tells whether a phone could be reached without the connection of its
// REGISTER: on TCP, when it names the very host it came from, so that no NAT is
// between, and a port of its own.
func (c *Contact) dialable() bool {
	host, port, err := gosip.ParseAddr(c.Source)
	return c.Network == "TCP" && c.regID == "" && err == nil && strings.Trim(c.uri.Host, "[]") == host && c.uri.Port != port
}

// contactValue is a binding as a REGISTER's answer tells it.
func (c *Contact) contactValue(now time.Time) string {
	v := fmt.Sprintf("<%s>;expires=%d", c.URI, int((c.Expires.Sub(now)+time.Second/2)/time.Second))
	if c.Q != 1000 {
		v += fmt.Sprintf(";q=%d.%03d", c.Q/1000, c.Q%1000)
	}
	if c.instance != "" {
		v += fmt.Sprintf(";+sip.instance=%q", c.instance)
	}
	if c.regID != "" {
		v += ";reg-id=" + c.regID
	}
	return v
}
