package media

import (
	"strings"
	"testing"

	"github.com/pion/rtp"
)

// A leg whose keys go another way neither offers nor takes events, however the session comes about.
func TestLegWithoutEvents(t *testing.T) {
	e := openEngine(t, nil)
	const theirs = "a=rtpmap:96 telephone-event/8000"
	for _, tc := range []struct {
		name string
		sdp  func(l *Leg) ([]byte, error)
	}{
		{"our offer", func(l *Leg) ([]byte, error) { return l.Offer() }},
		{"our answer", func(l *Leg) ([]byte, error) {
			return l.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 96", theirs))
		}},
		{"our offer, and an answer with events", func(l *Leg) ([]byte, error) {
			if _, err := l.Offer(); err != nil {
				return nil, err
			}
			return nil, l.SetAnswer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 96", theirs))
		}},
	} {
		for _, other := range []bool{false, true} {
			l := openLeg(t, e)
			if other {
				l.KeysBy(func(byte) {})
			}
			ours, err := tc.sdp(l)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(ours), "telephone-event"); got == other && ours != nil {
				t.Errorf("%s, another way %t: %q", tc.name, other, ours)
			}
			if err := l.SendDigit('1', minPress); ours == nil && (err == nil) == other {
				t.Errorf("%s, another way %t: sending events gives %v", tc.name, other, err)
			}
		}
	}
}

// Keys get from one side of a bridge to the other, though they travel in different ways: as events,
// or by signalling (INFO).
func TestKeysChangeTheirWay(t *testing.T) {
	e := openEngine(t, nil)
	events, info := newPhone(t, PCMA), newPhone(t, PCMA)
	a, b := events.call(e), openLeg(t, e)
	told := make(chan byte, 4)
	b.KeysBy(func(key byte) { told <- key })
	if _, err := b.Answer(info.offer()); err != nil {
		t.Fatal(err)
	}
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	events.press(a, '5', 160, false)
	for range 3 {
		events.press(a, '5', 320, true)
	}
	if key := wait(t, "the key of an event", told); key != '5' {
		t.Errorf("key %c", key)
	}
	if err := a.InjectDigit('7'); err != nil {
		t.Fatal(err)
	}
	if key := wait(t, "a key that came by signalling", told); key != '7' {
		t.Errorf("key %c", key)
	}
	if err := b.InjectDigit('*'); err != nil {
		t.Fatal(err)
	}
	pkt := events.hearUntil("an event", func(p *rtp.Packet) bool { return p.PayloadType == 96 })
	if ev, ok := parseEvent(pkt.Payload); !ok || keys[ev.code] != '*' {
		t.Errorf("event %v", ev)
	}
	if len(told) != 0 {
		t.Error("a key went back to whom it came from")
	}
}
