package routing

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxChanges bounds what PolicyApplied tells.
const maxChanges = 200

// Changes tells how the policy p differs from old, one line for each setting:
// "queues.sales.wrap_up: 10s → 20s". Queues, seats and tiers go by name.
func (p *Policy) Changes(old *Policy) []string {
	var out []string
	changes("", reflect.ValueOf(*old), reflect.ValueOf(*p), &out)
	if n := len(out); n > maxChanges {
		out = append(out[:maxChanges], fmt.Sprintf("and %d more", n-maxChanges))
	}
	return out
}

// changes appends the differences between two values of one type below path.
func changes(path string, old, now reflect.Value, out *[]string) {
	switch {
	case reflect.DeepEqual(old.Interface(), now.Interface()):
	case old.Kind() == reflect.Slice && old.Len()+now.Len() == 0: // one isn't nil
	case old.Kind() == reflect.Struct:
		for i := range old.NumField() {
			f := old.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			below := path
			if name != "" {
				below = strings.TrimPrefix(path+"."+name, ".")
			}
			changes(below, old.Field(i), now.Field(i), out)
		}
	case old.Kind() == reflect.Slice && old.Type().Elem().Kind() == reflect.Struct:
		listChanges(path, old, now, out)
	default:
		*out = append(*out, fmt.Sprintf("%s: %s → %s", path, text(old), text(now)))
	}
}

// listChanges compares what has the same name; what has none, by its number.
func listChanges(path string, old, now reflect.Value, out *[]string) {
	was, is := byName(old), byName(now)
	names := slices.Collect(maps.Keys(was))
	for n := range is {
		if _, both := was[n]; !both {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		a, before := was[n]
		b, after := is[n]
		below := path + "." + n
		switch {
		case before && after:
			changes(below, a, b, out)
		case after:
			*out = append(*out, below+" added")
		default:
			*out = append(*out, below+" removed")
		}
	}
}

// byName has each element by its name.
func byName(list reflect.Value) map[string]reflect.Value {
	m := make(map[string]reflect.Value, list.Len())
	for i := range list.Len() {
		m[nameOf(list, i)] = list.Index(i)
	}
	return m
}

// nameOf is the name of element i: its ID, Tier, Name or Queue, else its number from 1.
func nameOf(list reflect.Value, i int) string {
	for _, key := range []string{"ID", "Tier", "Name", "Queue"} {
		if f := list.Index(i).FieldByName(key); f.IsValid() {
			return fmt.Sprint(f.Interface())
		}
	}
	return fmt.Sprint(i + 1)
}

func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Duration:
		return x.String()
	case *Exit:
		switch {
		case x == nil:
			return "none"
		case x.Queue != "":
			return "queue " + string(x.Queue)
		default:
			return "hang up " + x.Prompt
		}
	}
	if v.Kind() == reflect.String && v.Len() == 0 || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "none"
	}
	return fmt.Sprint(v.Interface())
}
