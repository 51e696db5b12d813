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
	seen int  // so much of buf has been searched for the end of the head
	end  int  // where the message ends, once its head is there
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
		msg, err := l.take()
		if msg != nil || err != nil {
			return msg, err
		}
		if !inside && len(l.buf) > 0 {
			inside, until = true, time.Now().Add(messageWithin)
		}
		if err := l.fill(until); err != nil {
			return nil, err
		}
	}
}

// take takes the first message off the buffer; nil when more must come. It looks at
// each byte once: one that sends a long message byte by byte must not cost its
// length squared.
func (l *byteLink) take() ([]byte, error) {
	if l.end == 0 {
		from := max(0, l.seen-3)
		head := bytes.Index(l.buf[from:], []byte("\r\n\r\n"))
		l.seen = len(l.buf)
		if head < 0 {
			if len(l.buf) > maxMessage {
				return l.buf, errTooLarge
			}
			return nil, nil
		}
		end, err := messageEnd(l.buf, from+head)
		if err != nil {
			return l.buf, err
		}
		l.end = end
	}
	if len(l.buf) < l.end {
		return nil, nil
	}
	msg := l.buf[:l.end:l.end]
	l.buf = bytes.Clone(l.buf[l.end:])
	l.seen, l.end = 0, 0
	return msg, nil
}

// keepAlives takes the line ends before a message off and returns how many pings
// (double CRLF) were among them.
func (l *byteLink) keepAlives() (pings int) {
	for bytes.HasPrefix(l.buf, []byte("\r\n")) {
		l.buf, l.seen = l.buf[2:], 0
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

// messageEnd is where a message ends whose head ends at head.
func messageEnd(data []byte, head int) (int, error) {
	length, ok := contentLength(data[:head])
	if !ok {
		return 0, errNoLength
	}
	end := head + 4 + length
	if end > maxMessage {
		return 0, errTooLarge
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
