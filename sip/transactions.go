package sip

import (
	"sync"
	"time"
)

// transactions are the server transactions of a stack.
type transactions struct {
	mu  sync.Mutex
	all map[txKey]*transaction
	// answered are those with a final answer, the oldest first: all stay for the same time, so that
	// one timer is enough.
	answered []*transaction
	timer    *time.Timer
}

const (
	// maxAnswered is how many transactions are kept for repetitions of their requests: those of 4,000
	// calls a second. Beyond it the oldest go before their time.
	maxAnswered = 1 << 18
	// sweepEvery is how long a transaction whose time is over may take memory: it counts no more.
	sweepEvery = 100 * time.Millisecond
)

func newTransactions() *transactions { return &transactions{all: make(map[txKey]*transaction)} }

// begin enters a transaction; known is the one that is there already.
func (t *transactions) begin(tx *transaction) (known *transaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known = t.alive(tx.key); known == nil {
		t.all[tx.key] = tx
	}
	return known
}

// find is the transaction with that key; nil for none.
func (t *transactions) find(key txKey) *transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alive(key)
}

func (t *transactions) alive(key txKey) *transaction {
	tx := t.all[key]
	if tx == nil || !tx.until.IsZero() && !time.Now().Before(tx.until) {
		return nil
	}
	return tx
}

// linger keeps a transaction for so long yet: timeout when it is answered, and less when it is
// acknowledged.
func (t *transactions) linger(tx *transaction, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[tx.key] != tx {
		return
	}
	first := tx.until.IsZero()
	tx.until = time.Now().Add(d)
	if !first {
		return
	}
	t.answered = append(t.answered, tx)
	if len(t.answered) > maxAnswered {
		t.drop(1)
	}
	if len(t.answered) == 1 {
		t.sweepAfter(d)
	}
}

// forget takes a transaction out at once.
func (t *transactions) forget(tx *transaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[tx.key] == tx {
		delete(t.all, tx.key)
	}
}

// sweep drops those whose time is over. It only looks at the first: what was acknowledged, whose time is
// shorter, counts no more and waits for its turn.
func (t *transactions) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(t.answered) && !now.Before(t.answered[n].until) {
		n++
	}
	t.drop(n)
	if len(t.answered) > 0 {
		t.sweepAfter(max(sweepEvery, t.answered[0].until.Sub(now)))
	}
}

func (t *transactions) sweepAfter(d time.Duration) {
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.sweep)
	} else {
		t.timer.Reset(d)
	}
}

// drop forgets the first n that are answered.
func (t *transactions) drop(n int) {
	for i, tx := range t.answered[:n] {
		if t.all[tx.key] == tx {
			delete(t.all, tx.key)
		}
		t.answered[i] = nil
	}
	t.answered = t.answered[n:]
}

// close forgets all of them.
func (t *transactions) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	clear(t.all)
	t.answered = nil
}
