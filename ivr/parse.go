package ivr

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Refs are the names outside of the flows that steps may use.
type Refs struct {
	// Queues are the names of the queues.
	Queues []string
	// Prompts tells whether there is a prompt of that name. Nil takes every name.
	Prompts func(name string) bool
	// Dial tells what is wrong with what a flow dials, and what to do about it; "" is
	// nothing. Nil takes everything.
	Dial func(flow, to string) (what, hint string)
}

// Problem is one thing that is wrong in the flows of a config.
type Problem struct {
	Line, Column int    // in the file, from 1; 0 when there is no place to point at
	What         string // what is wrong, with flow and step
	Hint         string // what to do about it
}

// Limits of a flow.
const (
	defaultTimeLimit = 10 * time.Minute
	defaultTries     = 3
	maxTries         = 10
	maxDigits        = 32
	minWait, maxWait = time.Second, time.Minute
)

// Parse reads the mapping under "flows:". It returns everything that is wrong, in the order of
// the file; the flows may be used only when there are no problems. Node may be nil: no flows.
func Parse(node ast.Node, refs Refs) (map[string]*Flow, []Problem) {
	p := &flowReader{refs: refs}
	flows := map[string]*Flow{}
	if node == nil {
		return flows, nil
	}
	for _, f := range p.mapping(node, positionOf(node), "flows by name") {
		p.where, p.flowName = "flow "+f.name, f.name
		flows[f.name] = p.flow(f)
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return flows, p.problems
}

type flowReader struct {
	reader
	refs     Refs
	flowName string
	early    bool // the flow is heard before the answer
}

func (p *flowReader) flow(f field) *Flow {
	get := p.record(f.value, f.at, "start and steps", "start", "time_limit", "too_long", "early", "steps")
	flow := &Flow{Name: f.name, steps: map[string]action{}}
	flow.timeLimit = p.duration(get["time_limit"], 10*time.Second, time.Hour, defaultTimeLimit)
	if f, ok := get["early"]; ok {
		flow.early = p.duration(f, minEarly, maxEarly, 3*time.Minute)
	}
	p.early = flow.early > 0
	start := p.target(get["start"], f.at, "start", "name the step the flow begins with")
	var tooLong target
	if t, ok := get["too_long"]; ok {
		tooLong = p.target(t, t.at, "too_long", "")
	}
	flow.start, flow.tooLong = start.step, tooLong.step
	g := graph{flow: flow, start: start, tooLong: tooLong, at: map[string]position{}}
	if steps, ok := get["steps"]; !ok {
		p.problem(f.at, "write the steps by name", "steps are missing")
	} else {
		flowName := p.where
		for _, s := range p.mapping(steps.value, steps.at, "steps by name") {
			p.where = flowName + ", step " + s.name
			g.names = append(g.names, s.name)
			g.at[s.name] = s.at
			if a := p.step(s); a != nil {
				flow.steps[s.name] = a
			}
		}
		p.where = flowName
	}
	g.check(&p.reader)
	return flow
}

var actions = []string{"play", "menu", "collect", "branch", "echo", "dial", "answer", "queue", "hang_up"}

// step reads what one step does; nil when that can't be told.
func (p *flowReader) step(s field) action {
	fields := p.mapping(s.value, s.at, "one of "+strings.Join(actions, ", "))
	var known []field
	for _, f := range fields {
		if contains(actions, f.name) {
			known = append(known, f)
		} else {
			p.problem(f.at, suggest(f.name, actions), "unknown action %q", f.name)
		}
	}
	if len(known) == 0 {
		return nil
	}
	for _, f := range known[1:] {
		p.problem(f.at, "make it a step of its own", "a step does one thing, and this one has %s already", known[0].name)
	}
	switch f := known[0]; f.name {
	case "play":
		return p.play(f)
	case "menu":
		return p.menu(f)
	case "collect":
		return p.collect(f)
	case "branch":
		return p.branch(f)
	case "echo":
		return p.echo(f)
	case "dial":
		return p.dial(f)
	case "answer":
		return p.answer(f)
	case "queue":
		return p.queue(f)
	default:
		return p.hangUp(f)
	}
}

// target reads the name of a step. Whether there is such a step is seen when all are read.
func (p *flowReader) target(f field, at position, name, hint string) target {
	if f.name == "" {
		p.problem(at, hint, "%s is missing", name)
		return target{pos: at}
	}
	step, at, _ := p.text(f)
	return target{step, at}
}

// prompts reads a list of names of prompts.
func (p *flowReader) prompts(f field) []string {
	if f.name == "" {
		return nil
	}
	var out []string
	for _, e := range p.list(f) {
		name, at, ok := p.text(e)
		if !ok {
			continue
		}
		if p.refs.Prompts != nil && !p.refs.Prompts(name) {
			hint := `add ` + name + `.zh.wav or ` + name + `.en.wav to the folder of prompts`
			if near := Nearest(name, shippedNames()); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			p.problem(at, hint, "unknown prompt %q", name)
		}
		out = append(out, name)
	}
	return out
}

// neededPrompts is prompts where silence would leave the caller in the dark.
func (p *flowReader) neededPrompts(f, owner field) []string {
	out := p.prompts(f)
	if len(out) == 0 && f.name == "" {
		p.problem(owner.at, "list at least one: prompts: [welcome]", "prompts are missing")
	} else if seq, ok := p.plain(f.value).(*ast.SequenceNode); ok && len(seq.Values) == 0 {
		p.problem(f.at, "list at least one: prompts: [welcome]", "prompts are empty")
	}
	return out
}
