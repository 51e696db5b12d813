package routing

import (
	"reflect"
	"slices"
	"strings"
)

// Redact returns ev without what tells who called: numbers of callers, numbers that
// calls were diverted from and ids of customers become hide(kind, value), with the kind "number" or "customer". An
// empty one stays empty. What hide gives must be equal for equal values and
// different for different ones; then the decisions are the same. Ids of calls,
// which this server made up, numbers dialled and names of agents stay.
func Redact(ev Event, hide func(kind, value string) string) Event {
	switch ev := ev.(type) {
	case CallArrived:
		ev.Number = redact("number", ev.Number, hide)
		ev.Diversions = redactDiversions(ev.Diversions, hide)
		return ev
	case CallIdentified:
		ev.Customer = redact("customer", ev.Customer, hide)
		return ev
	default:
		return ev
	}
}

// Redact does the same to a state: to every Number and Customer in its lists.
func (f *Frozen) Redact(hide func(kind, value string) string) {
	wire := reflect.ValueOf(&f.wire).Elem()
	for i := range wire.NumField() {
		if list := wire.Field(i); list.Kind() == reflect.Slice {
			for j := range list.Len() {
				redactFields(list.Index(j), hide)
			}
		}
	}
}

func redactFields(v reflect.Value, hide func(kind, value string) string) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch name := v.Type().Field(i).Name; {
		case f.Kind() == reflect.Struct:
			redactFields(f, hide)
		case name == "Diversions":
			f.Set(reflect.ValueOf(redactDiversions(f.Interface().([]Diversion), hide)))
		case name == "Number" || name == "Customer":
			f.SetString(redact(strings.ToLower(name), f.String(), hide))
		}
	}
}

// redactDiversions copies the list: a state shares it.
func redactDiversions(list []Diversion, hide func(kind, value string) string) []Diversion {
	out := slices.Clone(list)
	for i := range out {
		out[i].Number = redact("number", out[i].Number, hide)
	}
	return out
}

func redact[T ~string](kind string, value T, hide func(kind, value string) string) T {
	if value == "" {
		return value
	}
	return T(hide(kind, string(value)))
}
