package config

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder fills a Config from the tree of a file. It goes on after a problem, so
// that all are found, and remembers where each value stands, by its path
// ("agents[2].queues[0]"), for the checks that follow.
type decoder struct {
	problems []Problem
	at       map[string]position
	// bad holds the paths whose value could not be read: checks leave them alone.
	bad map[string]bool
	// flows is the tree of the flows, which ivr reads.
	flows  ast.Node
	getenv func(string) (string, bool)
}

func newDecoder() *decoder {
	return &decoder{at: map[string]position{}, bad: map[string]bool{}, getenv: os.LookupEnv}
}

func (d *decoder) problem(p position, hint, what string, args ...any) {
	d.problems = append(d.problems, Problem{p.line, p.column, fmt.Sprintf(what, args...), hint})
}

// broken notes a problem with the value at path.
func (d *decoder) broken(path string, p position, hint, what string, args ...any) {
	d.bad[path] = true
	d.problem(p, hint, what, args...)
}

func (d *decoder) config(root ast.Node) *Config {
	cfg := &Config{}
	setDefaults(reflect.ValueOf(cfg).Elem())
	cfg.setOwnDefaults()
	d.structure(root, reflect.ValueOf(cfg).Elem(), "")
	return cfg
}

// value reads node into v as the field's tags say.
func (d *decoder) value(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	d.at[path] = start(node)
	if what := unsupported(node); what != "" {
		d.broken(path, start(node), "write the value out", "%s can't be used here", what)
		return
	}
	if v.Type() == flowsType {
		d.flows = node
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(node, v, path, tag)
	case v.Kind() == reflect.Struct:
		d.structure(node, v, path)
	case v.Kind() == reflect.Pointer: // to a struct: nil when it isn't there
		v.Set(reflect.New(v.Type().Elem()))
		setDefaults(v.Elem())
		d.structure(node, v.Elem(), path)
	case v.Kind() == reflect.Slice:
		d.list(node, v, path, tag)
	default:
		panic("config: no way to read a " + v.Type().String())
	}
}

// unsupported names what YAML has and this file doesn't need.
func unsupported(node ast.Node) string {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tag"
	}
	return ""
}

// notYet are fields that are known by name, and what they would do.
var notYet = map[reflect.Type]map[string]string{
	reflect.TypeFor[Exit](): {
		"callback": "call callers back", "voicemail": "take a message", "trunk": "pass callers on to a trunk",
	},
}

// pairs are the keys and values of a mapping.
func pairs(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func (d *decoder) structure(node ast.Node, v reflect.Value, path string) {
	values, ok := pairs(node)
	if !ok {
		names := fieldNames(v.Type())
		d.broken(path, start(node), "write the fields below it, such as "+names[0]+": ...",
			"%s must be a group of fields, not %s", title(path), kind(node))
		return
	}
	d.at[path] = start(node)
	seen := map[string]position{}
	for _, pair := range values {
		key := keyName(pair)
		index, known := fieldIndex(v.Type(), key)
		if !known {
			if what, planned := notYet[v.Type()][key]; planned {
				d.broken(path, start(pair.Key), "use queue or hang_up", "this version can't %s yet", what)
				continue
			}
			d.problem(start(pair.Key), didYouMean(key, fieldNames(v.Type())), "%s is no field of %s",
				quote(key), title(path))
			continue
		}
		if first, twice := seen[key]; twice {
			d.problem(start(pair.Key), fmt.Sprintf("the first one is at line %d", first.line), "%s is there twice", key)
			continue
		}
		seen[key] = start(pair.Key)
		field := v.Type().Field(index)
		if isNull(pair.Value) {
			d.broken(join(path, key), start(pair.Key), "give it one, or leave the field out", "%s has no value", key)
			continue
		}
		d.value(pair.Value, v.Field(index), join(path, key), field.Tag)
	}
	d.required(node, v, path, seen)
}

func (d *decoder) required(node ast.Node, v reflect.Value, path string, seen map[string]position) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("yaml")
		if field.Tag.Get("required") == "" || d.bad[join(path, name)] {
			continue
		}
		if p, given := seen[name]; given {
			if empty(v.Field(i)) && field.Type != flowsType {
				hint := cmp.Or(examples[field.Type.String()], "add an entry")
				d.broken(join(path, name), p, hint, "%s is empty", name)
			}
			continue
		}
		d.broken(join(path, name), start(node), "add "+name+": ...", "%s has no %s", title(path), name)
	}
	// sip.listen is missing too when sip is.
	if v.Type() == configType && seen["sip"] == (position{}) {
		d.broken("sip.listen", start(node), "add sip: {listen: [{network: udp, address: \"127.0.0.1:5060\"}]}",
			"the file has no sip.listen")
	}
}

func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func (d *decoder) list(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.broken(path, start(node), fmt.Sprintf("write [%s, ...] or one line with - for each", sample(v.Type().Elem())),
			"%s must be a list, not %s", last(path), kind(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	seen := map[any]bool{}
	for i, item := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		element := v.Index(i)
		if isNull(item) {
			d.at[at] = start(item)
			d.broken(at, start(item), "fill it in or remove it", "an entry of %s is empty", last(path))
			continue
		}
		if element.Kind() == reflect.Struct {
			setDefaults(element)
		}
		d.value(item, element, at, tag)
		if tag.Get("unique") != "" && !d.bad[at] {
			if seen[element.Interface()] {
				d.broken(at, start(item), "remove one", "%v is in %s twice", element.Interface(), last(path))
			}
			seen[element.Interface()] = true
		}
	}
}

var environment = regexp.MustCompile(`^\$\{([^{}]*)\}$`)

// text is the text of a scalar. Literal says that it must not be read as
// another type than a string: it was quoted.
func (d *decoder) text(node ast.Node, path string) (text string, literal, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		text, literal = n.Value, true
	case *ast.LiteralNode:
		text, literal = n.Value.Value, true
	case ast.ScalarNode:
		if t := n.GetToken(); t != nil {
			return t.Value, false, true
		}
		return "", false, false
	default:
		return "", false, false
	}
	m := environment.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return text, literal, true
	}
	value, set := d.getenv(m[1])
	if !set {
		d.broken(path, start(node), "set it before the server starts", "the environment has no %s", quote(m[1]))
		return "", false, false
	}
	return value, false, true
}

func keyName(pair *ast.MappingValueNode) string {
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value
	}
	if t := pair.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func isNull(node ast.Node) bool {
	if node == nil {
		return true
	}
	_, ok := node.(*ast.NullNode)
	return ok
}

// kind says what a node is, for people.
func kind(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	default:
		return "a text"
	}
}

func fieldIndex(t reflect.Type, name string) (int, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == name {
			return i, true
		}
	}
	return 0, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("yaml"))
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// last is the field's own name in a path: "queues" of "agents[2].queues[0]".
func last(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	name, _, _ := strings.Cut(path, "[")
	return name
}

// title names the group of fields at path, for people: "the file", "sip",
// "entry 3 of agents".
func title(path string) string {
	if path == "" {
		return "the file"
	}
	if !strings.HasSuffix(path, "]") {
		return path
	}
	open := strings.LastIndexByte(path, '[')
	n, _ := strconv.Atoi(path[open+1 : len(path)-1])
	return fmt.Sprintf("entry %d of %s", n+1, last(path))
}

// quote shows a text from the file, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return strconv.Quote(s)
}
