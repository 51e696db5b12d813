package server

import (
	"sync"
	"time"

	"hotline/routing"
)

// early is how far the caller's side is before the answer. The time limit answers on a goroutine of its
// own, everything else is the call's.
type early struct {
	mu    sync.Mutex
	sdp   []byte      // for the 200; nil once that was sent, or the call refused
	limit *time.Timer // nil when the call is answered at once
	// answered is closed when a call that was early is answered; nil where it never was.
	answered chan struct{}
	begun    bool // what is recorded from the answer on; the call's goroutine's
	// refuse is how a call is refused that ends before the answer; 0: 480.
	refuse int
}

// soundEarly lets the caller hear us by a 183, for as long as the flow says.
func (c *call) soundEarly() {
	c.audio.Early(true)
	c.early.mu.Lock()
	defer c.early.mu.Unlock()
	c.a.Progress(c.early.sdp)
	c.early.answered = make(chan struct{})
	c.early.limit = time.AfterFunc(c.flow.Early(), func() {
		c.log.Info("call was early for as long as it may be")
		c.AnswerCall()
	})
}

// AnswerCall answers the caller, unless that has been done; false when the caller has gone.
func (c *call) AnswerCall() bool {
	c.early.mu.Lock()
	defer c.early.mu.Unlock()
	if c.early.sdp == nil {
		return !isDone(c.a.Done())
	}
	wasEarly := c.early.limit != nil
	c.a.OnAnswered(func() { // the 200 may wait for a PRACK, and the caller give up meanwhile
		if wasEarly {
			c.audio.Early(false)
			close(c.early.answered)
		}
		c.s.core.post(routing.CallAnswered{Call: c.id})
	})
	if err := c.a.Answer(c.early.sdp); err != nil {
		return false
	}
	c.early.sdp = nil
	if wasEarly {
		c.early.limit.Stop()
	}
	return true
}

// waitsForAnswer tells whether the caller hears us before the answer.
func (c *call) waitsForAnswer() bool {
	c.early.mu.Lock()
	defer c.early.mu.Unlock()
	return c.early.sdp != nil
}

// letGo hangs the caller up, or refuses whom nobody has answered.
func (c *call) letGo() {
	c.early.mu.Lock()
	defer c.early.mu.Unlock()
	if c.early.limit != nil {
		c.early.limit.Stop()
	}
	if c.early.sdp != nil {
		code := c.refusal()
		if err := c.a.Reject(code, refusalPhrases[code]); err == nil {
			c.log.Info("call refused, as nobody has answered it", "code", code)
		}
		c.early.sdp = nil
	}
	c.a.Hangup()
}

// refusal is the final status of a call that ends before the answer.
func (c *call) refusal() int {
	switch {
	case c.cause == routing.CauseDrained:
		return 503
	case c.cause == routing.CauseFailed:
		return 500
	case c.early.refuse != 0:
		return c.early.refuse
	}
	return 480
}

var refusalPhrases = map[int]string{404: "Not Found", 410: "Gone", 480: "Temporarily Unavailable", 486: "Busy Here",
	500: "Server Internal Error", 503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline"}
