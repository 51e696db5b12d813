package sip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// This file keeps who sent a datagram in the request itself. sipgo remembers each source address
// that it reads from, for as long as the listener lives, and opens a socket for an answer to one
// that it has forgotten. So it reads all datagrams from one address, and the true one travels in a
// parameter of the top Via, which all answers copy.

// sourceMark is the name of that parameter and the "=" behind it. It is chosen at random for each
// stack, so that nobody can send one, and never leaves.
type sourceMark []byte

func newSourceMark(random []byte) sourceMark {
	return sourceMark(";h" + hex.EncodeToString(random) + "=")
}

// param is the parameter's name.
func (m sourceMark) param() string { return string(m[1 : len(m)-1]) }

// put appends to out a request with its source in the top Via, and with the received and rport of RFC
// 3261 18.2.1 and RFC 3581 4. A message without a Via is appended as it is.
func (m sourceMark) put(out, data []byte, from netip.AddrPort) []byte {
	begin, end := topVia(data)
	if begin < 0 {
		return append(out, data...)
	}
	sentBy, params, _ := bytes.Cut(data[begin:end], []byte(";"))
	sentBy = bytes.TrimRight(sentBy, " \t\r\n")
	kept, rport := ownParams(params)
	answerTo := from.Port()
	host, port := hostPort(sentBy)
	if !rport {
		answerTo = port
	}
	out = append(append(out, data[:begin]...), sentBy...)
	out = append(out, m...)
	var value [32]byte
	out = hex.AppendEncode(out, appendAddrPort(binary.BigEndian.AppendUint16(value[:0], answerTo), from))
	out = append(out, kept...)
	if rport {
		out = strconv.AppendUint(append(out, ";rport="...), uint64(from.Port()), 10)
	}
	if rport || host != from.Addr() {
		out = from.Addr().AppendTo(append(out, ";received="...))
	}
	return append(out, data[end:]...)
}

// ownParams are a Via's parameters without those that the server sets, and whether rport is there.
func ownParams(params []byte) (kept []byte, rport bool) {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, []byte(";"))
		name, _, _ := bytes.Cut(p, []byte("="))
		switch name = bytes.TrimSpace(name); {
		case bytes.EqualFold(name, []byte("rport")):
			rport = true
		case bytes.EqualFold(name, []byte("received")):
		default:
			kept = append(append(kept, ';'), bytes.TrimRight(p, " \t\r\n")...)
		}
	}
	return kept, rport
}

// take appends to out a message as it leaves, and tells where to when it is the answer to a marked
// request: RFC 3261 18.2.2 and RFC 3581 4. marked is false for other messages, of which it takes nothing.
func (m sourceMark) take(out, data []byte) (leaves []byte, to netip.AddrPort, marked bool) {
	i := bytes.Index(data, m)
	if i < 0 {
		return data, to, false
	}
	j := i + len(m)
	for j < len(data) && isHex(data[j]) {
		j++
	}
	from, port, ok := m.read(data[i+len(m) : j])
	out = append(append(out, data[:i]...), data[j:]...)
	return out, netip.AddrPortFrom(from.Addr(), port), ok
}

// source is where a request came from; ok is false for one without a mark.
func (m sourceMark) source(req *gosip.Request) (from netip.AddrPort, ok bool) {
	via := req.Via()
	if via == nil {
		return netip.AddrPort{}, false
	}
	value, ok := via.Params.Get(m.param())
	if !ok {
		return netip.AddrPort{}, false
	}
	from, _, ok = m.read([]byte(value))
	return from, ok
}

// read is a mark's value: where the request came from, and the port that answers go to.
func (m sourceMark) read(value []byte) (from netip.AddrPort, answerTo uint16, ok bool) {
	var buf [64]byte // enough for an address with a zone
	if hex.DecodedLen(len(value)) > len(buf) {
		return netip.AddrPort{}, 0, false
	}
	n, err := hex.Decode(buf[:], value)
	raw := buf[:n]
	if err != nil || n < 2 || from.UnmarshalBinary(raw[2:]) != nil {
		return netip.AddrPort{}, 0, false
	}
	return from, binary.BigEndian.Uint16(raw), true
}

func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	b, _ = a.AppendBinary(b) // never fails
	return b
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// hostPort is what a Via's sent-by names, or the default port; the address is invalid when it is a name.
func hostPort(sentBy []byte) (netip.Addr, uint16) {
	i := bytes.LastIndexAny(sentBy, " \t\n")
	host, port, err := gosip.ParseAddr(string(sentBy[i+1:]))
	if err != nil {
		host, port = strings.Trim(string(sentBy[i+1:]), "[]"), gosip.DefaultUdpPort
	}
	if port <= 0 || port > math.MaxUint16 {
		port = gosip.DefaultUdpPort
	}
	a, _ := netip.ParseAddr(host)
	return a, uint16(port)
}

// topVia is where the first value of the first Via of a message begins and ends; -1 when it has none.
func topVia(data []byte) (begin, end int) {
	at := len(data) - len(bytes.TrimLeft(data, "\r\n"))
	for {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return -1, -1
		}
		at += i + 1
		line := data[at:]
		if len(bytes.TrimRight(line[:min(2, len(line))], "\r\n")) == 0 {
			return -1, -1 // the end of the header
		}
		name, _, found := bytes.Cut(line[:lineEnd(line)], []byte(":"))
		if found && is(bytes.TrimRight(name, " \t"), "via", "v") {
			begin = at + len(name) + 1
			return begin, begin + valueEnd(data[begin:])
		}
	}
}

func lineEnd(line []byte) int {
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		return i
	}
	return len(line)
}

// valueEnd is the end of a field's first value: at a comma outside of quotes, or the end of the last
// line that is folded on to it (RFC 3261 7.3.1).
func valueEnd(field []byte) int {
	quoted := false
	for i, c := range field {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		case c == '\n' && (i+1 == len(field) || field[i+1] != ' ' && field[i+1] != '\t'):
			return len(bytes.TrimRight(field[:i], "\r"))
		}
	}
	return len(field)
}
