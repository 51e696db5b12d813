package ivr

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// position is a place in the YAML file, both from 1; zero when unknown.
type position struct{ line, column int }

func positionOf(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key // a block's own token is its first colon
	}
	if n == nil {
		return position{}
	}
	return tokenPosition(n.GetToken())
}

func tokenPosition(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}

// reader turns YAML nodes into values and notes everything that is wrong with them.
type reader struct {
	problems []Problem
	where    string // "flow main, step hello", for the messages
}

func (r *reader) problem(at position, hint, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if r.where != "" {
		what = r.where + ": " + what
	}
	r.problems = append(r.problems, Problem{Line: at.line, Column: at.column, What: what, Hint: hint})
}

// field is one key of a mapping with its value. Fields are only made for values that are there.
type field struct {
	name  string
	at    position // of the name
	value ast.Node
}

// plain takes anchors and tags off a node; nil when there is nothing in it.
func (r *reader) plain(n ast.Node) ast.Node {
	for {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			n = v.Value
		case *ast.AliasNode:
			r.problem(positionOf(v), "write the value out", "aliases are not read in flows")
			return nil
		case *ast.NullNode:
			return nil
		default:
			return n
		}
	}
}

// mapping reads the fields of a mapping in the order of the file. What says what is expected.
func (r *reader) mapping(n ast.Node, at position, what string) []field {
	before := len(r.problems)
	node := r.plain(n)
	if node == nil {
		if len(r.problems) == before {
			r.problem(at, "give it "+what, "nothing here")
		}
		return nil
	}
	m, ok := node.(ast.MapNode)
	if !ok {
		r.problem(positionOf(node), "give it "+what, "a mapping is needed here")
		return nil
	}
	var fields []field
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		key := it.Key()
		at := positionOf(key)
		switch key.(type) {
		case *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.AliasNode, *ast.AnchorNode, *ast.TagNode:
			r.problem(at, "write the name plainly, then a colon", "this kind of key is not read in flows")
			continue
		}
		name := key.GetToken().Value
		if seen[name] {
			r.problem(at, "remove one", "%s is given twice", name)
			continue
		}
		seen[name] = true
		fields = append(fields, field{name, at, it.Value()})
	}
	return fields
}

// record reads a mapping with a fixed set of names; each may be missing.
func (r *reader) record(n ast.Node, at position, what string, names ...string) map[string]field {
	out := map[string]field{}
	for _, f := range r.mapping(n, at, what) {
		if !contains(names, f.name) {
			r.problem(f.at, suggest(f.name, names), "unknown field %q", f.name)
			continue
		}
		out[f.name] = f
	}
	return out
}

// text reads a scalar. It reports what is none, and what is empty.
func (r *reader) text(f field) (string, position, bool) {
	before := len(r.problems)
	node := r.plain(f.value)
	switch v := node.(type) {
	case nil:
		if len(r.problems) == before {
			r.problem(f.at, "give it a value or remove it", "%s is empty", f.name)
		}
		return "", f.at, false
	case *ast.LiteralNode:
		return r.filled(f, strings.TrimSpace(v.Value.Value), positionOf(v))
	case ast.ScalarNode:
		return r.filled(f, v.GetToken().Value, positionOf(v))
	}
	r.problem(positionOf(node), "write it on one line, without brackets", "%s must be a single value", f.name)
	return "", f.at, false
}

func (r *reader) filled(f field, text string, at position) (string, position, bool) {
	if text == "" {
		r.problem(at, "give it a value or remove it", "%s is empty", f.name)
	}
	return text, at, text != ""
}

// list reads a list of scalars, or one scalar as a list of one.
func (r *reader) list(f field) []field {
	seq, ok := r.plain(f.value).(*ast.SequenceNode)
	if !ok {
		return []field{f}
	}
	var out []field
	for _, v := range seq.Values {
		out = append(out, field{name: "an entry of " + f.name, at: positionOf(seq), value: v})
	}
	return out
}

// duration reads a span of time such as 5s within lo and hi; a missing one is def.
func (r *reader) duration(f field, lo, hi, def time.Duration) time.Duration {
	if f.name == "" {
		return def
	}
	text, at, ok := r.text(f)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < lo || d > hi {
		r.problem(at, fmt.Sprintf("give it a time from %s to %s, such as %s", Span(lo), Span(hi), Span(def)),
			"%s is %q", f.name, text)
		return def
	}
	return d
}

// number reads an integer within lo and hi; a missing one is def.
func (r *reader) number(f field, lo, hi, def int) int {
	if f.name == "" {
		return def
	}
	text, at, ok := r.text(f)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lo || n > hi {
		r.problem(at, fmt.Sprintf("give it a number from %d to %d", lo, hi), "%s is %q", f.name, text)
		return def
	}
	return n
}

// yesNo reads true or false; a missing one is def.
func (r *reader) yesNo(f field, def bool) bool {
	if f.name == "" {
		return def
	}
	text, at, ok := r.text(f)
	if ok && text != "true" && text != "false" {
		r.problem(at, "write true or false", "%s is %q", f.name, text)
		return def
	}
	return ok && text == "true" || !ok && def
}

// Span writes a time as people do in YAML: 1m, not 1m0s.
func Span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
