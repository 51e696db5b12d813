package sip

import "bytes"

// fieldName is one of the header fields that are looked at before a message is parsed.
type fieldName int

const (
	fieldOther fieldName = iota
	fieldVia
	fieldFrom
	fieldTo
	fieldCallID
	fieldCSeq
	fieldReason
	fieldIdentity
	fieldAuthorization
	fieldProxyAuthorization
	fieldAsserted
	fieldRemoteParty
	fieldCall // which of our calls it belongs to
)

// fieldNames has them in small letters, by their lengths: most names of a message have none of these.
var fieldNames = [20][]struct {
	name string
	is   fieldName
}{
	1:  {{"v", fieldVia}, {"f", fieldFrom}, {"t", fieldTo}, {"i", fieldCallID}, {"y", fieldIdentity}},
	2:  {{"to", fieldTo}},
	3:  {{"via", fieldVia}},
	4:  {{"from", fieldFrom}, {"cseq", fieldCSeq}},
	6:  {{"reason", fieldReason}},
	7:  {{"call-id", fieldCallID}},
	8:  {{"identity", fieldIdentity}},
	13: {{"authorization", fieldAuthorization}},
	14: {{"x-hotline-call", fieldCall}},
	15: {{"remote-party-id", fieldRemoteParty}},
	19: {{"proxy-authorization", fieldProxyAuthorization}, {"p-asserted-identity", fieldAsserted}},
}

// fieldOf cuts a header line into the field that it is, by its long or its compact name (RFC 3261 7.3.3), and its value as it stands.
func fieldOf(line []byte) (fieldName, []byte) {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return fieldOther, nil
	}
	end := i
	for end > 0 && (line[end-1] == ' ' || line[end-1] == '\t') {
		end--
	}
	if end >= len(fieldNames) {
		return fieldOther, nil
	}
	for _, f := range fieldNames[end] {
		if small(line[0]) == f.name[0] && bytes.EqualFold(line[:end], []byte(f.name)) {
			return f.is, line[i+1:]
		}
	}
	return fieldOther, nil
}

// small is an ASCII letter in lower case.
func small(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// cutLine is the first line of what is left of a message, without its end, and the rest.
func cutLine(data []byte) (line, rest []byte) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		line, rest = data[:i], data[i+1:]
	} else {
		line = data
	}
	for len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	return line, rest
}
