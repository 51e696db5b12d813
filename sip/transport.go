package sip

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// udpFront stands between a UDP socket and sipgo. Requests are served here; sipgo gets the responses that
// can be parsed, and sends requests. All its responses come from one address: it remembers each that it reads
// from for as long as the listener lives.
type udpFront struct {
	*udpSocket
	stack  *Stack
	bind   *bind
	parser *gosip.Parser
	answer []byte // room for the reader's refusals
	fault  *sampler
	ready  chan struct{}
	once   sync.Once
}

func newUDPFront(s *Stack, pc net.PacketConn, b *bind) *udpFront {
	return &udpFront{udpSocket: newUDPSocket(pc), stack: s, bind: b, parser: gosip.NewParser(), fault: newSampler(time.Second), ready: make(chan struct{})}
}

// start returns once sipgo reads: what is sent then finds its listener.
func (f *udpFront) start() {
	f.stack.wg.Go(func() { _ = f.bind.ua.TransportLayer().ServeUDP(f) })
	select {
	case <-f.ready:
	case <-f.stack.closed:
	}
}

// afterReadError keeps a socket that fails at once, each time, from taking a
// whole processor.
const afterReadError = 5 * time.Millisecond

// ReadFrom implements net.PacketConn for sipgo's reader.
func (f *udpFront) ReadFrom(b []byte) (int, net.Addr, error) {
	f.once.Do(func() { close(f.ready) })
	for {
		data, from, came, err := f.read()
		for ; f.lost > 0; f.lost-- {
			f.stack.obs.Refused("cut")
		}
		if err != nil {
			if f.stack.isClosed() || errors.Is(err, net.ErrClosed) {
				return 0, nil, net.ErrClosed
			}
			// An ICMP error of an earlier datagram must not end the listener.
			f.fault.do(func(n int) {
				f.stack.log.Warn("udp read failed", "error", err, "since_last", n)
			})
			select {
			case <-time.After(afterReadError):
			case <-f.stack.closed:
			}
			continue
		}
		if f.take(data, from, came) {
			return copy(b, data), f.LocalAddr(), nil
		}
	}
}

// WriteTo implements net.PacketConn, for the requests that sipgo sends.
func (f *udpFront) WriteTo(b []byte, to net.Addr) (int, error) {
	if err := f.send(b, sourceOfPacket(to)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send sends one message.
func (f *udpFront) send(b []byte, to netip.AddrPort) error {
	s, sight := f.stack, look(b)
	s.tally(&sight, true, "UDP", to, nil)
	s.trace(&sight, b, true, "UDP", f.bind.local, to)
	return f.write(b, to)
}

// Close is a no-op: the stack owns the socket.
func (f *udpFront) Close() error { return nil }

// take deals with a datagram, or leaves it to sipgo.
func (f *udpFront) take(data []byte, from netip.AddrPort, came time.Time) (leave bool) {
	if f.stack.tooMuch(from.Addr(), came) {
		f.stack.obs.Refused("rate")
		return false
	}
	if len(bytes.Trim(data, "\r\n\x00 ")) == 0 {
		return false // keep-alive, RFC 5626 section 3.5.1
	}
	if isSTUN(data) {
		if res := stunAnswer(data, from); res != nil {
			_ = f.write(res, from)
		}
		return false
	}
	g := look(data)
	if !f.takes(&g, data, from, came) {
		return false
	}
	msg, bad := examine(f.parser, data)
	if bad != nil {
		f.refuse(data, from, bad)
		return false
	}
	req, ok := msg.(*gosip.Request)
	if !ok {
		return true
	}
	if odd(req) {
		if msg, bad = examine(f.parser, tidy(data)); bad != nil {
			f.refuse(data, from, bad)
			return false
		}
		req = msg.(*gosip.Request)
	}
	req.SetTransport("UDP")
	f.stack.serve(req, way{front: f, to: stamp(req, from)})
	return false
}

// refuse counts and answers a datagram that can't be read: where its Via points can't be trusted.
func (f *udpFront) refuse(data []byte, from netip.AddrPort, bad *refusal) {
	f.stack.obs.Refused(bad.reason)
	f.fault.do(func(n int) {
		f.stack.log.Warn("sip datagram refused", "reason", bad.reason, "from", from.String(), "bytes", len(data), "since_last", n)
	})
	if res := rawResponse(data, bad.code, bad.phrase); res != nil {
		_ = f.send(res, from)
	}
}

// refusal is why a message never becomes work, and the answer to it.
type refusal struct {
	reason string // for the Observer
	code   int
	phrase string
}

// examine looks at a whole message before sipgo does, which would log all of one
// that it can't read and answer nothing.
func examine(parser *gosip.Parser, data []byte) (gosip.Message, *refusal) {
	if !supportedVersion(data) {
		return nil, &refusal{"bad_version", 505, "Version Not Supported"}
	}
	msg, err := parser.ParseSIP(data)
	switch {
	case err != nil && foreignScheme(data):
		return nil, &refusal{"malformed", 416, "Unsupported URI Scheme"}
	case err != nil || bareContact(data):
		return nil, &refusal{"malformed", 400, "Bad Request"}
	}
	if res, ok := msg.(*gosip.Response); ok && res.Via() == nil {
		return nil, &refusal{"malformed", 0, ""}
	}
	return msg, nil
}

func (s *Stack) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// libraryLog takes sipgo's log. Its lines can hold whole packets and numbers,
// and there is one for each stray message: they are shown at debug level without
// their attributes.
type libraryLog struct{ next slog.Handler }

// Enabled implements slog.Handler.
func (h *libraryLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h *libraryLog) Handle(ctx context.Context, r slog.Record) error {
	if !h.next.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	out := slog.NewRecord(r.Time, slog.LevelDebug, "sip library", r.PC)
	out.AddAttrs(slog.String("event", r.Message))
	return h.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *libraryLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *libraryLog) WithGroup(string) slog.Handler { return h }

// sampler lets one through per interval and counts the rest, so that a flood of
// bad input is not a flood of log lines.
type sampler struct {
	mu      sync.Mutex
	every   time.Duration
	last    time.Time
	skipped int
}

func newSampler(every time.Duration) *sampler { return &sampler{every: every} }

// do calls f with the number of events since the last call, at most once per
// interval.
func (s *sampler) do(f func(since int)) {
	s.mu.Lock()
	now := time.Now()
	s.skipped++
	if now.Sub(s.last) < s.every {
		s.mu.Unlock()
		return
	}
	n := s.skipped
	s.last, s.skipped = now, 0
	s.mu.Unlock()
	f(n)
}
