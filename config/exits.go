package config

import (
	"fmt"
	"slices"
)

// namedExit is one of a queue's exits and the name of its field.
type namedExit struct {
	Exit
	name  string
	limit bool // that leads to it is set
	needs string
}

func (c *Config) exits(q *Queue) []namedExit {
	return []namedExit{
		{q.WhenFull, "when_full", q.MaxWaiting > 0, "max_waiting"},
		{q.WhenTooLong, "when_too_long", c.leaveSomeTime(q), "max_wait"},
		{q.WhenEmpty, "when_empty", !q.JoinEmpty || q.LeaveEmpty > 0, "join_empty: false or leave_empty"},
	}
}

// exits checks where callers of a queue go that it doesn't take or keep. The
// prompts are checked with all others.
func (c *checker) exits(i int, q *Queue) {
	known := c.queueNames()
	for _, e := range c.cfg.exits(q) {
		at := index("queues", i, e.name)
		if _, given := c.at[at]; !given || c.bad[at] || c.bad[at+".queue"] || c.bad[at+".hang_up"] {
			continue
		}
		switch {
		case e.Queue != "" && e.HangUp != "":
			c.wrong(at, "keep one of them", "callers can't both wait in queue %s and be hung up", e.Queue)
		case e.Queue != "" && !slices.Contains(known, e.Queue):
			c.wrong(at+".queue", didYouMean(e.Queue, known), "queue %s doesn't exist", quote(e.Queue))
		case !e.limit && !c.badLimit(i):
			c.wrong(at, "add "+e.needs, "no caller ever comes to %s of queue %s", e.name, q.Name)
		}
	}
}

// badLimit says that a limit of queue i couldn't be read.
func (c *checker) badLimit(i int) bool {
	return c.badBelow("tiers") || slices.ContainsFunc([]string{"max_waiting", "max_wait", "join_empty", "leave_empty"}, func(name string) bool {
		return c.bad[index("queues", i, name)]
	})
}

// exitCircle tells of a call that would never come to an end.
func (c *checker) exitCircle() {
	p := c.cfg.Policy()
	way := p.ExitCircle()
	if way == nil {
		return
	}
	for i, q := range c.cfg.Queues {
		if q.Name == string(way[0]) {
			c.wrong(index("queues", i, "name"), "let one of them hang up",
				"exits lead in a circle: %s", fmt.Sprint(append(way, way[0])))
			return
		}
	}
}
