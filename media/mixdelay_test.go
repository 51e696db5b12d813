package media_test

import (
	"testing"
	"time"

	"hotline/media"
)

// What one of three says reaches another through the mix over real sockets soon; how soon to a millisecond is asserted in
// virtual time, where no other work of the machine counts.
func TestMixDelayOverSockets(t *testing.T) {
	const generous = time.Second
	tr := &trial{path: path{name: "mixed", from: media.PCMA, to: media.PCMU, mixed: true}, network: network{name: "clean", fate: random(0)}, signal: tone, seed: 1}
	tr.start(t)()
	t.Log(tr.summary)
	if tr.after == 0 || tr.after > generous {
		t.Errorf("heard %v after it was said", tr.after)
	}
}
