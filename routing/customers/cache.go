package customers

import (
	"container/list"
	"sync"
	"time"
)

// answer is what a home said about a number.
type answer struct {
	customer Customer
	known    bool
	until    time.Time // the answer is fresh before
}

// cache keeps the answers about the numbers that were asked for last.
type cache struct {
	size int

	mu    sync.Mutex
	order *list.List // of cached, the latest used first
	byNo  map[string]*list.Element
}

type cached struct {
	number string
	answer answer
}

func newCache(size int) *cache {
	return &cache{size: size, order: list.New(), byNo: map[string]*list.Element{}}
}

// get returns what is known about number, fresh or stale.
func (c *cache) get(number string) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byNo[number]
	if !ok {
		return answer{}, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).answer, true
}

func (c *cache) put(number string, a answer) {
	if c.size <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byNo[number]; ok {
		e.Value = cached{number, a}
		c.order.MoveToFront(e)
		return
	}
	if c.order.Len() >= c.size {
		oldest := c.order.Back()
		delete(c.byNo, c.order.Remove(oldest).(cached).number)
	}
	c.byNo[number] = c.order.PushFront(cached{number, a})
}
