package sip

import (
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// compact are the short names of fields that sipgo doesn't know (RFC 3261 7.3.3 and
// where the field is defined).
var compact = map[string]string{
	"Supported": "k", "Session-Expires": "x", "Refer-To": "r", "Referred-By": "b", "Event": "o", "Allow-Events": "u",
}

// message is a request or a response.
type message interface{ Headers() []gosip.Header }

// isField tells whether a header field has that name, long or compact.
func isField(h gosip.Header, name string) bool {
	n := h.Name()
	return strings.EqualFold(n, name) || len(n) == 1 && strings.EqualFold(n, compact[name])
}

// fields are the values of a header field in a message, one for each line. Unlike
// sipgo's own lookups it allocates nothing where there is none, as for most of what a
// request could have.
func fields(m message, name string) (values []string) {
	for _, h := range m.Headers() {
		if isField(h, name) {
			values = append(values, h.Value())
		}
	}
	return values
}

// field is the value of a header field in its first line.
func field(m message, name string) (value string, ok bool) {
	for _, h := range m.Headers() {
		if isField(h, name) {
			return h.Value(), true
		}
	}
	return "", false
}

// hasToken tells whether a comma-separated field names the token.
func hasToken(m message, name, token string) bool {
	for _, h := range m.Headers() {
		if !isField(h, name) {
			continue
		}
		for v := range strings.SplitSeq(h.Value(), ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
	}
	return false
}

// param is a parameter of a field's value, of the part behind the first ";".
func param(value, name string) (v string, ok bool) {
	_, rest, _ := strings.Cut(value, ";")
	for p := range strings.SplitSeq(rest, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}
