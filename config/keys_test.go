package config

import "testing"

// A call that any of several trunks may take is offered what they have in common.
func TestTrunkKeys(t *testing.T) {
	c := &Config{Trunks: []Trunk{{Name: "a", DTMF: "info"}, {Name: "b", DTMF: "info"}, {Name: "c", DTMF: "rfc4733"}, {Name: "d", DTMF: "any"}, {Name: "e"}}}
	for _, tc := range []struct {
		trunks []string
		want   string
	}{
		{nil, KeysAny}, {[]string{"x"}, KeysAny}, {[]string{"a"}, KeysInfo}, {[]string{"a", "b"}, KeysInfo}, {[]string{"c"}, KeysEvents},
		{[]string{"a", "c"}, KeysAny}, {[]string{"d", "a"}, KeysAny}, {[]string{"e"}, KeysAny},
	} {
		if got := c.TrunkKeys(tc.trunks...); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.trunks, got, tc.want)
		}
	}
}
