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

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
)

// udpFront stands between a UDP socket and sipgo, which sees one source only: see sourceMark. What
// can't be parsed is answered and counted here and never reaches sipgo, which would log all of it
// and answer nothing.
type udpFront struct {
	*inlet
	stack  *Stack
	serve  func(net.PacketConn) error
	parser *gosip.Parser
	fault  *sampler
	ready  chan struct{}
	once   sync.Once

	// Of sipgo's reader only:
	handed packet // to sipgo, and not yet read by it
	marked []byte // the buffer that datagrams are marked in
}

func newUDPFront(s *Stack, pc net.PacketConn, srv *sipgo.Server) *udpFront {
	f := &udpFront{inlet: newInlet(pc), stack: s, serve: srv.ServeUDP, parser: gosip.NewParser(), fault: newSampler(time.Second), ready: make(chan struct{})}
	srv.TransportLayer().OnMessage(f.wasRead)
	return f
}

type packet struct {
	data []byte
	from netip.AddrPort
}

// wasRead hears of each message that sipgo could read, before it asks for the next.
func (f *udpFront) wasRead(msg gosip.Message) {
	if msg.Transport() == "UDP" { // the streams' are not of this reader
		f.handed = packet{}
	}
}

// start returns once sipgo reads: what is sent then finds its listener.
func (f *udpFront) start() {
	f.stack.wg.Go(func() { _ = f.serve(f) })
	select {
	case <-f.ready:
	case <-f.stack.closed:
	}
}

// lastAnswers is how long sipgo knows a listener that is being closed: requests it has read are
// answered on goroutines of their own, and one that finds no listener would open a new socket.
const lastAnswers = 100 * time.Millisecond

// afterReadError keeps a socket that fails at once, each time, from taking a
// whole processor.
const afterReadError = 5 * time.Millisecond

// ReadFrom implements net.PacketConn for sipgo's reader.
func (f *udpFront) ReadFrom(b []byte) (int, net.Addr, error) {
	f.once.Do(func() { close(f.ready) })
	if f.handed.from.IsValid() { // sipgo couldn't read it, and has told nobody
		_, bad := examine(f.parser, f.handed.data)
		f.refuse(f.handed, bad)
		f.handed = packet{}
	}
	for {
		n, from, came, err := f.read(b)
		if err != nil {
			if f.stack.isClosed() || errors.Is(err, net.ErrClosed) {
				time.Sleep(lastAnswers)
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
		data, ok := f.admit(b[:n], from, came)
		if !ok || len(data) > len(b) {
			continue
		}
		n = copy(b, data)
		f.handed = packet{b[:n], from}
		return n, f.LocalAddr(), nil
	}
}

// leaving has buffers for what is written.
var leaving = sync.Pool{New: func() any { return new([]byte) }}

// WriteTo implements net.PacketConn.
func (f *udpFront) WriteTo(b []byte, to net.Addr) (int, error) {
	s := f.stack
	buf := leaving.Get().(*[]byte)
	defer leaving.Put(buf)
	data, back, marked := s.mark.take((*buf)[:0], b)
	if marked {
		*buf = data
		to = net.UDPAddrFromAddrPort(back)
	}
	sight, peer := look(data), sourceOfPacket(to)
	s.tally(&sight, true, "UDP", peer, nil)
	s.trace(&sight, data, true, "UDP", sourceOfPacket(f.LocalAddr()), peer)
	if _, err := f.PacketConn.WriteTo(s.unmark(s.tagCancelAnswer(data)), to); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close is a no-op: the stack owns the socket.
func (f *udpFront) Close() error { return nil }

// admit is the datagram as sipgo reads it; when ok is false it has been dealt with.
func (f *udpFront) admit(data []byte, from netip.AddrPort, came time.Time) (as []byte, ok bool) {
	if f.stack.tooMuch(from.Addr(), came) {
		f.stack.obs.Refused("rate")
		return nil, false
	}
	if len(bytes.Trim(data, "\r\n\x00 ")) == 0 {
		return nil, false // keep-alive, RFC 5626 section 3.5.1
	}
	if isSTUN(data) {
		if res := stunAnswer(data, from); res != nil {
			_, _ = f.PacketConn.WriteTo(res, net.UDPAddrFromAddrPort(from))
		}
		return nil, false
	}
	g := look(data)
	if !f.takes(&g, data, from, came) {
		return nil, false
	}
	if g.plain() {
		return f.mark(data, from), true
	}
	msg, bad := examine(f.parser, data)
	if bad != nil {
		f.refuse(packet{data, from}, bad)
		return nil, false
	}
	if req, is := msg.(*gosip.Request); is && odd(req) {
		f.stack.oldPeers.Store(true)
		data = tidy(data)
	}
	return f.mark(data, from), true
}

// mark is good until the next datagram.
func (f *udpFront) mark(data []byte, from netip.AddrPort) []byte {
	f.marked = f.stack.mark.put(f.marked[:0], data, from)
	return f.marked
}

// refuse counts and answers a datagram that can't be read: where its Via points can't be trusted.
func (f *udpFront) refuse(p packet, bad *refusal) {
	if bad == nil { // sipgo read it after all, and left it
		return
	}
	f.stack.obs.Refused(bad.reason)
	f.fault.do(func(n int) {
		f.stack.log.Warn("sip datagram refused", "reason", bad.reason, "from", p.from.String(), "bytes", len(p.data), "since_last", n)
	})
	if res := rawResponse(p.data, bad.code, bad.phrase); res != nil {
		res, _, _ = f.stack.mark.take(nil, res)
		g := look(res)
		f.stack.trace(&g, res, true, "UDP", sourceOfPacket(f.LocalAddr()), p.from)
		f.reply(res, p.from)
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
