package routing

// Redact returns ev without what tells who called: numbers of callers and ids of
// customers become hide(kind, value), with the kind "number" or "customer". An
// empty one stays empty. What hide gives must be equal for equal values and
// different for different ones; then the decisions are the same. Ids of calls,
// which this server made up, numbers dialled and names of agents stay.
func Redact(ev Event, hide func(kind, value string) string) Event {
	switch ev := ev.(type) {
	case CallArrived:
		ev.Number = redact("number", ev.Number, hide)
		return ev
	case CallIdentified:
		ev.Customer = redact("customer", ev.Customer, hide)
		return ev
	default:
		return ev
	}
}

// Redact does the same to a state.
func (f *Frozen) Redact(hide func(kind, value string) string) {
	for i := range f.wire.Calls {
		facts := &f.wire.Calls[i].Facts
		facts.Number = redact("number", facts.Number, hide)
		facts.Customer = redact("customer", facts.Customer, hide)
	}
}

func redact[T ~string](kind string, value T, hide func(kind, value string) string) T {
	if value == "" {
		return value
	}
	return T(hide(kind, string(value)))
}
