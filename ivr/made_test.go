package ivr

import "testing"

func TestMadeSoundsAreThereWithoutFiles(t *testing.T) {
	p, err := Load("", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{HoldMusic, RingBack} {
		if !p.Has(name) || p.Get(name, "zh") == nil || p.Get(name, "zh") != p.Get(name, "en") {
			t.Errorf("%s is not there, or not shared by the languages", name)
		}
	}
	if p.Has("no-such-sound") || p.Get("no-such-sound", "zh") != nil {
		t.Error("a sound that nobody made")
	}
}
