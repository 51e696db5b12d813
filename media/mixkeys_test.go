package media

import (
	"testing"
	"time"
)

// Keys reach those in a mix who hear who presses them, and who takes the party's digits, as in a bridge.
func TestKeysCrossAMix(t *testing.T) {
	all := mixedPhones(t, PCMA, PCMU, G722)
	caller, agent, supervisor := all[0], all[1], all[2]
	m := caller.near.engine.NewMix()
	join(t, m, caller, Everyone)
	join(t, m, agent, Everyone)
	join(t, m, supervisor, Nobody)
	send := func(from *mixed, keys string) {
		t.Helper()
		for _, k := range []byte(keys) {
			if err := from.far.SendDigit(k, 100*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range []byte(keys) {
			if d := wait(t, "the key at the hotline", from.near.Digits()); d.Key != k {
				t.Fatalf("the hotline got %c of %s, want %c", d.Key, from.name, k)
			}
		}
	}
	hears := func(who *mixed, keys string) {
		t.Helper()
		for _, k := range []byte(keys) {
			d := wait(t, "keys at the "+who.name, who.far.Digits())
			if d.Key != k || d.Duration != 100*time.Millisecond {
				t.Fatalf("%s hears %c for %v, want %c", who.name, d.Key, d.Duration, k)
			}
		}
	}
	send(caller, "12")
	hears(agent, "12")
	hears(supervisor, "12")
	send(supervisor, "8") // nobody hears it
	join(t, m, supervisor, Only(agent.near))
	send(supervisor, "9")
	hears(agent, "9")
	join(t, m, supervisor, Everyone)
	send(supervisor, "#")
	hears(agent, "#")
	hears(caller, "#")
	send(agent, "*")
	hears(caller, "*")
	hears(supervisor, "*")
	m.Close()
}

// A press whose beginning a bridge has passed on doesn't count again.
func TestMixLeavesOutKeysFromBefore(t *testing.T) {
	s := &mixSeat{joined: time.Second}
	s.pressed(press{key: '1', at: time.Second - 1})
	s.pressed(press{key: '2', at: time.Second})
	if keysOf(s.keys) != "2" {
		t.Errorf("%q are passed on", keysOf(s.keys))
	}
	for range 2 * maxDigits {
		s.pressed(press{key: '3', at: time.Minute})
	}
	if len(s.keys) != maxDigits {
		t.Errorf("%d keys wait", len(s.keys))
	}
}
