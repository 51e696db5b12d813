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

// fields are the values of a header field in a message, one for each line.
func fields(m interface{ GetHeaders(string) []gosip.Header }, name string) (values []string) {
	for _, h := range m.GetHeaders(name) {
		values = append(values, h.Value())
	}
	if short := compact[name]; short != "" {
		for _, h := range m.GetHeaders(short) {
			values = append(values, h.Value())
		}
	}
	return values
}

// field is the value of a header field in its first line.
func field(m interface{ GetHeaders(string) []gosip.Header }, name string) (value string, ok bool) {
	if vs := fields(m, name); len(vs) > 0 {
		return vs[0], true
	}
	return "", false
}

// hasToken tells whether a comma-separated field names the token.
func hasToken(m interface{ GetHeaders(string) []gosip.Header }, name, token string) bool {
	for _, line := range fields(m, name) {
		for v := range strings.SplitSeq(line, ",") {
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
