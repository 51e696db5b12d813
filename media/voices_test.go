package media

import "testing"

// RecordVoices begins a recording of a leg; stop gives what is on its two channels. It is set by tests outside of the package, for recording
// imports it.
var RecordVoices func(t *testing.T) (tap func(Voice), stop func() (left, right []int16))
