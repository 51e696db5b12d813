package config

import (
	"fmt"
	"slices"
)

// Extension is a short number that agents dial and transfer to. Exactly one of agent,
// queue and flow is its destination. The names of agents, queues and flows can be
// dialled, too.
type Extension struct {
	// Number in digits, 1 to 8 of them.
	Number string `yaml:"number" required:"yes"`
	// Agent whose phone rings. Default: none.
	Agent string `yaml:"agent"`
	// Queue that the caller is put into. Default: none.
	Queue string `yaml:"queue"`
	// Flow that the caller hears. Default: none.
	Flow string `yaml:"flow"`
}

// Extension returns the extension of that number.
func (c *Config) Extension(number string) (Extension, bool) {
	i := slices.IndexFunc(c.Extensions, func(e Extension) bool { return e.Number == number })
	if i < 0 {
		return Extension{}, false
	}
	return c.Extensions[i], true
}

func (c *checker) extensions() {
	var agents, flows []string
	for _, a := range c.cfg.Agents {
		agents = append(agents, a.User)
	}
	for name := range c.cfg.Flows {
		flows = append(flows, name)
	}
	slices.Sort(flows)
	seen := map[string]string{}
	for i, e := range c.cfg.Extensions {
		at := func(field string) string { return index("extensions", i, field) }
		twice(c, seen, e.Number, at("number"), "extension")
		if !c.bad[at("number")] && !isExtension(e.Number) {
			c.wrong(at("number"), "use 1 to 8 digits", "%s is no extension", quote(e.Number))
		}
		given := 0
		for _, d := range []struct {
			field, name string
			known       []string
		}{{"agent", e.Agent, agents}, {"queue", e.Queue, c.queueNames()}, {"flow", e.Flow, flows}} {
			if d.name == "" {
				continue
			}
			given++
			if !c.bad[at(d.field)] && !c.badBelow(d.field+"s") && !slices.Contains(d.known, d.name) {
				c.wrong(at(d.field), didYouMean(d.name, d.known), "%s %s doesn't exist", d.field, quote(d.name))
			}
		}
		if given != 1 {
			c.wrong(at(""), "name an agent, a queue or a flow", "extension %s leads to %s", e.Number, destinations(given))
		}
	}
}

func destinations(n int) string {
	if n == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d destinations", n)
}

func isExtension(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 8
}
