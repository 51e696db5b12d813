package customers

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"hotline/routing"
)

// Source is where a customer is known from.
type Source string

// The sources.
const (
	FromRedis     Source = "redis"
	FromFile      Source = "file"
	FromCache     Source = "cache"
	FromDefault   Source = "default"   // unknown, or the home failed
	FromAnonymous Source = "anonymous" // no number
)

// The reasons of a failure.
const (
	ReasonTimeout     = "timeout"     // no answer within the deadline
	ReasonUnreachable = "unreachable" // no connection, or the home refuses to serve
	ReasonGarbage     = "garbage"     // an answer that is no customer
	ReasonBusy        = "busy"        // too many lookups under way
)

// Observer counts lookups. Its methods must not block.
type Observer interface {
	// Lookup is an answer: from "redis", "file" or "cache", and how long it took.
	// That nobody has the number is an answer too.
	Lookup(source string, took time.Duration)
	// Failure is a lookup without an answer, by reason.
	Failure(reason string)
}

// FinderOptions configure a Finder.
type FinderOptions struct {
	// Home is asked; nil means that nobody is known. Source is its name.
	Home   Directory
	Source Source
	// Timeout is how long Find waits; 0 means 50 ms.
	Timeout time.Duration
	// CacheSize is the number of answers kept; 0 keeps none.
	CacheSize int
	// TTL is how long an answer counts, UnknownTTL how long the answer that
	// nobody has the number; 0 means 5 min and a fifth of TTL.
	TTL, UnknownTTL time.Duration
	// DefaultTier and DefaultLanguage are those of callers who are unknown. A
	// customer without a language gets the default one too.
	DefaultTier     routing.Tier
	DefaultLanguage string
	// MaxLookups is the number of lookups under way at once; 0 means 64.
	MaxLookups int
	// After MaxFailures time-outs or broken connections in a row the home is left
	// alone for Rest, so that a dead one doesn't cost each call the timeout. 0
	// means 5, and 1 s.
	MaxFailures int
	Rest        time.Duration

	Observer Observer     // nil counts nothing
	Logger   *slog.Logger // nil means slog.Default()
}

func (o *FinderOptions) defaults() {
	o.Timeout = cmp.Or(o.Timeout, 50*time.Millisecond)
	o.TTL = cmp.Or(o.TTL, 5*time.Minute)
	o.UnknownTTL = cmp.Or(o.UnknownTTL, o.TTL/5)
	o.MaxLookups = cmp.Or(o.MaxLookups, 64)
	o.MaxFailures = cmp.Or(o.MaxFailures, 5)
	o.Rest = cmp.Or(o.Rest, time.Second)
	o.Source = cmp.Or(o.Source, FromFile)
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

type noObserver struct{}

func (noObserver) Lookup(string, time.Duration) {}
func (noObserver) Failure(string)               {}

// Finder finds out who calls. Its methods may be called from any goroutine.
type Finder struct {
	opt   FinderOptions
	cache *cache
	slots chan struct{} // one for each lookup under way
	wg    sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	underway map[string]*lookup
	health   health
}

// lookup is one question to the home, shared by all who ask it meanwhile.
type lookup struct {
	done     chan struct{} // closed when the fields below are set
	customer Customer
	err      error
}

// health is how the home fared lately.
type health struct {
	failures  int // in a row
	reason    string
	restUntil time.Time
	logged    time.Time
}

// NewFinder makes a Finder. The caller should Close it.
func NewFinder(opt FinderOptions) *Finder {
	opt.defaults()
	return &Finder{
		opt: opt, cache: newCache(opt.CacheSize),
		slots: make(chan struct{}, opt.MaxLookups), underway: map[string]*lookup{},
	}
}

// Find tells who has the number (E.164; empty when anonymous), where that is
// known from, and how long it took. It never fails: when the home does, what was
// known last is returned, else a customer of the default tier. It blocks until
// the timeout or until ctx ends, and no longer, whatever the home does.
func (f *Finder) Find(ctx context.Context, number string) (Customer, Source, time.Duration) {
	began := time.Now()
	c, source := f.find(ctx, number, began)
	c.Language = cmp.Or(c.Language, f.opt.DefaultLanguage)
	return c, source, time.Since(began)
}

func (f *Finder) find(ctx context.Context, number string, began time.Time) (Customer, Source) {
	if number == "" {
		return f.unknown(), FromAnonymous
	}
	if f.opt.Home == nil {
		return f.unknown(), FromDefault
	}
	old, cached := f.cache.get(number)
	if cached && began.Before(old.until) {
		f.opt.Observer.Lookup(string(FromCache), time.Since(began))
		return f.answer(old, FromCache)
	}
	a, reason := f.ask(ctx, number, began)
	switch {
	case reason == "":
		f.opt.Observer.Lookup(string(f.opt.Source), time.Since(began))
		return f.answer(a, f.opt.Source)
	case ctx.Err() == nil:
		f.opt.Observer.Failure(reason)
	}
	if cached {
		return f.answer(old, FromCache)
	}
	return f.unknown(), FromDefault
}

func (f *Finder) unknown() Customer { return Customer{Tier: f.opt.DefaultTier} }

func (f *Finder) answer(a answer, source Source) (Customer, Source) {
	if !a.known {
		return f.unknown(), FromDefault
	}
	return a.customer, source
}

// ask asks the home; reason says why there is no answer.
func (f *Finder) ask(ctx context.Context, number string, began time.Time) (a answer, reason string) {
	l, reason := f.join(number, began)
	if l == nil {
		return answer{}, reason
	}
	deadline := time.NewTimer(f.opt.Timeout)
	defer deadline.Stop()
	select {
	case <-l.done:
	case <-deadline.C:
		return answer{}, ReasonTimeout
	case <-ctx.Done():
		return answer{}, ReasonTimeout
	}
	switch {
	case l.err == nil:
		return answer{customer: l.customer, known: true}, ""
	case errors.Is(l.err, ErrUnknown):
		return answer{}, ""
	default:
		return answer{}, reasonOf(l.err)
	}
}

// join returns the lookup of number that is under way, or starts one.
func (f *Finder) join(number string, now time.Time) (l *lookup, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.underway[number]; l != nil {
		return l, ""
	}
	if f.closed {
		return nil, ReasonUnreachable
	}
	if now.Before(f.health.restUntil) {
		return nil, f.health.reason
	}
	select {
	case f.slots <- struct{}{}:
	default:
		return nil, ReasonBusy
	}
	l = &lookup{done: make(chan struct{})}
	f.underway[number] = l
	f.wg.Go(func() { f.run(l, number) })
	return l, ""
}

// run asks the home. It doesn't end with the call that wanted to know: an answer
// that comes late is kept for the next call of the number.
func (f *Finder) run(l *lookup, number string) {
	ctx, cancel := context.WithTimeout(context.Background(), f.opt.Timeout)
	defer cancel()
	l.customer, l.err = f.opt.Home.Lookup(ctx, number)
	switch now := time.Now(); {
	case l.err == nil:
		f.cache.put(number, answer{l.customer, true, now.Add(f.opt.TTL)})
	case errors.Is(l.err, ErrUnknown):
		f.cache.put(number, answer{until: now.Add(f.opt.UnknownTTL)})
	}
	f.note(l.err)
	f.mu.Lock()
	delete(f.underway, number)
	f.mu.Unlock()
	<-f.slots
	close(l.done)
}

// note keeps account of the home's health.
func (f *Finder) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, now := &f.health, time.Now()
	if err == nil || errors.Is(err, ErrUnknown) {
		if h.failures >= f.opt.MaxFailures {
			f.opt.Logger.Info("customer directory answers again", "source", f.opt.Source)
		}
		*h = health{logged: h.logged}
		return
	}
	reason := reasonOf(err)
	if now.Sub(h.logged) >= time.Minute {
		h.logged = now
		f.opt.Logger.Warn("customer lookup failed; calls go on with the default tier",
			"source", f.opt.Source, "reason", reason, "error", err)
	}
	if reason == ReasonGarbage {
		return // one bad record says nothing about the others
	}
	h.failures++
	h.reason = reason
	if h.failures >= f.opt.MaxFailures {
		h.restUntil = now.Add(f.opt.Rest)
	}
}

// reasonOf names why a home gave no answer.
func reasonOf(err error) string {
	var netErr net.Error
	var refused redis.Error
	switch {
	case errors.Is(err, ErrGarbage):
		return ReasonGarbage
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout),
		errors.Is(err, redis.ErrPoolExhausted), errors.As(err, &netErr) && netErr.Timeout():
		return ReasonTimeout
	case errors.As(err, &netErr), errors.As(err, &refused), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, redis.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return ReasonUnreachable
	default:
		return ReasonGarbage // what came can't be understood
	}
}

// Close waits for the lookups under way; later calls of Find give what the cache
// has. A home that holds connections is to be closed first.
func (f *Finder) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wg.Wait()
}
