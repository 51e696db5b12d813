package sip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// webFront makes WebSockets of connections (RFC 7118). HTTP and WebSocket end
// here: sipgo sees messages only.
type webFront struct {
	front   *streamFront
	origins []string
	conns   chan net.Conn // ready for HTTP
	server  *http.Server
}

// headWithin is how long the head of the HTTP request may take.
const headWithin = handshakeWithin

func newWebFront(f *streamFront, origins []string) *webFront {
	w := &webFront{front: f, origins: origins, conns: make(chan net.Conn)}
	w.server = &http.Server{
		Handler: w, ReadHeaderTimeout: headWithin, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // told by our own counters
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	w.server.SetKeepAlivesEnabled(false)
	return w
}

type connKey struct{}

// webConn is a connection on its way through HTTP.
type webConn struct {
	net.Conn
	conn *streamConn
}

func (w *webFront) start() {
	w.front.stack.wg.Go(func() { _ = w.server.Serve(w) })
}

// hand gives a connection to the HTTP server, which has a goroutine for each.
func (w *webFront) hand(c *streamConn) {
	select {
	case w.conns <- &webConn{Conn: c.Conn, conn: c}:
	case <-w.front.stack.closed:
		_ = c.Conn.Close()
	}
}

// Accept implements net.Listener.
func (w *webFront) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.front.stack.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (w *webFront) Addr() net.Addr { return w.front.listener.Addr() }

// Close implements net.Listener; the stack closes the socket.
func (w *webFront) Close() error { return nil }

// ServeHTTP takes a WebSocket that speaks SIP, from a page that may.
func (w *webFront) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	c, ok := req.Context().Value(connKey{}).(*webConn)
	if !ok {
		http.Error(rw, "no connection", http.StatusInternalServerError)
		return
	}
	if !w.speaksSIP(req) {
		w.refused("handshake", req, errors.New("subprotocol sip not offered"))
		http.Error(rw, "the subprotocol sip is needed", http.StatusBadRequest)
		return
	}
	status := &statusWriter{ResponseWriter: rw}
	ws, err := websocket.Accept(status, req, &websocket.AcceptOptions{Subprotocols: []string{"sip"}, OriginPatterns: w.origins})
	if err != nil {
		reason := "handshake"
		if status.code == http.StatusForbidden {
			reason = "origin"
		}
		w.refused(reason, req, err)
		return
	}
	ws.SetReadLimit(maxMessage)
	_ = c.Conn.SetDeadline(time.Time{})
	c.conn.link = &webLink{conn: c.conn, ws: ws}
	w.front.stack.streams.feed(carriedBy(c.conn.network)).hand(c.conn)
}

func (w *webFront) speaksSIP(req *http.Request) bool {
	return slices.ContainsFunc(req.Header.Values("Sec-WebSocket-Protocol"), func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), func(p string) bool { return strings.EqualFold(strings.TrimSpace(p), "sip") })
	})
}

func (w *webFront) refused(reason string, req *http.Request, err error) {
	f := w.front
	f.stack.obs.Refused(reason)
	f.fault.do(func(n int) {
		f.stack.log.Warn("websocket refused", "reason", reason, "from", req.RemoteAddr, slog.String("error", fmt.Sprintf("%.200q", err.Error())), "since_last", n)
	})
}

// statusWriter remembers the status, so that a refusal is counted for what it is.
type statusWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController and for hijacking.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// webLink carries one SIP message in each WebSocket message (RFC 7118 5). Pings are
// answered while it reads.
type webLink struct {
	conn *streamConn
	ws   *websocket.Conn
}

func (l *webLink) next() ([]byte, error) {
	for {
		msg, err := l.read()
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			return nil, errTooLarge
		case err != nil && isFault(err):
			return nil, &framingError{0, err.Error()}
		case err != nil:
			return nil, err
		}
		if len(bytes.Trim(msg, "\r\n\x00 ")) == 0 { // keep-alive, RFC 7118 6
			l.conn.spoke.Store(true)
			if bytes.Equal(msg, []byte("\r\n\r\n")) {
				if err := l.write([]byte("\r\n")); err != nil {
					return nil, err
				}
			}
			continue
		}
		if whole, ok := withLength(bytes.TrimLeft(msg, "\r\n")); ok {
			return whole, nil
		}
		l.conn.refuse(msg, &refusal{"malformed", 400, "Bad Request"})
	}
}

// read reads one WebSocket message: it must begin in time, and then end in time.
func (l *webLink) read() ([]byte, error) {
	ctx, cancel := context.WithCancelCause(l.conn.stack.streams.life)
	defer cancel(nil)
	late := time.AfterFunc(time.Until(l.conn.patience()), func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	_, r, err := l.ws.Reader(ctx)
	if err != nil {
		return nil, err
	}
	late.Reset(messageWithin)
	return io.ReadAll(r)
}

// isFault tells whether what came was no WebSocket frame: the library has then said
// so to the peer. Else the peer, the network or a deadline ended the connection.
func isFault(err error) bool {
	var netErr net.Error
	ended := websocket.CloseStatus(err) != -1 || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) || errors.As(err, &netErr)
	return !ended
}

func (l *webLink) write(b []byte) error {
	ctx, cancel := context.WithTimeout(l.conn.stack.streams.life, writeWithin)
	defer cancel()
	kind := websocket.MessageText
	if !utf8.Valid(b) {
		kind = websocket.MessageBinary
	}
	return l.ws.Write(ctx, kind, b)
}

// withLength gives a message the Content-Length that a stream needs and a WebSocket
// doesn't; false when it has one that isn't true.
func withLength(msg []byte) ([]byte, bool) {
	head := bytes.Index(msg, []byte("\r\n\r\n"))
	if head < 0 {
		return nil, false
	}
	body := len(msg) - head - 4
	n, found := contentLength(msg[:head])
	if found {
		return msg, n == body
	}
	if hasLength(msg[:head]) {
		return nil, false
	}
	return slices.Concat(msg[:head], fmt.Appendf(nil, "\r\nContent-Length: %d", body), msg[head:]), true
}
