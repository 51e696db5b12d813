package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hotline/routing"
	"hotline/sip"
)

// Outbound says who may call the outside, and by which trunks.
type Outbound struct {
	// Region is the ISO 3166 code of the country that completes the national
	// numbers that are dialled. Default "CN".
	Region string `yaml:"region" default:"CN"`
	// Routes say which trunks take which numbers; the first one that matches
	// counts. Default: none, nobody can call the outside.
	Routes []Route `yaml:"routes"`
	// Rights name what may be dialled; agents and flows have one or none. Default:
	// none.
	Rights []Right `yaml:"rights"`
}

// Route is the way of some numbers.
type Route struct {
	// Prefix of the number, in E.164 ("+86") or, for short numbers, as it is
	// dialled ("110"). Default: any number.
	Prefix string `yaml:"prefix"`
	// Trunks that take the call, the next one when one is full or down.
	Trunks []string `yaml:"trunks" required:"yes" unique:"yes"`
}

// Right is what may be dialled by those who have it. Its limits hold for each of
// them.
type Right struct {
	// Name of the right.
	Name string `yaml:"name" required:"yes" word:"yes"`
	// Allow are the prefixes of the numbers that may be dialled, in E.164 ("+86",
	// "+" for all) or, for short numbers, as they are dialled ("110"). At least
	// one.
	Allow []string `yaml:"allow" required:"yes" unique:"yes"`
	// Deny are prefixes that may not, whatever Allow says. Default: none.
	Deny []string `yaml:"deny" unique:"yes"`
	// Hours when calls may begin, such as "Mon-Fri 09:00-18:00", in
	// routing.time_zone. Default: always.
	Hours []Hours `yaml:"hours"`
	// MaxCalls at once. 0 to 1000, default 1; 0: any number.
	MaxCalls int `yaml:"max_calls" default:"1" min:"0" max:"1000"`
	// MinutesPerDay are all calls of a day together, from midnight in
	// routing.time_zone; those in progress share what is left, and are ended when it is
	// used up. 0 to 100000, default 0: any time.
	MinutesPerDay int `yaml:"minutes_per_day" default:"0" min:"0" max:"100000"`
	// Flows that have this right. Default: none.
	Flows []string `yaml:"flows" unique:"yes"`
}

// Number is what was dialled in E.164, or as it is when it is no telephone number.
func (o *Outbound) Number(dialled string) string {
	if whole := sip.E164(dialled, o.Region); whole != "" {
		return whole
	}
	return dialled
}

// TrunksFor are the trunks that take a number; none when nobody does.
func (o *Outbound) TrunksFor(number string) []string {
	for _, r := range o.Routes {
		if strings.HasPrefix(number, r.Prefix) {
			return r.Trunks
		}
	}
	return nil
}

// Reaches tells whether the right's prefixes allow a number, as it was dialled and
// as [Outbound.Number] makes it: what is denied in either form is denied.
func (r *Right) Reaches(dialled, number string) bool {
	begins := func(p string) bool { return strings.HasPrefix(number, p) || strings.HasPrefix(dialled, p) }
	return !slices.ContainsFunc(r.Deny, begins) && slices.ContainsFunc(r.Allow, begins)
}

// Open tells whether calls may begin at t, in its time zone.
func (r *Right) Open(t time.Time) bool {
	minute := (int(t.Weekday()+6)%7*24+t.Hour())*60 + t.Minute()
	return len(r.Hours) == 0 || slices.ContainsFunc(r.Hours, func(h Hours) bool {
		windows, _ := h.windows() // read before
		return slices.ContainsFunc(windows, func(w routing.Window) bool {
			if w.From <= w.To {
				return minute >= w.From && minute < w.To
			}
			return minute >= w.From || minute < w.To
		})
	})
}

// AgentRight is what an agent may dial outside; nil: nothing.
func (c *Config) AgentRight(user string) *Right {
	a, ok := c.Agent(user)
	if !ok || a.Outbound == "" {
		return nil
	}
	for i, r := range c.Outbound.Rights {
		if r.Name == a.Outbound {
			return &c.Outbound.Rights[i]
		}
	}
	return nil
}

// FlowRight is what a flow may dial outside; nil: nothing.
func (c *Config) FlowRight(flow string) *Right {
	for i, r := range c.Outbound.Rights {
		if slices.Contains(r.Flows, flow) {
			return &c.Outbound.Rights[i]
		}
	}
	return nil
}

// Zone is the time zone of hours and days.
func (r *Routing) Zone() *time.Location {
	zone, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		return time.Local // check has refused it
	}
	return zone
}

// outbound checks rights and routes.
func (c *checker) outbound() {
	o := &c.cfg.Outbound
	c.region("outbound.region", o.Region)
	prefixes := map[string]string{}
	for i, r := range o.Routes {
		at := index("outbound.routes", i, "prefix")
		c.prefix(at, r.Prefix, true)
		twice(c, prefixes, r.Prefix, at, "prefix")
		c.outgoingTrunks(index("outbound.routes", i, "trunks"), r.Trunks)
	}
	names, flows := map[string]string{}, map[string]string{}
	for i, r := range o.Rights {
		at := func(field string) string { return index("outbound.rights", i, field) }
		twice(c, names, r.Name, at("name"), "right")
		for j, p := range r.Allow {
			c.prefix(index(at("allow"), j, ""), p, false)
		}
		for j, p := range r.Deny {
			c.prefix(index(at("deny"), j, ""), p, false)
		}
		for j, f := range r.Flows {
			entry := index(at("flows"), j, "")
			twice(c, flows, f, entry, "right of flow")
			if known := c.flowNames(); !slices.Contains(known, f) && !c.bad[entry] && !c.bad["flows"] {
				c.wrong(entry, didYouMean(f, known), "flow %s doesn't exist", quote(f))
			}
		}
	}
	for i, a := range c.cfg.Agents {
		at := index("agents", i, "outbound")
		if _, ok := names[a.Outbound]; !ok && a.Outbound != "" && !c.bad[at] && !c.badBelow("outbound.rights") {
			var known []string
			for _, r := range o.Rights {
				known = append(known, r.Name)
			}
			c.wrong(at, didYouMean(a.Outbound, known), "right %s doesn't exist", quote(a.Outbound))
		}
	}
}

// outgoingTrunks checks a list of trunks that calls leave by.
func (c *checker) outgoingTrunks(path string, names []string) {
	var out []string
	for i := range c.cfg.Trunks {
		if t := &c.cfg.Trunks[i]; len(t.Gateways) > 0 || c.badBelow(index("trunks", i, "gateways")) {
			out = append(out, t.Name)
		}
	}
	for j, name := range names {
		entry := index(path, j, "")
		if !slices.Contains(out, name) && !c.bad[entry] && !c.bad["trunks"] {
			c.wrong(entry, didYouMean(name, out), "no call leaves by trunk %s: there is none of that name with gateways", quote(name))
		}
	}
}

// prefix checks the beginning of a number.
func (c *checker) prefix(path, prefix string, maybeEmpty bool) {
	digits := strings.TrimPrefix(prefix, "+")
	if (prefix == "" && !maybeEmpty || strings.Trim(digits, "0123456789*#") != "" || len(prefix) > 32) && !c.bad[path] {
		c.wrong(path, fmt.Sprintf("write the beginning of a number, such as %q", "+86"), "%s begins no number", quote(prefix))
	}
}
