package customers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hotline/routing"
)

const number = "+8613800000001"

var bank = Customer{ID: "1", Name: "Bank", Tier: routing.TierA1, Manager: "alice", Language: "zh"}

// home is a directory that does as it is told.
type home struct {
	mu    sync.Mutex
	asked int
	do    func(context.Context, string) (Customer, error)
}

func (h *home) Lookup(ctx context.Context, number string) (Customer, error) {
	h.mu.Lock()
	h.asked++
	do := h.do
	h.mu.Unlock()
	return do(ctx, number)
}

func (h *home) set(do func(context.Context, string) (Customer, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.do = do
}

func (h *home) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func knows(context.Context, string) (Customer, error)    { return bank, nil }
func knowsNot(context.Context, string) (Customer, error) { return Customer{}, ErrUnknown }
func hangs(ctx context.Context, _ string) (Customer, error) {
	<-ctx.Done()
	return Customer{}, ctx.Err()
}
func garbage(context.Context, string) (Customer, error) {
	return Customer{}, fmt.Errorf("%w: tier Z", ErrGarbage)
}

// counter is an Observer that counts.
type counter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *counter) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what]++
}
func (c *counter) Lookup(source string, _ time.Duration) { c.add(source) }
func (c *counter) Failure(reason string)                 { c.add(reason) }
func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.counts)
}

func newTestFinder(t *testing.T, h Directory, count Observer, change func(*FinderOptions)) *Finder {
	opt := FinderOptions{
		Home: h, Source: FromRedis, CacheSize: 10, DefaultTier: routing.TierB2, DefaultLanguage: "en",
		Observer: count, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&opt)
	}
	f := NewFinder(opt)
	t.Cleanup(f.Close)
	return f
}

func expect(t *testing.T, f *Finder, number string, tier routing.Tier, source Source, took time.Duration) {
	t.Helper()
	c, s, d := f.Find(context.Background(), number)
	if c.Tier != tier || s != source || d != took {
		t.Errorf("got tier %s from %s after %s, want tier %s from %s after %s", c.Tier, s, d, tier, source, took)
	}
}

func TestKnownCallerIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, count := &home{do: knows}, &counter{}
		f := newTestFinder(t, h, count, nil)
		expect(t, f, number, routing.TierA1, FromRedis, 0)
		expect(t, f, number, routing.TierA1, FromCache, 0)
		time.Sleep(5*time.Minute - time.Nanosecond) // on synctest's clock, as all sleeps here
		expect(t, f, number, routing.TierA1, FromCache, 0)
		time.Sleep(time.Nanosecond)
		expect(t, f, number, routing.TierA1, FromRedis, 0)
		if s := count.String(); s != "map[cache:2 redis:2]" {
			t.Errorf("counted %s", s)
		}
	})
}

func TestUnknownCallerGetsTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, count := &home{do: knowsNot}, &counter{}
		f := newTestFinder(t, h, count, nil)
		expect(t, f, number, routing.TierB2, FromDefault, 0)
		expect(t, f, number, routing.TierB2, FromDefault, 0)
		if c, _, _ := f.Find(context.Background(), number); c.Language != "en" {
			t.Errorf("language %q", c.Language)
		}
		// Who becomes a customer is recognised soon.
		h.set(knows)
		time.Sleep(time.Minute)
		expect(t, f, number, routing.TierA1, FromRedis, 0)
		if s := count.String(); s != "map[cache:2 redis:2]" {
			t.Errorf("counted %s", s)
		}
	})
}

func TestAnonymousCallerIsNotLookedUp(t *testing.T) {
	h, count := &home{do: knows}, &counter{}
	f := newTestFinder(t, h, count, nil)
	c, source, _ := f.Find(context.Background(), "")
	if source != FromAnonymous || c.Tier != routing.TierB2 || h.count() != 0 || count.String() != "map[]" {
		t.Errorf("%+v from %s, asked %d, counted %s", c, source, h.count(), count)
	}
}

func TestWithoutAHomeNobodyIsKnown(t *testing.T) {
	f := newTestFinder(t, nil, nil, func(o *FinderOptions) { o.Home = nil })
	if c, source, _ := f.Find(context.Background(), number); source != FromDefault || c.Tier != routing.TierB2 {
		t.Errorf("%+v from %s", c, source)
	}
}

func TestDeadlineHoldsWhateverTheHomeDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h, count := &home{}, &counter{}
		h.set(func(context.Context, string) (Customer, error) { <-release; return bank, nil })
		f := newTestFinder(t, h, count, nil)
		expect(t, f, number, routing.TierB2, FromDefault, 50*time.Millisecond)
		// What comes late serves the next call.
		close(release)
		synctest.Wait()
		expect(t, f, number, routing.TierA1, FromCache, 0)
		if s := count.String(); s != "map[cache:1 timeout:1]" {
			t.Errorf("counted %s", s)
		}
	})
}

func TestFailureUsesWhatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, count := &home{do: knows}, &counter{}
		f := newTestFinder(t, h, count, nil)
		expect(t, f, number, routing.TierA1, FromRedis, 0)
		time.Sleep(time.Hour)
		h.set(hangs)
		expect(t, f, number, routing.TierA1, FromCache, 50*time.Millisecond)
		synctest.Wait()
		h.set(garbage)
		expect(t, f, number, routing.TierA1, FromCache, 0)
		expect(t, f, "+8613800000002", routing.TierB2, FromDefault, 0)
		if s := count.String(); s != "map[garbage:2 redis:1 timeout:1]" {
			t.Errorf("counted %s", s)
		}
	})
}

func TestDeadHomeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, count := &home{do: hangs}, &counter{}
		f := newTestFinder(t, h, count, nil)
		for range 5 {
			expect(t, f, number, routing.TierB2, FromDefault, 50*time.Millisecond)
			synctest.Wait() // the lookup's own deadline is at the same moment
		}
		rested := time.Now()
		for range 100 {
			expect(t, f, number, routing.TierB2, FromDefault, 0)
		}
		if h.count() != 5 || count.String() != "map[timeout:105]" {
			t.Errorf("asked %d times, counted %s", h.count(), count)
		}
		time.Sleep(time.Until(rested.Add(time.Second)))
		expect(t, f, number, routing.TierB2, FromDefault, 50*time.Millisecond)
		synctest.Wait()
		expect(t, f, number, routing.TierB2, FromDefault, 0)
		h.set(knows)
		time.Sleep(time.Second)
		expect(t, f, number, routing.TierA1, FromRedis, 0)
	})
}

func TestGarbageOfOneCustomerHurtsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &home{do: garbage}
		f := newTestFinder(t, h, nil, nil)
		for range 20 {
			expect(t, f, number, routing.TierB2, FromDefault, 0)
		}
		h.set(knows)
		expect(t, f, "+8613800000002", routing.TierA1, FromRedis, 0)
	})
}

func TestCallsOfOneNumberShareALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &home{}
		h.set(func(ctx context.Context, n string) (Customer, error) {
			time.Sleep(20 * time.Millisecond)
			return bank, nil
		})
		f := newTestFinder(t, h, nil, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { expect(t, f, number, routing.TierA1, FromRedis, 20*time.Millisecond) })
		}
		wg.Wait()
		if h.count() != 1 {
			t.Errorf("asked %d times", h.count())
		}
	})
}

func TestLookupsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, count := &home{do: hangs}, &counter{}
		f := newTestFinder(t, h, count, func(o *FinderOptions) { o.MaxLookups = 2 })
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { f.Find(context.Background(), fmt.Sprintf("+86138000000%02d", i)) })
		}
		wg.Wait()
		if h.count() != 2 || count.String() != "map[busy:8 timeout:2]" {
			t.Errorf("asked %d times, counted %s", h.count(), count)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	h := &home{do: knows}
	f := newTestFinder(t, h, nil, func(o *FinderOptions) { o.CacheSize = 2 })
	for _, n := range []string{"+861380001", "+861380002", "+861380001", "+861380003", "+861380001", "+861380002"} {
		f.Find(context.Background(), n)
	}
	// 1 and 2 asked, 1 cached, 3 asked in place of 2, 1 cached, 2 asked again.
	if h.count() != 4 || f.cache.order.Len() != 2 || len(f.cache.byNo) != 2 {
		t.Errorf("asked %d times, %d kept", h.count(), f.cache.order.Len())
	}
}

func TestCallerWhoHangsUpIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := &counter{}
		f := newTestFinder(t, &home{do: hangs}, count, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if _, source, took := f.Find(ctx, number); source != FromDefault || took != 10*time.Millisecond || count.String() != "map[]" {
			t.Errorf("from %s after %s, counted %s", source, took, count)
		}
	})
}

func TestClosedFinderStillAnswers(t *testing.T) {
	f := NewFinder(FinderOptions{Home: &home{do: knows}})
	f.Close()
	if _, source, _ := f.Find(context.Background(), number); source != FromDefault {
		t.Errorf("from %s", source)
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, ReasonTimeout}, {io.EOF, ReasonUnreachable},
		{ErrGarbage, ReasonGarbage}, {errors.New("redis: can't parse reply"), ReasonGarbage},
	} {
		if got := reasonOf(fmt.Errorf("ask: %w", c.err)); got != c.want {
			t.Errorf("%v is %s", c.err, got)
		}
	}
}

func BenchmarkFindCached(b *testing.B) {
	f := NewFinder(FinderOptions{Home: &home{do: knows}, CacheSize: 10})
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		f.Find(context.Background(), number)
	}
}
