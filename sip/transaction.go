package sip

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// transaction is a server transaction (RFC 3261 17.2, RFC 6026): one request, the answers to it, and what
// is done when it comes again. It may be used by several goroutines.
type transaction struct {
	stack *Stack
	key   txKey
	by    way
	// pending is true while the request counts as work that is pending.
	pending atomic.Bool
	until   time.Time // when it is forgotten; zero while that is open. Of the stack's transactions.

	mu       sync.Mutex
	state    txState
	req      *gosip.Request // nil once it is answered
	last     []byte         // what the request gets when it comes again; nil for nothing
	onCancel func(*gosip.Request)
	again    *time.Timer // Timer G
}

type txState int

const (
	txOpen      txState = iota // Trying and Proceeding: no final answer yet
	txAccepted                 // INVITE, with a 2xx: its owner repeats that
	txCompleted                // any other final answer
	txConfirmed                // the refusal of an INVITE, acknowledged
	txOver
)

// errAnswered says that a request has its final answer: the caller cancelled, or hung up.
var errAnswered = errors.New("the request is answered already")

// txKey is what repetitions of a request have in common (RFC 3261 17.2.3).
type txKey struct {
	branch, host string
	port         int
	method       gosip.RequestMethod
}

// keyOf is the key of the transaction that a request belongs to, as if it had the given method: an ACK and
// a CANCEL name that of an INVITE. ok is false for a request that lacks what it takes.
func keyOf(req *gosip.Request, as gosip.RequestMethod) (k txKey, ok bool) {
	via, seq := req.Via(), req.CSeq()
	if via == nil || seq == nil {
		return txKey{}, false
	}
	branch, _ := via.Params.Get("branch")
	if len(branch) > len(gosip.RFC3261BranchMagicCookie) && strings.HasPrefix(branch, gosip.RFC3261BranchMagicCookie) {
		return txKey{branch, via.Host, via.Port, as}, true
	}
	// A peer of RFC 2543. Its ACK has our To tag, which the INVITE hadn't.
	from, id := req.From(), req.CallID()
	if from == nil || id == nil {
		return txKey{}, false
	}
	tag, _ := from.Params.Get("tag")
	return txKey{strings.Join([]string{tag, string(*id), strconv.FormatUint(uint64(seq.SeqNo), 10), via.Value()}, "\x00"), "", 0, as}, true
}

// wire is a message as it goes out.
func wire(res *gosip.Response) []byte {
	buf := wires.Get().(*bytes.Buffer)
	defer wires.Put(buf)
	buf.Reset()
	res.StringWrite(buf)
	return bytes.Clone(buf.Bytes())
}

var wires = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Respond sends an answer. The first final one stands: for any other one after it there is errAnswered. A
// 2xx to an INVITE may be sent again.
func (tx *transaction) Respond(res *gosip.Response) error {
	b := wire(res)
	tx.mu.Lock()
	switch {
	case tx.state == txAccepted && res.IsSuccess():
	case tx.state != txOpen:
		tx.mu.Unlock()
		return errAnswered
	case res.IsProvisional():
		tx.last = b
	default:
		tx.answered(b, res.IsSuccess())
	}
	tx.mu.Unlock()
	return tx.by.send(b)
}

// refuse sends a final answer and keeps nothing of it.
func (tx *transaction) refuse(res *gosip.Response) error {
	tx.mu.Lock()
	if tx.state != txOpen {
		tx.mu.Unlock()
		return errAnswered
	}
	tx.state, tx.req, tx.last, tx.onCancel = txOver, nil, nil, nil
	tx.mu.Unlock()
	tx.stack.transactions.forget(tx)
	return tx.by.send(wire(res))
}

// unanswered tells whether a final answer can still be given.
func (tx *transaction) unanswered() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.state == txOpen
}

// answered is what follows the final answer; the lock is held.
func (tx *transaction) answered(b []byte, success bool) {
	invite := tx.key.method == gosip.INVITE
	tx.req, tx.last, tx.onCancel = nil, b, nil
	switch {
	case invite && success:
		tx.state, tx.last = txAccepted, nil // RFC 6026 7.1: a repetition is swallowed
	case !invite && reliable(tx.by.network()): // Timer J is 0
		tx.state = txOver
		tx.stack.transactions.forget(tx)
		return
	default:
		tx.state = txCompleted
	}
	if tx.state == txCompleted && invite && !reliable(tx.by.network()) {
		tx.repeat(t1, 0)
	}
	tx.stack.transactions.linger(tx, timeout) // Timers H, J, and L of RFC 6026
}

// repeat sends the refusal of an INVITE again after the gap, and so on (Timer G), until it is acknowledged
// or has been out for 64*T1 (Timer H). The lock is held.
func (tx *transaction) repeat(gap, out time.Duration) {
	if out += gap; out >= timeout {
		return
	}
	tx.again = time.AfterFunc(gap, func() {
		tx.stack.spawn(func() {
			tx.mu.Lock()
			if tx.state != txCompleted {
				tx.mu.Unlock()
				return
			}
			b := tx.last
			tx.repeat(min(2*gap, t2), out)
			tx.mu.Unlock()
			_ = tx.by.send(b)
		})
	})
}

// repeated answers a request that has come again.
func (tx *transaction) repeated() {
	tx.mu.Lock()
	b := tx.last
	tx.mu.Unlock()
	if b == nil {
		return
	}
	if err := tx.by.send(b); err != nil {
		tx.stack.log.Debug("answer not repeated", "method", tx.key.method, "error", err)
	}
}

// acknowledged takes an ACK; false when it isn't to a refusal.
func (tx *transaction) acknowledged() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	switch tx.state {
	case txCompleted:
		tx.state, tx.last = txConfirmed, nil
		if tx.again != nil {
			tx.again.Stop()
		}
		if reliable(tx.by.network()) { // Timer I is 0
			tx.stack.transactions.forget(tx)
		} else {
			tx.stack.transactions.linger(tx, t4)
		}
		return true
	case txConfirmed:
		return true
	default:
		return false
	}
}

// OnCancel sets what is told when the request is cancelled; it is answered with 487 and must not block. false
// says that it is answered already.
func (tx *transaction) OnCancel(f func(cancel *gosip.Request)) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != txOpen {
		return false
	}
	tx.onCancel = f
	return true
}

// cancel answers an INVITE that its caller has cancelled (RFC 3261 9.2).
func (tx *transaction) cancel(req *gosip.Request) {
	tx.mu.Lock()
	if tx.state != txOpen {
		tx.mu.Unlock()
		return
	}
	b := wire(tx.stack.response(tx.req, 487, "Request Terminated", nil))
	told := tx.onCancel
	tx.answered(b, false)
	tx.mu.Unlock()
	tx.stack.obs.ServerRequest(string(gosip.INVITE), 487)
	if told != nil { // before the peer, who takes the 487 for the end of everything
		told(req)
	}
	_ = tx.by.send(b)
}

// abandon forgets a transaction that nobody will answer any more.
func (tx *transaction) abandon() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state == txOpen {
		tx.state, tx.req, tx.onCancel = txOver, nil, nil
		tx.stack.transactions.forget(tx)
	}
}

// settle ends the time in which the request is pending work.
func (tx *transaction) settle() {
	if tx.pending.CompareAndSwap(true, false) {
		tx.stack.pending.Add(-1)
	}
}
