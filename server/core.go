package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hotline/routing"
	"hotline/routing/journal"
)

// core owns the routing state: one goroutine writes each event to the journal,
// applies it, and hands the decisions to the owners of the calls. Nobody else
// touches the state.
type core struct {
	node    string
	journal journal.Journal
	log     *slog.Logger
	// decided is told of every decision, on the owner's goroutine: it must not
	// block and must not call the core.
	decided func(routing.Decision, uint64)

	state *routing.State
	inbox chan func()
	done  chan struct{}
	stop  chan struct{}
	once  sync.Once
	tick  *time.Timer
	views int // events since the invariants were last checked
	wrong uint64

	save saving

	mu     sync.Mutex
	owners map[routing.CallID]chan routing.Decision
}

const (
	inboxSize   = 4096
	mailboxSize = 64
	// checkEvery is how many events pass between two checks of the invariants
	// at run time.
	checkEvery = 1000
)

// newCore reads the journal back, without carrying anything out, and returns
// the calls that were closed on the way: their records may be missing.
func newCore(node string, j journal.Journal, log *slog.Logger) (*core, []routing.CallView, error) {
	state, from, err := resume(j, log)
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal back: %w", err)
	}
	c := &core{
		node: node, journal: j, log: log, state: state,
		decided: func(routing.Decision, uint64) {},
		inbox:   make(chan func(), inboxSize), done: make(chan struct{}), stop: make(chan struct{}),
		owners: make(map[routing.CallID]chan routing.Decision),
		save:   newSaving(),
	}
	var closed []routing.CallView
	entries := 0
	start := time.Now()
	err = j.Read(from, func(e routing.Entry) error {
		entries++
		for _, d := range c.state.Apply(e) {
			if cl, ok := d.(*routing.Closed); ok {
				closed = append(closed, cl.Call.Clone())
				if len(closed) > maxRecheck {
					closed = closed[len(closed)-maxRecheck:]
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal back: %w", err)
	}
	c.save.changed += entries
	if entries > 0 || from > 0 {
		log.Info("journal read back", "from", from, "entries", entries, "took", time.Since(start), "calls_open", len(c.state.Calls()))
	}
	return c, closed, nil
}

// maxRecheck bounds how many closed calls are compared with the records at start.
const maxRecheck = 10000

// run is the owner's goroutine.
func (c *core) run() {
	defer close(c.done)
	c.tick = time.NewTimer(time.Hour)
	defer c.tick.Stop()
	c.arm()
	for {
		select {
		case f := <-c.inbox:
			f()
		case <-c.tick.C:
			c.apply(routing.Tick{})
		case err := <-c.save.done:
			c.saved(err)
			c.saveIfDue()
		case <-c.stop:
			defer c.saveLast()
			for { // what was posted before the end still counts
				select {
				case f := <-c.inbox:
					f()
				default:
					return
				}
			}
		}
		c.arm()
	}
}

// arm sets the timer to the next deadline of the state.
func (c *core) arm() {
	d := time.Hour
	if at, ok := c.state.NextDeadline(); ok {
		d = max(0, time.Duration(at-now())*time.Microsecond)
	}
	c.tick.Reset(d)
}

func now() routing.Time { return routing.Time(time.Now().UnixMicro()) }

// apply makes an entry of an event, writes it, applies it and hands out what
// was decided.
func (c *core) apply(ev routing.Event) {
	e := routing.Entry{At: now(), Node: c.node, Event: ev}
	// When the entry can't be written, routing goes on in memory: the journal has
	// logged and counted it.
	seq, _ := c.journal.Append(e)
	e.Seq = seq
	for _, d := range c.state.Apply(e) {
		c.decided(d, seq)
		c.deliver(d)
	}
	c.saveWhenDue(seq != 0)
	if c.views++; c.views >= checkEvery {
		c.views = 0
		if err := c.state.Check(); err != nil {
			c.wrong++
			c.log.Error("routing invariant violated", "error", err, "seq", seq)
		}
	}
}

// deliver hands a decision to the owner of its call.
func (c *core) deliver(d routing.Decision) {
	var id routing.CallID
	switch d := d.(type) {
	case *routing.Offer:
		id = d.Call
	case *routing.Withdraw:
		id = d.Call
	case *routing.Disconnect:
		id = d.Call
	case *routing.Transferred:
		id = d.Call
	case *routing.Overflow:
		id = d.Call
	default:
		return
	}
	c.mu.Lock()
	box := c.owners[id]
	c.mu.Unlock()
	if box == nil {
		return // the call has just ended; its CallEnded is on the way
	}
	select {
	case box <- d.Clone():
	default:
		c.log.Error("owner of a call doesn't take its decisions", "call", id, "decision", d.Kind())
	}
}

// post hands an event to the owner. It blocks only while the inbox is full, and
// drops the event once the core has stopped.
func (c *core) post(ev routing.Event) { c.do(func() { c.apply(ev) }) }

func (c *core) do(f func()) bool {
	select {
	case c.inbox <- f:
		return true
	case <-c.done:
		return false
	}
}

// tell applies an event and says whether it fitted the state: an ignored one
// changed nothing. It is false, too, once the core has stopped.
func (c *core) tell(ev routing.Event) (fitted bool) {
	ran := make(chan struct{})
	if !c.do(func() {
		before, _ := c.state.Ignored()
		c.apply(ev)
		after, _ := c.state.Ignored()
		fitted = after == before
		close(ran)
	}) {
		return false
	}
	select {
	case <-ran:
		return fitted
	case <-c.done:
		return isDone(ran) && fitted
	}
}

// startTalk reports that call and seat are bridged and tells whether routing
// agrees: the offer may have been withdrawn while the agent picked up.
func (c *core) startTalk(ev routing.TalkStarted) (agreed bool) {
	ran := make(chan struct{})
	if !c.do(func() {
		c.apply(ev)
		call, _ := c.state.Call(ev.Call)
		agreed = call.Phase == routing.PhaseTalking && call.Seat == ev.Seat
		close(ran)
	}) {
		return false
	}
	select {
	case <-ran:
	case <-c.done:
	}
	return agreed
}

// own enters the owner of a call; its decisions come by the returned channel.
func (c *core) own(id routing.CallID) <-chan routing.Decision {
	box := make(chan routing.Decision, mailboxSize)
	c.mu.Lock()
	c.owners[id] = box
	c.mu.Unlock()
	return box
}

func (c *core) disown(id routing.CallID) {
	c.mu.Lock()
	delete(c.owners, id)
	c.mu.Unlock()
}

func (c *core) owned(id routing.CallID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owners[id] != nil
}

// view runs f with the state on the owner's goroutine and waits for it; f must
// be short. It returns an error when the core has stopped or ctx ends; then f
// has not run and won't.
func (c *core) view(ctx context.Context, f func(*routing.State)) error {
	var begun atomic.Bool // by f, or given up
	ran := make(chan struct{})
	select {
	case c.inbox <- func() {
		if begun.CompareAndSwap(false, true) {
			f(c.state)
		}
		close(ran)
	}:
	case <-c.done:
		return errStopped
	case <-ctx.Done():
		return fmt.Errorf("ask routing: %w", ctx.Err())
	}
	select {
	case <-ran:
		return nil
	case <-c.done:
		if isDone(ran) {
			return nil
		}
		return errStopped
	case <-ctx.Done():
		if begun.CompareAndSwap(false, true) {
			return fmt.Errorf("ask routing: %w", ctx.Err())
		}
		<-ran
		return nil
	}
}

var errStopped = errors.New("routing has stopped")

// close ends the owner's goroutine after what was posted before.
func (c *core) close() {
	c.once.Do(func() { close(c.stop) })
	<-c.done
}

// reconcile ends calls of this node that routing knows and nobody owns, and
// offers or talks of calls that are gone: a reservation lives no longer than
// its dialogs.
func (c *core) reconcile() {
	for _, v := range c.state.Calls() {
		if v.Node == c.node && v.Ended == 0 && !c.owned(v.ID) {
			c.log.Warn("call without an owner ended", "call", v.ID)
			c.apply(routing.CallEnded{Call: v.ID, Cause: routing.CauseLost})
		}
	}
}

// endWrapUps ends every wrap-up, so that a node that stops leaves no call
// without its record.
func (c *core) endWrapUps() {
	for _, v := range c.state.Seats() {
		if v.State == routing.SeatWrapUp {
			c.apply(routing.WrapUpEnded{Seat: v.ID})
		}
	}
}
