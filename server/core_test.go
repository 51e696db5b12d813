package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hotline/routing"
)

// memJournal is a journal in memory that can be broken.
type memJournal struct {
	mu      sync.Mutex
	entries []routing.Entry
	broken  error
	snaps   map[uint64][]byte
	kept    chan uint64 // if not nil, told of each snapshot
}

func (j *memJournal) Append(e routing.Entry) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	e.Seq = uint64(len(j.entries)) + 1
	j.entries = append(j.entries, e)
	return e.Seq, nil
}

func (j *memJournal) Read(from uint64, fn func(routing.Entry) error) error {
	for _, e := range j.entries {
		if e.Seq < from {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (j *memJournal) Follow(context.Context, uint64, func(routing.Entry) error) error {
	return errors.New("nobody follows")
}

func (j *memJournal) WriteSnapshot(seq uint64, data []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.kept != nil {
		defer func() { j.kept <- seq }()
	}
	if j.broken != nil {
		return j.broken
	}
	if j.snaps == nil {
		j.snaps = make(map[uint64][]byte)
	}
	j.snaps[seq] = data
	return nil
}

func (j *memJournal) Snapshot(upTo uint64) (uint64, []byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var newest uint64
	for seq := range j.snaps {
		if seq <= upTo {
			newest = max(newest, seq)
		}
	}
	return newest, j.snaps[newest], nil
}

func (j *memJournal) Close() error { return nil }

// textLog is a logger into a string.
type textLog struct {
	mu   sync.Mutex
	b    strings.Builder
	want map[string]chan struct{}
}

func (l *textLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, ch := range l.want {
		if strings.Contains(string(p), s) {
			close(ch)
			delete(l.want, s)
		}
	}
	return l.b.Write(p)
}

// next is closed when a line that holds s is logged from now on.
func (l *textLog) next(s string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want == nil {
		l.want = map[string]chan struct{}{}
	}
	ch := make(chan struct{})
	l.want[s] = ch
	return ch
}

func (l *textLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

var onePolicy = routing.Policy{
	Queues: []routing.QueuePolicy{{ID: "sales"}},
	Seats:  []routing.SeatPolicy{{ID: "alice", Agent: "alice", Queues: []routing.QueueID{"sales"}}},
	Tiers: []routing.TierPolicy{{Tier: routing.TierA1, TargetMS: 1}, {Tier: routing.TierA2, TargetMS: 1}, {Tier: routing.TierB1, TargetMS: 1},
		{Tier: routing.TierB2, TargetMS: 1}, {Tier: routing.TierC, TargetMS: 1}},
	RingTime: routing.Duration(20e6), OfferLease: routing.Duration(5e6),
}

// runCore starts a core on j; it ends with the test.
func runCore(t *testing.T, j *memJournal, log *slog.Logger) *core {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c, _, err := newCore("n1", j, log)
	if err != nil {
		t.Fatal(err)
	}
	go c.run()
	t.Cleanup(c.close)
	return c
}

// settle waits until the core has done what was posted.
func (c *core) settle(t *testing.T) {
	t.Helper()
	if err := c.view(t.Context(), func(*routing.State) {}); err != nil {
		t.Fatal(err)
	}
}

// offerOne brings one call to an offer to alice and returns its mailbox.
func offerOne(t *testing.T, c *core) <-chan routing.Decision {
	t.Helper()
	box := c.own("c1")
	for _, ev := range []routing.Event{routing.NodeStarted{}, routing.PolicyChanged{Policy: onePolicy},
		routing.SeatRegistered{Seat: "alice"}, routing.CallArrived{Call: "c1"}, routing.CallAnswered{Call: "c1"},
		routing.CallQueued{Call: "c1", Queue: "sales"}} {
		c.post(ev)
	}
	c.settle(t)
	return box
}

// The disk is full: routing goes on in memory, and says nothing for each event
// (the journal counts and logs by itself).
func TestRoutingGoesOnWithoutItsJournal(t *testing.T) {
	log := &textLog{}
	j := &memJournal{broken: errors.New("no space left on device")}
	c := runCore(t, j, slog.New(slog.NewTextHandler(log, nil)))
	box := offerOne(t, c)
	select {
	case d := <-box:
		if o, ok := d.(*routing.Offer); !ok || o.Seat != "alice" {
			t.Errorf("decision %+v", d)
		}
	default:
		t.Error("no offer")
	}
	if len(j.entries) != 0 || log.String() != "" {
		t.Errorf("%d entries, log %q", len(j.entries), log)
	}
	j.mu.Lock()
	j.broken = nil
	j.mu.Unlock()
	c.post(routing.CallEnded{Call: "c1", Cause: routing.CauseCallerHungUp})
	c.settle(t)
	if len(j.entries) != 1 {
		t.Errorf("%d entries after the disk came back, want 1", len(j.entries))
	}
}

// Reading the journal back gives the state and carries nothing out.
func TestReplayDrivesNoDecision(t *testing.T) {
	j := &memJournal{}
	first := runCore(t, j, nil)
	offerOne(t, first)
	first.close()

	second, closed, err := newCore("n1", j, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second.decided = func(d routing.Decision, _ uint64) { t.Errorf("carried out: %s", d.Kind()) }
	if len(closed) != 0 || len(second.state.Calls()) != 1 {
		t.Errorf("%d closed, %d open, want the one call open", len(closed), len(second.state.Calls()))
	}
	var told []string
	second.decided = func(d routing.Decision, _ uint64) { told = append(told, d.Kind()) }
	go second.run()
	second.post(routing.NodeStarted{})
	second.close()
	if s := strings.Join(told, " "); !strings.Contains(s, "closed") || len(second.state.Calls()) != 0 {
		t.Errorf("told %q, %d calls open: the call of the old process must be closed", s, len(second.state.Calls()))
	}
}

// A call that nobody owns is ended; one with an owner, and one of another node,
// are left alone.
func TestReconcileEndsCallsWithoutOwner(t *testing.T) {
	c := runCore(t, &memJournal{}, nil)
	c.own("mine")
	c.do(func() {
		c.apply(routing.CallArrived{Call: "mine"})
		c.apply(routing.CallArrived{Call: "orphan"})
		c.state.Apply(routing.Entry{At: now(), Node: "n2", Event: routing.CallArrived{Call: "other"}})
		c.reconcile()
	})
	if err := c.view(t.Context(), func(s *routing.State) {
		var left []routing.CallID
		for _, v := range s.Calls() {
			left = append(left, v.ID)
		}
		if fmt.Sprint(left) != "[mine other]" {
			t.Errorf("left %v", left)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// Reconciliation that runs while the end of a call is on its way must not call
// it lost.
func TestEndOfACallIsNotTakenForLost(t *testing.T) {
	c := runCore(t, &memJournal{}, nil)
	s := &Server{core: c, figures: make(map[routing.CallID]figures)}
	cause := ""
	c.do(func() {
		c.decided = func(d routing.Decision, _ uint64) {
			if d, ok := d.(*routing.Closed); ok {
				cause = d.Call.Cause
			}
		}
	})
	c.own("c1")
	c.post(routing.CallArrived{Call: "c1"})
	hold := make(chan struct{})
	c.do(func() { <-hold })
	c.do(c.reconcile)
	s.endCall(&call{id: "c1", cause: routing.CauseCallerHungUp})
	close(hold)
	c.settle(t)
	if cause != routing.CauseCallerHungUp {
		t.Errorf("cause %q, want caller_hung_up", cause)
	}
	// A call that is closed already, as when its seat was freed by hand.
	s.endCall(&call{id: "gone", cause: routing.CauseCallerHungUp})
	c.settle(t)
	if len(s.figures) != 0 || c.owned("c1") {
		t.Error("something is kept of calls that are over")
	}
}

// An owner that takes no decisions holds nobody up.
func TestFullMailboxDoesNotBlockRouting(t *testing.T) {
	c := runCore(t, &memJournal{}, nil)
	box := c.own("stuck")
	c.do(func() {
		for range 2 * mailboxSize {
			c.deliver(&routing.Offer{Call: "stuck"})
		}
	})
	c.settle(t)
	if len(box) != mailboxSize {
		t.Errorf("%d decisions in the mailbox, want %d", len(box), mailboxSize)
	}
}

// A question to a core that hangs, even one whose inbox is full, ends with its
// deadline, and what was asked never runs afterwards.
func TestQuestionsToABusyCoreEnd(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, _, err := newCore("n1", &memJournal{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			go c.run()
			hold := make(chan struct{})
			c.do(func() { <-hold })
			synctest.Wait()
			for full && len(c.inbox) < inboxSize {
				c.do(func() {})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start, ran := time.Now(), false
			err = c.view(ctx, func(*routing.State) { ran = true })
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("full=%v: %v after %v", full, err, time.Since(start))
			}
			close(hold)
			c.close()
			if ran {
				t.Error("ran after its asker had left")
			}
		})
	}
}
