package sip

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// udpFront stands between a UDP socket and sipgo. sipgo remembers every source
// address for as long as the listener lives; so it gets a listener that lives
// for MaxSources addresses only, and then the next one on the same socket. What
// can't be parsed is answered and counted here and never reaches sipgo, which
// would log all of it and answer nothing.
type udpFront struct {
	stack  *Stack
	socket net.PacketConn
	serve  func(net.PacketConn) error
	parser *gosip.Parser
	fault  *sampler
}

func newUDPFront(s *Stack, pc net.PacketConn, serve func(net.PacketConn) error) *udpFront {
	return &udpFront{stack: s, socket: pc, serve: serve, parser: gosip.NewParser(), fault: newSampler(time.Second)}
}

func (f *udpFront) start() { f.next(packet{}) }

// handOver is how long a listener of sipgo's stays known after its last read:
// messages it has read are being answered on goroutines of their own, and one
// that finds no listener for its source would open a new socket.
const handOver = 100 * time.Millisecond

// handOverTurns is how often a listener lets others run before it is given up.
const handOverTurns = 50

// afterReadError keeps a socket that fails at once, each time, from taking a
// whole processor.
const afterReadError = 5 * time.Millisecond

type packet struct {
	data []byte
	from net.Addr
}

// next hands the socket to a new listener of sipgo's, which reads first before
// next returns: at no moment is the socket without one.
func (f *udpFront) next(first packet) {
	g := &udpGeneration{PacketConn: f.socket, front: f, first: first,
		seen: make(map[string]struct{}), ready: make(chan struct{})}
	f.stack.wg.Go(func() { _ = f.serve(g) })
	select {
	case <-g.ready:
	case <-f.stack.closed:
	}
}

type udpGeneration struct {
	net.PacketConn
	front *udpFront
	first packet
	seen  map[string]struct{}
	ready chan struct{}
	once  sync.Once
}

// ReadFrom implements net.PacketConn for sipgo's reader.
func (g *udpGeneration) ReadFrom(b []byte) (int, net.Addr, error) {
	g.once.Do(func() { close(g.ready) })
	if g.first.from != nil {
		p := g.first
		g.first = packet{}
		g.seen[p.from.String()] = struct{}{}
		return copy(b, p.data), p.from, nil
	}
	for {
		n, from, err := g.PacketConn.ReadFrom(b)
		if err != nil {
			if g.front.stack.isClosed() || errors.Is(err, net.ErrClosed) {
				time.Sleep(handOver)
				return 0, nil, net.ErrClosed
			}
			// An ICMP error of an earlier datagram must not end the listener.
			g.front.fault.do(func(n int) {
				g.front.stack.log.Warn("udp read failed", "error", err, "since_last", n)
			})
			select {
			case <-time.After(afterReadError):
			case <-g.front.stack.closed:
			}
			continue
		}
		data, ok := g.front.admit(b[:n], from)
		if !ok || len(data) > len(b) {
			continue
		}
		n = copy(b, data)
		src := from.String()
		if _, known := g.seen[src]; !known && len(g.seen) >= g.front.stack.opt.MaxSources {
			g.front.next(packet{bytes.Clone(b[:n]), from})
			g.linger()
			return 0, nil, net.ErrClosed
		}
		g.seen[src] = struct{}{}
		return n, from, nil
	}
}

// linger waits until what was read has its transactions. Beside the time it lets others go first, again
// and again: on a machine that has too much to do, work waits for a processor longer than any fixed time.
func (g *udpGeneration) linger() {
	select {
	case <-time.After(handOver):
	case <-g.front.stack.closed:
	}
	for range handOverTurns {
		runtime.Gosched()
	}
}

// WriteTo implements net.PacketConn.
func (g *udpGeneration) WriteTo(b []byte, to net.Addr) (int, error) {
	s := g.front.stack
	sight := look(b)
	s.tally(&sight, true, "UDP", sourceOfPacket(to), nil)
	s.trace(&sight, b, true, "UDP", sourceOfPacket(g.LocalAddr()), sourceOfPacket(to))
	if _, err := g.PacketConn.WriteTo(s.unmark(s.tagCancelAnswer(b)), to); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close is a no-op: the stack owns the socket.
func (g *udpGeneration) Close() error { return nil }

// admit is the datagram as sipgo reads it; when ok is false it has been dealt with.
func (f *udpFront) admit(data []byte, from net.Addr) (as []byte, ok bool) {
	source := sourceOfPacket(from)
	if f.stack.tooMuch(source.Addr(), time.Now()) {
		f.stack.obs.Refused("rate")
		return nil, false
	}
	if len(bytes.Trim(data, "\r\n\x00 ")) == 0 {
		return nil, false // keep-alive, RFC 5626 section 3.5.1
	}
	if isSTUN(data) {
		if res := stunAnswer(data, from); res != nil {
			_, _ = f.socket.WriteTo(res, from)
		}
		return nil, false
	}
	if !f.takes(data, source, from) {
		return nil, false
	}
	msg, bad := examine(f.parser, data)
	if bad == nil {
		if req, is := msg.(*gosip.Request); is && odd(req) {
			f.stack.oldPeers.Store(true)
			data = tidy(data)
		}
		return data, true
	}
	f.stack.obs.Refused(bad.reason)
	f.fault.do(func(n int) {
		f.stack.log.Warn("sip datagram refused", "reason", bad.reason, "from", from.String(), "bytes", len(data), "since_last", n)
	})
	if res := rawResponse(data, bad.code, bad.phrase); res != nil {
		g := look(res)
		f.stack.trace(&g, res, true, "UDP", sourceOfPacket(f.socket.LocalAddr()), source)
		f.reply(res, from)
	}
	return nil, false
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
	msg, err := parser.ParseSIP(bytes.Clone(data))
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
