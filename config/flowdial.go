package config

import "strings"

// flowDials finds what a flow can't dial: what is neither a number that its right allows
// and a route leads to, nor an agent or an agent's extension.
func (c *checker) flowDials(flow, to string) (what, hint string) {
	if e, ok := c.cfg.Extension(to); ok {
		if e.Agent == "" {
			return "extension " + quote(to) + " is no agent's", "lead to a queue by a queue step"
		}
		return "", ""
	}
	if _, ok := c.cfg.Agent(to); ok || c.badBelow("outbound") || c.badBelow("trunks") || c.badBelow("agents") || c.badBelow("extensions") {
		return "", ""
	}
	o := &c.cfg.Outbound
	number, right := o.Number(to), c.cfg.FlowRight(flow)
	switch {
	case strings.Trim(strings.TrimPrefix(to, "+"), "0123456789") != "" || len(to) < 2:
		return quote(to) + " is neither a number nor an agent", `write a number such as "+861095599"`
	case right == nil:
		return "flow " + quote(flow) + " has no right to call the outside", "name it in the flows of one of outbound.rights"
	case !right.Reaches(to, number):
		return "right " + quote(right.Name) + " doesn't allow " + quote(to), "add the number to its allow"
	case len(o.TrunksFor(number)) == 0:
		return "no route leads to " + quote(to), "add one to outbound.routes"
	}
	return "", ""
}
