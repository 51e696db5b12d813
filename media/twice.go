package media

import "time"

// twiceWithin is how far apart a key press may come that a phone sends both ways, as telephone-event and as
// SIP INFO: signalling may have a long way, or be sent again.
const twiceWithin = time.Second

// twice tells a key press that came the other way already. Its zero value has seen none. Guarded by the leg's
// lock.
type twice struct {
	once *[8]onceCome // nil: no key was pressed yet, as in most calls
	next int
}

// onceCome is a press that came one way so far; a zero key is none.
type onceCome struct {
	key  byte
	info bool
	at   time.Duration
}

// again tells whether a press that began and ended at those times has come the other way; if not, it is
// remembered. Each press is good for one of the other way.
func (t *twice) again(key byte, info bool, began, ended time.Duration) bool {
	if t.once == nil {
		t.once = new([8]onceCome)
	}
	for i, o := range t.once {
		if o.key == key && o.info != info && o.at >= began-twiceWithin && o.at <= ended+twiceWithin {
			t.once[i] = onceCome{}
			return true
		}
	}
	t.once[t.next] = onceCome{key, info, ended}
	t.next = (t.next + 1) % len(t.once)
	return false
}
