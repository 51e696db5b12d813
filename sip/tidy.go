package sip

import (
	"bytes"

	gosip "github.com/emiago/sipgo/sip"
)

// This file brings requests that are right, but in a form that sipgo doesn't read,
// into one that it does: spaces around the "=" and ";" of parameters (RFC 3261 25.1
// allows them).

// tidied are the fields whose parameters sipgo looks into.
var tidied = map[string]bool{"via": true, "from": true, "to": true, "contact": true, "m": true, "route": true, "record-route": true}

// odd tells of a request that may be of another form: it seems to lack what each request has, but those of
// peers older than RFC 3261.
func odd(req *gosip.Request) bool {
	v, f := req.Via(), req.From()
	if v == nil || f == nil {
		return false
	}
	_, branch := v.Params.Get("branch")
	tag, _ := f.Params.Get("tag")
	return !branch || tag == ""
}

// tidy rewrites the fields of a request that is odd.
func tidy(data []byte) []byte {
	head, body, found := bytes.Cut(data, []byte("\r\n\r\n"))
	if !found {
		return data
	}
	start, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\r\n"))
	out := append(bytes.Clone(start), "\r\n"...)
	for _, line := range headerLines(append(bytes.Clone(head), "\r\n\r\n"...)) {
		if tidied[canonicalName(line)] {
			line = closeUp(line)
		}
		out = append(append(out, line...), "\r\n"...)
	}
	return append(append(out, "\r\n"...), body...)
}

// closeUp takes the blanks around ";" and "=" out of a field, but for those in quoted
// strings. It looks at each byte once: a stranger chooses how many blanks there are.
func closeUp(line []byte) []byte {
	out := make([]byte, 0, len(line))
	quoted, escaped := false, false
	blanks := 0 // how many of the last bytes of out are
	isMark := func(c byte) bool { return c == ';' || c == '=' }
	for _, c := range line {
		blank := !quoted && (c == ' ' || c == '\t')
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case blank && len(out) > 0 && blanks == 0 && isMark(out[len(out)-1]):
			continue
		case !quoted && isMark(c):
			out = out[:len(out)-blanks]
		}
		blanks++
		if !blank {
			blanks = 0
		}
		out = append(out, c)
	}
	return out
}
