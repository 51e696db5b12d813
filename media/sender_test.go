package media

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

// line is a sender under a clock that the test turns, and the phone's ear at its other end.
type line struct {
	*sender
	ear *phone
	now time.Duration
}

func newLine(t *testing.T, codec Codec) *line {
	t.Helper()
	l := &line{sender: new(sender), ear: newPhone(t, codec)}
	l.init(openSocket(t))
	l.agree(agreement{wanted: true, voice: format{codec.PayloadType(), codec}, keys: format{96, event}})
	l.redirect(addrOf(l.ear.rtp))
	return l
}

// tick lets the next beat of the grid come and returns what was sent.
func (l *line) tick() []*rtp.Packet {
	l.now = l.now.Truncate(ptime) + ptime
	return l.sentBy(func() { l.beat(l.now) })
}

// sentBy returns the packets that act sends.
func (l *line) sentBy(act func()) (sent []*rtp.Packet) {
	before := l.packets
	act()
	for range l.packets - before {
		sent = append(sent, l.ear.hear())
	}
	return sent
}

// frame is a voice packet of the bridge's other leg.
func frame(seq uint16, ts uint32) incoming {
	return incoming{seq: seq, ts: ts, codec: PCMA, payload: bytes.Repeat([]byte{0x11}, frameSamples)}
}

// continuous checks one SSRC, consecutive numbers, and timestamps that never overlap nor leave more
// than 60 ms between two frames.
func continuous(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i, p := range packets[1:] {
		before := packets[i]
		if p.SSRC != before.SSRC {
			t.Errorf("packet %d: the SSRC changed", i+1)
		}
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Errorf("packet %d: number %d after %d", i+1, p.SequenceNumber, before.SequenceNumber)
		}
		if step := p.Timestamp - before.Timestamp; step < frameSamples || step > 3*frameSamples {
			t.Errorf("packet %d: the timestamp moved on by %d", i+1, int32(step))
		}
	}
}

func TestOneStreamOverSilenceClipBridgeAndClip(t *testing.T) {
	l := newLine(t, PCMA)
	var all []*rtp.Packet
	marked := func(what string, sent []*rtp.Packet, want bool) {
		t.Helper()
		if len(sent) != 1 {
			t.Fatalf("%s: %d packets, want 1", what, len(sent))
		}
		if sent[0].Marker != want {
			t.Errorf("%s: marker %v, want %v", what, sent[0].Marker, want)
		}
		all = append(all, sent...)
	}
	clip := Tone(440, time.Second, 0.5)
	play := func() {
		p := &Playback{audio: clip, frames: clip.Frames(), done: make(chan struct{}), sender: l.sender}
		l.setPlay(p)
	}
	marked("first silence", l.tick(), true)
	marked("silence", l.tick(), false)
	play()
	marked("clip begins", l.tick(), true)
	marked("clip", l.tick(), false)

	peer := new(Leg)
	l.bridge(peer)
	marked("bridged, nothing came yet", l.tick(), true)
	for i := range 10 {
		l.now += 7 * time.Millisecond // the other phone's grid lies elsewhere
		marked("bridge", l.sentBy(func() { l.relay(peer, frame(uint16(65530+i), uint32(5000+i*frameSamples)), l.now) }), i == 0)
		l.now -= 7 * time.Millisecond
		if sent := l.tick(); len(sent) != 0 {
			t.Fatal("silence was mixed into the bridge")
		}
	}
	l.bridge(nil)
	play()
	sent := l.tick()
	if len(sent) == 0 { // one beat may be left out to get level with the clock
		sent = l.tick()
	}
	marked("clip after the bridge", sent, true)
	marked("clip after the bridge", l.tick(), false)
	continuous(t, all)
}

func TestBridgeKeepsLossesVisible(t *testing.T) {
	l := newLine(t, PCMA)
	peer := new(Leg)
	l.bridge(peer)
	relay := func(i int) []*rtp.Packet {
		l.now = time.Duration(i) * ptime
		return l.sentBy(func() { l.relay(peer, frame(uint16(i), uint32(i*frameSamples)), l.now) })
	}
	first := relay(10)[0]
	second := relay(13)[0] // 11 and 12 were lost
	if second.SequenceNumber-first.SequenceNumber != 3 || second.Timestamp-first.Timestamp != 3*frameSamples {
		t.Errorf("the loss of two went on as %d numbers, %d units", second.SequenceNumber-first.SequenceNumber, second.Timestamp-first.Timestamp)
	}
	tardy := relay(12)[0]
	if tardy.SequenceNumber != second.SequenceNumber-1 {
		t.Errorf("a late packet got number %d, want its place before %d", tardy.SequenceNumber, second.SequenceNumber)
	}
	if sent := relay(9); len(sent) != 0 {
		t.Error("a packet from before the bridge was given a number already used")
	}
}

func TestPeerFallsSilentInABridge(t *testing.T) {
	l := newLine(t, PCMA)
	peer := new(Leg)
	l.bridge(peer)
	all := l.sentBy(func() { l.relay(peer, frame(1, 160), l.now) })
	for l.now < fillAfter-ptime {
		if sent := l.tick(); len(sent) != 0 {
			t.Fatalf("filled with silence after %v already", l.now)
		}
	}
	if sent := l.tick(); len(sent) != 1 || !sent[0].Marker {
		t.Fatalf("%d packets when the other side was silent for %v, want one with a marker", len(sent), l.now)
	} else if step := sent[0].Timestamp - all[0].Timestamp; step != 1600 {
		t.Errorf("the timestamp moved on by %d over 200 ms, want 1600", step)
	}
	again := l.sentBy(func() { l.relay(peer, frame(50, 9000), l.now) })
	if len(again) != 1 || again[0].SequenceNumber != all[0].SequenceNumber+2 || !again[0].Marker {
		t.Errorf("speech after silence must go on with the next number and a marker: %v", again)
	}
}

func TestOnlyTheBridgedLegIsRelayed(t *testing.T) {
	l := newLine(t, PCMA)
	peer, stranger := new(Leg), new(Leg)
	l.bridge(peer)
	if sent := l.sentBy(func() { l.relay(stranger, frame(1, 160), 0) }); len(sent) != 0 {
		t.Error("a leg that is not in the bridge was relayed")
	}
	l.bridge(nil)
	if sent := l.sentBy(func() { l.relay(peer, frame(1, 160), 0) }); len(sent) != 0 {
		t.Error("a packet after the bridge's end was relayed")
	}
}

func TestHeldPhoneHearsNothing(t *testing.T) {
	l := newLine(t, PCMA)
	before := l.tick()[0]
	l.agree(agreement{voice: l.voice, keys: l.keys})
	for range 5 {
		if sent := l.tick(); len(sent) != 0 {
			t.Fatal("sent to a phone that holds us")
		}
	}
	l.agree(agreement{wanted: true, voice: l.voice, keys: l.keys})
	after := l.tick()[0]
	if after.SequenceNumber != before.SequenceNumber+1 || after.Timestamp-before.Timestamp != 6*frameSamples {
		t.Errorf("resumed %d numbers and %d units later; want 1 and %d", after.SequenceNumber-before.SequenceNumber, after.Timestamp-before.Timestamp, 6*frameSamples)
	}
}

func TestTelephoneEventIsRelayed(t *testing.T) {
	l := newLine(t, PCMA)
	peer := new(Leg)
	l.bridge(peer)
	ev := func(seq uint16, dur uint16, end bool) incoming {
		payload := make([]byte, 4)
		telephoneEvent{5, end, dur}.put(payload)
		return incoming{seq: seq, ts: 320, codec: event, payload: payload}
	}
	voice := l.sentBy(func() { l.relay(peer, frame(1, 160), l.now) })[0]
	var events []*rtp.Packet
	for i, in := range []incoming{ev(2, 160, false), ev(3, 320, false), ev(4, 320, true)} {
		l.now = time.Duration(i+1) * ptime
		events = append(events, l.sentBy(func() { l.relay(peer, in, l.now) })...)
	}
	for _, p := range events {
		if p.PayloadType != 96 || p.Timestamp != voice.Timestamp+160 {
			t.Errorf("event with type %d at %d, want 96 at one and the same timestamp %d", p.PayloadType, p.Timestamp, voice.Timestamp+160)
		}
	}
	// The phone takes no events: they are left out without a hole in the numbers.
	l.agree(agreement{wanted: true, voice: l.voice})
	if sent := l.sentBy(func() { l.relay(peer, ev(5, 480, true), l.now) }); len(sent) != 0 {
		t.Error("an event went to a phone that takes none")
	}
	next := l.sentBy(func() { l.relay(peer, frame(6, 320+480), l.now) })[0]
	if next.SequenceNumber != events[2].SequenceNumber+1 {
		t.Errorf("voice after a left-out event has number %d, want %d", next.SequenceNumber, events[2].SequenceNumber+1)
	}
}

func TestOwnDigitReplacesSound(t *testing.T) {
	l := newLine(t, PCMA)
	all := l.tick()
	l.digits.add(7, 60*time.Millisecond)
	for range 5 {
		all = append(all, l.tick()...)
	}
	all = append(all, l.tick()...)
	var r digitReader
	var got []press
	for i, p := range all {
		if i > 0 && p.SequenceNumber != all[i-1].SequenceNumber+1 {
			t.Errorf("packet %d has number %d after %d", i, p.SequenceNumber, all[i-1].SequenceNumber)
		}
		if p.PayloadType != 96 {
			continue
		}
		e, _ := parseEvent(p.Payload)
		done, n := r.packet(p.Timestamp, e, 0)
		got = append(got, done[:n]...)
	}
	if keysOf(got) != "7" || got[0].duration != 60*time.Millisecond {
		t.Errorf("the phone reads %+v, want 7 for 60 ms", got)
	}
	if last := all[len(all)-1]; last.PayloadType != 8 {
		t.Error("no sound after the digit")
	}
}

// However sources alternate and whatever the other leg's numbers do: our numbers go on without a hole
// unless the other leg's had one, and timestamps of new packets never go back.
func TestStreamNeverBreaks(t *testing.T) {
	l := newLine(t, PCMA)
	rapid.Check(t, func(t *rapid.T) {
		peer := new(Leg)
		l.bridge(peer)
		var last *rtp.Packet
		in := frame(rapid.Uint16().Draw(t, "seq"), rapid.Uint32().Draw(t, "ts"))
		generation := uint32(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			var sent []*rtp.Packet
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0: // another stream
				generation++
				in = frame(rapid.Uint16().Draw(t, "seq"), rapid.Uint32().Draw(t, "ts"))
			case 1: // rebridged
				l.bridge(peer)
			case 2: // a pause
				l.now += time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond
				in.ts += uint32(rapid.IntRange(0, 5000).Draw(t, "drift"))
			case 3, 4, 5:
				sent = l.tick()
			default:
				in.generation = generation
				l.now += time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond
				sent = l.sentBy(func() { l.relay(peer, in, l.now) })
				in.seq++
				in.ts += frameSamples
			}
			for _, p := range sent {
				if last != nil && (p.SequenceNumber != last.SequenceNumber+1 || int32(p.Timestamp-last.Timestamp) < frameSamples) {
					t.Fatalf("number %d at %d came after %d at %d", p.SequenceNumber, p.Timestamp, last.SequenceNumber, last.Timestamp)
				}
				last = p
			}
		}
	})
}
