package media

import "testing"

// A talk may be far longer than half a turn of the sequence numbers, which is eleven minutes.
func TestLongTalkIsRelayedToItsEnd(t *testing.T) {
	l := newLine(t, PCMA)
	peer := new(Leg)
	l.bridge(peer)
	in := frame(7, 160)
	for i := range 3 << 16 {
		l.relay(peer, in, l.now)
		if l.packets != uint64(i+1) {
			t.Fatalf("packet %d was not sent", i)
		}
		in.seq++
		in.ts += frameSamples
		l.now += ptime
	}
}
