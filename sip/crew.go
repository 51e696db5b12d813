package sip

import (
	"sync"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// turns has the requests of one dialog worked on one after the other, as they came.
type turns struct {
	mu      sync.Mutex
	busy    bool
	waiting []job
}

// maxInTurn bounds the requests of a dialog that wait for their turn. Its BYEs find room for a few more.
const maxInTurn, maxByes = 64, 4

// legOf is the leg whose dialog a request is in; nil for none.
func (s *Stack) legOf(req *gosip.Request) *Leg {
	if req.To() == nil || req.From() == nil || req.CallID() == nil {
		return nil
	}
	return s.findLeg(req)
}

// inTurn has a job done once those of the leg that came before are done; at once when there is none, or no leg. It is
// false when the job won't be done.
func (s *Stack) inTurn(l *Leg, j job) bool {
	if l == nil {
		return s.hand(j)
	}
	t := &l.turns
	t.mu.Lock()
	if t.busy {
		most := maxInTurn
		if j.req.Method == gosip.BYE {
			most += maxByes
		}
		room := len(t.waiting) < most
		if room {
			t.waiting = append(t.waiting, j)
		}
		t.mu.Unlock()
		return room
	}
	t.busy = true
	t.mu.Unlock()
	return s.hand(job{t.work, j.req, j.tx})
}

// work dispatches a request and those that came meanwhile.
func (t *turns) work(req *gosip.Request, tx *transaction) {
	for {
		tx.stack.dispatch(req, tx)
		t.mu.Lock()
		if len(t.waiting) == 0 {
			t.busy, t.waiting = false, nil
			t.mu.Unlock()
			return
		}
		req, tx = t.waiting[0].req, t.waiting[0].tx
		t.waiting = t.waiting[1:]
		t.mu.Unlock()
	}
}

// job is a request to be worked on.
type job struct {
	do  handler
	req *gosip.Request
	tx  *transaction
}

// crew are the goroutines that work on requests. One that is done waits a moment for the next job: its
// stack has grown already.
type crew struct {
	jobs          chan job
	size, waiting atomic.Int32
}

const (
	maxWaiting = 64
	waitFor    = time.Second
)

// hand has a goroutine of the crew do a job; false when the stack is closed.
func (s *Stack) hand(j job) bool {
	select {
	case s.crew.jobs <- j:
		return true
	default:
		s.crew.size.Add(1)
		if !s.spawn(func() { s.worker(j) }) {
			s.crew.size.Add(-1)
			return false
		}
		return true
	}
}

func (s *Stack) worker(j job) {
	defer s.crew.size.Add(-1)
	idle := time.NewTimer(waitFor)
	defer idle.Stop()
	for {
		j.do(j.req, j.tx)
		j = job{}
		if s.crew.waiting.Add(1) > maxWaiting {
			s.crew.waiting.Add(-1)
			return
		}
		idle.Reset(waitFor)
		select {
		case j = <-s.crew.jobs:
			s.crew.waiting.Add(-1)
		case <-idle.C:
			s.crew.waiting.Add(-1)
			return
		case <-s.closed:
			s.crew.waiting.Add(-1)
			return
		}
	}
}
