package config

import (
	"slices"
	"strings"

	"hotline/ivr"
)

// flowNames are the names in the tree, broken flows included, so that a mistake
// in a flow isn't told again for each number that leads there.
func (c *checker) flowNames() []string {
	values, _ := pairs(c.flows)
	var names []string
	for _, pair := range values {
		names = append(names, keyName(pair))
	}
	slices.Sort(names)
	return names
}

// sounds reads prompts and flows.
func (c *checker) sounds() {
	prompts := c.prompts()
	if prompts != nil {
		c.announcements(prompts)
		c.recordingPrompts(prompts)
		for i, q := range c.cfg.Queues {
			if at := index("queues", i, "music"); q.Music != "" && !c.bad[at] && !prompts.Has(q.Music) {
				c.wrong(at, didYouMean(q.Music, prompts.Names()), "prompt %s doesn't exist", quote(q.Music))
			}
			for _, e := range c.cfg.exits(&q) {
				if at := index("queues", i, e.name+".hang_up"); e.HangUp != "" && !c.bad[at] && !prompts.Has(e.HangUp) {
					c.wrong(at, didYouMean(e.HangUp, prompts.Names()), "prompt %s doesn't exist", quote(e.HangUp))
				}
			}
			for k, st := range q.Plan {
				at := index(index("queues", i, "plan"), k, "leave.hang_up")
				if st.Leave != nil && st.Leave.HangUp != "" && !c.bad[at] && !prompts.Has(st.Leave.HangUp) {
					c.wrong(at, didYouMean(st.Leave.HangUp, prompts.Names()), "prompt %s doesn't exist", quote(st.Leave.HangUp))
				}
			}
		}
	}
	if c.flows == nil {
		return
	}
	if len(c.flowNames()) == 0 {
		c.broken("flows", start(c.flows), "write one, such as main: ...", "flows must be a group of flows by name")
		return
	}
	refs := ivr.Refs{Queues: c.queueNames(), Dial: c.flowDials}
	if prompts != nil {
		refs.Prompts = prompts.Has
	}
	flows, problems := ivr.Parse(c.flows, refs)
	c.cfg.Flows = flows
	for _, p := range problems {
		at := position{p.Line, p.Column}
		if at.line < 1 || at.column < 1 {
			at = start(c.flows)
		}
		c.problem(at, p.Hint, "%s", p.What)
	}
}

// prompts are the recordings that can be played, nil when they can't be read.
func (c *checker) prompts() *ivr.Prompts {
	prompts, err := ivr.Load(c.cfg.Prompts.Dir, float64(c.cfg.Prompts.Level))
	if err != nil {
		text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", ", ")
		c.wrong("prompts.dir", "name a directory with files such as welcome.zh.wav", "%s", text)
		return nil
	}
	return prompts
}
