package sip

import (
	"bytes"
	"strconv"
	"time"
)

// maxMessage is the longest message in bytes, over any transport: what a datagram
// can hold.
const maxMessage = 65535

// framingError ends a stream: the end of the message can't be known, or is too
// far away.
type framingError struct {
	code   int
	phrase string
}

// Error implements error.
func (e *framingError) Error() string { return "sip stream: " + e.phrase }

var (
	errTooLarge = &framingError{513, "Message Too Large"}
	errNoLength = &framingError{400, "Missing or Bad Content-Length"}
)

// byteLink cuts a stream of bytes into messages by their Content-Length (RFC 3261
// 18.3) and answers keep-alives between them (RFC 5626 4.4.1).
type byteLink struct {
	conn *streamConn
	buf  []byte
	crlf bool // the last that came was one CRLF: perhaps half a ping
}

func (l *byteLink) next() ([]byte, error) {
	until, inside := l.conn.patience(), false
	for {
		pings := l.keepAlives()
		for range pings {
			if _, err := l.conn.Write([]byte("\r\n")); err != nil {
				return nil, err
			}
		}
		if pings > 0 {
			l.conn.spoke.Store(true)
			until = l.conn.patience()
		}
		n, err := messageEnd(l.buf)
		if err != nil {
			return l.buf, err
		}
		if n > 0 {
			msg := l.buf[:n:n]
			l.buf = bytes.Clone(l.buf[n:])
			return msg, nil
		}
		if !inside && len(l.buf) > 0 {
			inside, until = true, time.Now().Add(messageWithin)
		}
		if err := l.fill(until); err != nil {
			return nil, err
		}
	}
}

// keepAlives takes the line ends before a message off and returns how many pings
// (double CRLF) were among them.
func (l *byteLink) keepAlives() (pings int) {
	for bytes.HasPrefix(l.buf, []byte("\r\n")) {
		l.buf = l.buf[2:]
		if l.crlf {
			pings++
		}
		l.crlf = !l.crlf
	}
	if len(l.buf) > 1 || len(l.buf) == 1 && l.buf[0] != '\r' {
		l.crlf = false
	}
	return pings
}

func (l *byteLink) fill(until time.Time) error {
	if err := l.conn.Conn.SetReadDeadline(until); err != nil {
		return err
	}
	if cap(l.buf)-len(l.buf) < 512 {
		l.buf = append(make([]byte, 0, max(2*len(l.buf), 2048)), l.buf...)
	}
	n, err := l.conn.Conn.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

func (l *byteLink) write(b []byte) error {
	if err := l.conn.Conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := l.conn.Conn.Write(b)
	return err
}

// messageEnd is where the first message in data ends; 0 when more must come.
func messageEnd(data []byte) (int, error) {
	head := bytes.Index(data, []byte("\r\n\r\n"))
	if head < 0 {
		if len(data) > maxMessage {
			return 0, errTooLarge
		}
		return 0, nil
	}
	length, ok := contentLength(data[:head])
	if !ok {
		return 0, errNoLength
	}
	end := head + 4 + length
	switch {
	case end > maxMessage:
		return 0, errTooLarge
	case end > len(data):
		return 0, nil
	}
	return end, nil
}

// contentLength reads the one Content-Length of a head; false when there is none,
// several that differ, or one that is no length.
func contentLength(head []byte) (int, bool) {
	length, found := 0, false
	for line := range bytes.Lines(head) {
		value, ok := lengthLine(line)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		if err != nil || found && int(n) != length {
			return 0, false
		}
		length, found = int(n), true
	}
	return length, found
}

func lengthLine(line []byte) (value []byte, ok bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return value, ok && (bytes.EqualFold(name, []byte("content-length")) || bytes.EqualFold(name, []byte("l")))
}

func hasLength(head []byte) bool {
	for line := range bytes.Lines(head) {
		if _, ok := lengthLine(line); ok {
			return true
		}
	}
	return false
}
