package ivr

import "strings"

// graph is a flow as steps and the ways between them, to be checked as a whole.
type graph struct {
	flow           *Flow
	start, tooLong target
	names          []string // of all steps, in the order of the file
	at             map[string]position
}

// check reports ways that lead nowhere, steps that no way leads to, and circles a silent caller
// would never leave.
func (g *graph) check(r *reader) {
	flow := r.where
	g.resolve(r, g.start)
	g.resolve(r, g.tooLong)
	if to, ok := g.flow.steps[g.tooLong.step]; ok && to.exits() != nil {
		r.problem(g.tooLong.pos, "name a queue or hang_up step", "too_long leads to %q, where the flow goes on", g.tooLong.step)
	}
	for _, name := range g.names {
		if a := g.flow.steps[name]; a != nil {
			r.where = flow + ", step " + name
			done := map[target]bool{}
			for _, e := range a.exits() {
				if !done[e.target] {
					done[e.target] = true
					g.resolve(r, e.target)
				}
			}
		}
	}
	r.where = flow
	g.reach(r)
	g.circles(r)
}

func (g *graph) has(step string) bool { _, ok := g.at[step]; return ok }

// resolve reports a target that doesn't exist. A missing one has been reported where it was read.
func (g *graph) resolve(r *reader, t target) {
	if t.step != "" && !g.has(t.step) {
		r.problem(t.pos, suggest(t.step, g.names), "unknown step %q", t.step)
	}
}

// meant is the step a target names or, when it is misspelt, probably means: one mistake should
// not make the steps behind it unreachable too.
func (g *graph) meant(step string) string {
	if step == "" || g.has(step) {
		return step
	}
	return Nearest(step, g.names)
}

func (g *graph) reach(r *reader) {
	if g.start.step == "" {
		return // then nothing is reached, and that has been said
	}
	seen := map[string]bool{}
	todo := []string{g.start.step, g.tooLong.step}
	for len(todo) > 0 {
		step := g.meant(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		if seen[step] {
			continue
		}
		seen[step] = true
		if a := g.flow.steps[step]; a != nil {
			for _, e := range a.exits() {
				todo = append(todo, e.step)
			}
		}
	}
	for _, name := range g.names {
		if !seen[name] {
			r.problem(g.at[name], "lead to it from another step, or remove it", "step %q is never reached", name)
		}
	}
}

// circles reports each circle of ways that need no key of the caller: who keeps silent, or has
// hung up without our hearing of it, would go round for ever.
func (g *graph) circles(r *reader) {
	const onPath, finished = 1, 2
	state, reported := map[string]int{}, map[string]bool{}
	var path []string
	var walk func(step string)
	walk = func(step string) {
		state[step] = onPath
		path = append(path, step)
		for _, e := range g.flow.steps[step].exits() {
			if !e.silent || g.flow.steps[e.step] == nil {
				continue
			}
			switch state[e.step] {
			case 0:
				walk(e.step)
			case onPath:
				g.circle(r, path, e, reported)
			}
		}
		path = path[:len(path)-1]
		state[step] = finished
	}
	for _, name := range g.names {
		if g.flow.steps[name] != nil && state[name] == 0 {
			walk(name)
		}
	}
}

func (g *graph) circle(r *reader, path []string, back exit, reported map[string]bool) {
	from := len(path) - 1
	for path[from] != back.step {
		from--
	}
	way := strings.Join(append(path[from:len(path):len(path)], back.step), " -> ")
	if reported[way] {
		return
	}
	reported[way] = true
	r.problem(back.pos, "lead one of them to a queue or hang_up step",
		"a caller who presses no key goes round for ever: %s", way)
}
