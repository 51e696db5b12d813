// Package probe makes test calls: it dials a number, plays a known signal and measures what
// comes of it, which tells more than that a trunk is registered.
//
// The best far end is an echo that first plays a tone of 1004 Hz at -10 dBm0, as the echo step of
// a flow does: then the levels of both directions, the delay and the losses are known. A
// plain echo tells the delay and the gain there and back; any other far end whether it answers and is
// heard, how loud, and with which losses.
package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"hotline/media"
	"hotline/sip"
	"hotline/softphone"
)

// MinFor and MaxFor bound how long a test call lasts.
const (
	MinFor = 3 * time.Second
	MaxFor = 2 * time.Minute
)

// Options describe a test call.
type Options struct {
	// Number is dialled at To, a SIP URI without a user: "sip:192.0.2.1:5060;transport=tcp".
	Number, To string
	// From is the caller's number; empty is the user of the credentials, or "probe".
	From string
	// Credentials answer a challenge; zero answers none.
	Credentials sip.Credentials
	// Codecs in order of preference; empty means A-law, then µ-law.
	Codecs []media.Codec
	// Local is the address to call from; zero is the one that leads to To.
	Local netip.Addr
	// For is how long the call lasts, MinFor to MaxFor; 0 is 10 s.
	For time.Duration
	// AnswerWithin is how long it may ring; 0 is 30 s.
	AnswerWithin time.Duration
	// Logger gets what happens on the wire; nil is nobody.
	Logger *slog.Logger
}

// lastReport is how long the peer's last RTCP report is awaited.
const lastReport = 500 * time.Millisecond

// Run makes one call and blocks until it is over and measured: at most AnswerWithin, For and a
// second. A call that nobody answered is a report, too; an error says that none could be made, or that
// ctx ended.
func Run(ctx context.Context, o Options) (*Report, error) {
	asked := o.To // a name stays one in the report: the address may change
	if err := o.complete(ctx); err != nil {
		return nil, err
	}
	network := "udp"
	if strings.Contains(strings.ToLower(o.To), "transport=tcp") {
		network = "tcp"
	}
	phone, err := softphone.Open(softphone.Options{
		Server: o.To, Listen: netip.AddrPortFrom(o.Local, 0), Network: network, Credentials: o.Credentials,
		Codecs: o.Codecs, Reports: time.Second, Linger: 2 * lastReport, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	r, err := call(ctx, phone, &o)
	if r != nil {
		r.To = asked
	}
	settle, cancel := context.WithTimeout(ctx, time.Second)
	phone.Settle(settle)
	cancel()
	return r, errors.Join(err, phone.Close())
}

// complete fills in the defaults and finds the addresses.
func (o *Options) complete(ctx context.Context) error {
	if o.For == 0 {
		o.For = 10 * time.Second
	}
	if o.For < MinFor || o.For > MaxFor {
		return fmt.Errorf("a test call lasts %v to %v, not %v", MinFor, MaxFor, o.For)
	}
	if o.AnswerWithin <= 0 {
		o.AnswerWithin = 30 * time.Second
	}
	if o.From == "" {
		if o.From = o.Credentials.User; o.From == "" {
			o.From = "probe"
		}
	}
	if o.Number == "" || strings.ContainsAny(o.Number, "@<>\"; \t\r\n") {
		return fmt.Errorf("%q is no number to dial", o.Number)
	}
	return o.resolve(ctx)
}

// resolve turns a host's name in To into its address, and finds the local one that leads there.
func (o *Options) resolve(ctx context.Context) error {
	rest, ok := strings.CutPrefix(o.To, "sip:")
	hostport, params, _ := strings.Cut(rest, ";")
	if !ok || hostport == "" || strings.Contains(hostport, "@") {
		return fmt.Errorf("%q is no SIP address to call at: use sip:HOST:PORT", o.To)
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), "5060"
	}
	// No packet leaves for this: it only asks the routing table.
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("find the way to %s: %w", host, err)
	}
	defer conn.Close()
	if !o.Local.IsValid() {
		o.Local = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	}
	o.To = "sip:" + conn.RemoteAddr().String()
	if params != "" {
		o.To += ";" + params
	}
	return nil
}

// call dials, listens and measures.
func call(ctx context.Context, phone *softphone.Phone, o *Options) (*Report, error) {
	r := &Report{Number: o.Number, At: time.Now()}
	ringing, cancel := context.WithTimeout(ctx, o.AnswerWithin)
	defer cancel()
	c, err := phone.Dial(ringing, o.Number, o.From, "")
	var refused *softphone.RefusedError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		r.Status, r.Cause = refused.Code, refused.Cause
		return r, nil
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		r.Cause = "no_answer"
		return r, nil
	default:
		return nil, err
	}
	r.Answered, r.Status = true, 200
	r.PostDialDelay, r.Setup = seconds(c.Rang), seconds(c.Answered)
	l := &listener{toneOver: make(chan struct{})}
	c.Media.Tap(l.take)
	answered := time.Now()
	at, err := converse(ctx, c, l, o.For)
	r.Lasted = time.Since(answered).Seconds()
	c.Hangup()
	awaitReport(c.Media, lastReport)
	c.Media.Tap(nil)
	if err != nil {
		return nil, err
	}
	stats := c.Media.Stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	r.measure(&l.sent, &l.received, at, &stats)
	return r, nil
}

// converse waits for the far end's tone, but no longer than half the call, and plays chirps for the rest of
// it. It returns where in the signal they begin.
func converse(ctx context.Context, c *softphone.Call, l *listener, span time.Duration) (at []int, err error) {
	over := time.NewTimer(span)
	defer over.Stop()
	began := time.Now()
	tone := time.NewTimer(span / 2)
	defer tone.Stop()
	toneOver, late := l.toneOver, tone.C
	for {
		select {
		case <-toneOver:
		case <-late:
		case <-c.Done():
			return at, nil
		case <-over.C:
			return at, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("test call: %w", ctx.Err())
		}
		toneOver, late = nil, nil
		var clip *media.Clip
		clip, at = makeSignal(max(span-time.Since(began)-guard, shortestSignal))
		c.Media.Play(clip, media.PlayOptions{})
	}
}

// awaitReport waits until the peer has said BYE in RTCP, which brings its last figures.
func awaitReport(m *media.Leg, within time.Duration) {
	often := time.NewTicker(10 * time.Millisecond)
	defer often.Stop()
	for deadline := time.Now().Add(within); time.Now().Before(deadline) && !m.Stats().PeerBye; {
		<-often.C
	}
}

// listener keeps the sound of both directions. Legs show it packets from two goroutines.
type listener struct {
	mu       sync.Mutex
	sent     track
	received track
	run      int // packets of the reference tone in a row
	toneOver chan struct{}
	over     bool
}

func (l *listener) take(v media.Voice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Sent {
		l.sent.add(v)
		return
	}
	pcm := l.received.add(v)
	if len(pcm) < frame/2 || l.over {
		return
	}
	if _, sounds := amplitude(pcm); sounds {
		l.run++
		return
	}
	if l.run >= toneRun {
		l.over = true
		close(l.toneOver)
	}
	l.run = 0
}

// Codecs reads names: pcma, pcmu and g722.
func Codecs(names []string) ([]media.Codec, error) {
	known := map[string]media.Codec{"pcma": media.PCMA, "pcmu": media.PCMU, "g722": media.G722}
	var out []media.Codec
	for _, n := range names {
		c, ok := known[strings.ToLower(n)]
		if !ok {
			return nil, fmt.Errorf("codec %q is none of pcma, pcmu and g722", n)
		}
		out = append(out, c)
	}
	return out, nil
}
