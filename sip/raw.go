package sip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// This file looks at messages before they are parsed: to answer those that
// can't be.

// supportedVersion tells whether the start line names SIP/2.0 (RFC 3261 7.1, any
// case by 7.3.1's rule for tokens).
func supportedVersion(data []byte) bool {
	line := startLine(data)
	if len(line) >= 4 && strings.EqualFold(string(line[:4]), "SIP/") {
		return len(line) >= 8 && strings.EqualFold(string(line[:8]), "SIP/2.0 ")
	}
	i := bytes.LastIndexByte(line, ' ')
	if i < 0 {
		return true // no version at all: malformed, not of another version
	}
	v := string(line[i+1:])
	return !strings.HasPrefix(strings.ToUpper(v), "SIP/") || strings.EqualFold(v, "SIP/2.0")
}

// foreignScheme tells whether the Request-URI is of a scheme that we don't serve.
func foreignScheme(data []byte) bool {
	_, rest, _ := bytes.Cut(startLine(data), []byte(" "))
	scheme, _, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(scheme) == 0 {
		return false
	}
	for i, c := range bytes.ToLower(scheme) { // RFC 3986 3.1
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	switch strings.ToLower(string(scheme)) {
	case "sip", "sips", "tel":
		return false
	}
	return true
}

// bareContact tells of a REGISTER with a Contact whose URI has header fields but no
// angle brackets: what belongs to whom is open (RFC 3261 20.10).
func bareContact(data []byte) bool {
	if !bytes.HasPrefix(data, []byte("REGISTER ")) {
		return false
	}
	for _, h := range headerLines(data) {
		switch canonicalName(h) {
		case "contact", "m":
			if bytes.ContainsRune(h, '?') && !bytes.ContainsRune(h, '<') {
				return true
			}
		}
	}
	return false
}

func startLine(data []byte) []byte {
	data = bytes.TrimLeft(data, "\r\n")
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		data = data[:i]
	}
	return bytes.TrimRight(data, "\r ")
}

// rawToTag is the To tag of answers for which nothing is kept. The ACK to one is known
// by it.
const rawToTag = "bad"

// rawResponse builds an answer from the header lines as they stand (RFC 3261
// 8.2.6). It returns nil for a response, an ACK, or a request that lacks one of
// the fields an answer must copy. Headers are lines to add.
func rawResponse(data []byte, code int, phrase string, headers ...string) []byte {
	return appendRawResponse(nil, data, code, phrase, headers...)
}

// appendRawResponse does so in the room that out has, if it is enough.
func appendRawResponse(out, data []byte, code int, phrase string, headers ...string) []byte {
	line := startLine(data)
	if code == 0 || statusOf(line) != 0 || bytes.HasPrefix(line, []byte("ACK ")) {
		return nil
	}
	out = slices.Grow(out[:0], len(data)+128)
	out = append(strconv.AppendInt(append(out, "SIP/2.0 "...), int64(code), 10), ' ')
	out = append(append(out, phrase...), "\r\n"...)
	var found copied
	taken := false // whether the last line is copied
	begin := len(out)
	_, rest := cutLine(bytes.TrimLeft(data, "\r\n"))
	for n := 0; len(rest) > 0 && n < maxHeaderLines; n++ {
		var l []byte
		if l, rest = cutLine(rest); len(l) == 0 {
			break
		}
		if l[0] == ' ' || l[0] == '\t' { // folded on to the one before
			if taken {
				out = append(append(out, ' '), bytes.TrimSpace(l)...)
			}
			continue
		}
		if taken {
			out = found.end(out, begin)
		}
		if taken = found.takes(l); taken {
			begin = len(out)
			out = append(out, l...)
		}
	}
	if taken {
		out = found.end(out, begin)
	}
	if found.all != copiedAll {
		return nil
	}
	for _, h := range headers {
		out = append(append(out, h...), "\r\n"...)
	}
	return append(out, "Content-Length: 0\r\n\r\n"...)
}

// maxHeaderLines of a message are looked at here.
const maxHeaderLines = 64

// copied is which fields of a request an answer has already (RFC 3261 8.2.6.2).
type copied struct {
	all  uint8
	last uint8
}

const (
	copiedVia uint8 = 1 << iota
	copiedFrom
	copiedTo
	copiedCallID
	copiedCSeq

	copiedAll = copiedVia | copiedFrom | copiedTo | copiedCallID | copiedCSeq
)

// takes tells whether a field is copied: each Via, and the first of the others.
func (c *copied) takes(line []byte) bool {
	switch is, _ := fieldOf(line); is {
	case fieldVia:
		c.last = copiedVia
		c.all |= copiedVia
		return true
	case fieldFrom:
		c.last = copiedFrom
	case fieldTo:
		c.last = copiedTo
	case fieldCallID:
		c.last = copiedCallID
	case fieldCSeq:
		c.last = copiedCSeq
	default:
		return false
	}
	first := c.all&c.last == 0
	c.all |= c.last
	return first
}

// end ends the line that begins there; To gets a tag.
func (c *copied) end(out []byte, begin int) []byte {
	if c.last == copiedTo && !hasTag(out[begin:]) {
		out = append(out, ";tag="+rawToTag...)
	}
	return append(out, "\r\n"...)
}

func hasTag(line []byte) bool {
	for {
		i := bytes.IndexByte(line, ';')
		if i < 0 {
			return false
		}
		if line = line[i+1:]; len(line) >= 4 && bytes.EqualFold(line[:4], []byte("tag=")) {
			return true
		}
	}
}

// headerLines are the unfolded header lines of a message, at most maxHeaderLines.
func headerLines(data []byte) [][]byte {
	_, rest := cutLine(bytes.TrimLeft(data, "\r\n"))
	var lines [][]byte
	for len(rest) > 0 && len(lines) < maxHeaderLines {
		var l []byte
		if l, rest = cutLine(rest); len(l) == 0 {
			break
		}
		if (l[0] == ' ' || l[0] == '\t') && len(lines) > 0 {
			last := lines[len(lines)-1]
			lines[len(lines)-1] = append(append(bytes.Clone(last), ' '), bytes.TrimSpace(l)...)
			continue
		}
		lines = append(lines, l)
	}
	return lines
}

// canonicalName is the lower-case long name of a header line (RFC 3261 7.3.3).
func canonicalName(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return ""
	}
	switch n := strings.ToLower(string(bytes.TrimSpace(name))); n {
	case "v":
		return "via"
	case "f":
		return "from"
	case "t":
		return "to"
	case "i":
		return "call-id"
	default:
		return n
	}
}

// localTag is the To tag of every answer to one INVITE: the provisional ones,
// the final one, and the 200 to its CANCEL (RFC 3261 9.2). It comes from the
// Call-ID and the From tag, so that no table is needed to find it again.
func (s *Stack) localTag(callID, fromTag string) string {
	m := hmac.New(sha256.New, s.tagKey[:])
	m.Write([]byte(callID))
	m.Write([]byte{0})
	m.Write([]byte(fromTag))
	return hex.EncodeToString(m.Sum(nil)[:10])
}

func rawTag(header []byte) string {
	tag, ok := []byte(nil), false
	for rest := header[bytes.LastIndexByte(header, '>')+1:]; ; {
		// bytes.ToLower would make invalid UTF-8 longer.
		i := bytes.IndexByte(rest, ';')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		if len(rest) >= 4 && bytes.EqualFold(rest[:4], []byte("tag=")) {
			tag, ok = rest[4:], true
		}
	}
	if !ok {
		return ""
	}
	if j := bytes.IndexAny(tag, "; \t\r\n"); j >= 0 {
		tag = tag[:j]
	}
	return string(tag)
}
