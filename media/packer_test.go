package media

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// packed is a line to a phone that wants packets of so many ms.
func packed(t *testing.T, codec Codec, ms int) *line {
	t.Helper()
	l := newLine(t, codec)
	to := l.agreement
	to.packing = packing{size: ms * clockRate / 1000}
	l.agree(to)
	return l
}

// joined checks that the packets are of so many ms and follow each other, and returns their sound.
func joined(t *testing.T, packets []*rtp.Packet, ms int) (all []byte) {
	t.Helper()
	for i, p := range packets {
		if len(p.Payload) != ms*clockRate/1000 {
			t.Errorf("packet %d has %d bytes, want %d ms", i, len(p.Payload), ms)
		}
		if i > 0 {
			before := packets[i-1]
			if p.SequenceNumber != before.SequenceNumber+1 || p.Timestamp != before.Timestamp+uint32(len(before.Payload)) {
				t.Errorf("packet %d: %v after %v", i, p.Header, before.Header)
			}
		}
		all = append(all, p.Payload...)
	}
	return all
}

// counting is sound whose every byte differs from those around it.
func counting(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

var lengths = []int{10, 20, 30, 40, 50, 60}

// Prompts come in packets of the length that the phone asks for, none of the sound missing.
func TestClipInPacketsOfTheWantedLength(t *testing.T) {
	clip := Tone(440, 600*time.Millisecond, 0.5)
	for _, ms := range lengths {
		t.Run(fmt.Sprint(ms), func(t *testing.T) {
			l := packed(t, PCMA, ms)
			l.setPlay(&Playback{audio: clip, frames: clip.Frames(), done: make(chan struct{}), sender: l.sender})
			var all []*rtp.Packet
			for range clip.Frames() {
				all = append(all, l.tick()...)
			}
			if got := joined(t, all, ms); !bytes.Equal(got, clip.aLaw[:len(got)]) || len(got) != len(clip.aLaw) {
				t.Errorf("%d bytes came, want the clip's %d", len(got), len(clip.aLaw))
			}
		})
	}
}

// relayed is what the phone is sent of a sound that another says in packets of so many milliseconds.
func (l *line) relayed(codec Codec, ms int, sound []byte) (all []*rtp.Packet) {
	peer := new(Leg)
	l.bridge(peer)
	n := ms * clockRate / 1000
	for at := 0; at < len(sound); at += n {
		l.now += time.Duration(ms) * time.Millisecond
		p := incoming{seq: uint16(65530 + at/n), ts: uint32(at) - 1000, codec: codec, payload: sound[at : at+n]}
		all = append(all, l.sentBy(func() { l.relay(peer, p, l.now) })...)
	}
	return all
}

// A bridge cuts the packets of one phone to what the other wants.
func TestBridgeCutsPackets(t *testing.T) {
	const whole = 600 * clockRate / 1000 // a multiple of all lengths
	for _, in := range lengths {
		for _, out := range lengths {
			t.Run(fmt.Sprintf("%d to %d", in, out), func(t *testing.T) {
				l := packed(t, PCMA, out)
				all := l.relayed(PCMA, in, counting(0, whole))
				if got := joined(t, all, out); !bytes.Equal(got, counting(0, whole)) {
					t.Errorf("%d bytes came, want %d", len(got), whole)
				}
			})
		}
	}
}

// What was lost on the way to us is missing in the numbers towards the other phone; what comes too
// late is left out; digits go between.
func TestBridgeThatCutsShowsLosses(t *testing.T) {
	l := packed(t, PCMA, 20)
	peer := new(Leg)
	l.bridge(peer)
	const n = 240 // 30 ms
	send := func(i int) []*rtp.Packet {
		l.now = time.Duration(i+1) * 30 * time.Millisecond
		return l.sentBy(func() {
			l.relay(peer, incoming{seq: uint16(i), ts: uint32(i * n), codec: PCMA, payload: counting(i*n, n)}, l.now)
		})
	}
	all := append(send(0), send(1)...)
	if len(all) != 3 {
		t.Fatalf("%d packets for 60 ms, want 3", len(all))
	}
	after := send(4) // 2 and 3 are lost: 60 ms, three packets of ours
	if len(after) != 1 || after[0].SequenceNumber != all[2].SequenceNumber+4 || after[0].Timestamp != all[0].Timestamp+4*n {
		t.Errorf("after a loss: %v, before it %v", after[0].Header, all[2].Header)
	}
	if late := send(3); len(late) != 0 {
		t.Errorf("a late packet made %d", len(late))
	}
	key := l.sentBy(func() {
		l.relay(peer, incoming{seq: 5, ts: 5 * n, codec: event, payload: []byte{1, 10, 0, 160}}, l.now)
	})
	// The 10 ms that were waiting go first.
	if len(key) != 2 || len(key[0].Payload) != 80 || key[1].PayloadType != 96 || key[1].SequenceNumber != key[0].SequenceNumber+1 {
		t.Errorf("a digit made %v", key)
	}
	if next := send(6); len(next) != 1 || next[0].SequenceNumber != key[1].SequenceNumber+1 {
		t.Errorf("after a digit: %v", next)
	}
}

// Comfort noise goes through a bridge to a phone that takes it, and to no other.
func TestComfortNoiseCrossesTheBridge(t *testing.T) {
	for _, takes := range []bool{true, false} {
		l := newLine(t, PCMA)
		if takes {
			to := l.agreement
			to.noise = format{13, noise}
			l.agree(to)
		}
		peer := new(Leg)
		l.bridge(peer)
		var all []*rtp.Packet
		for i := range 3 {
			in := frame(uint16(i), uint32(i*frameSamples))
			if i == 1 {
				in.codec, in.payload = noise, []byte{60}
			}
			l.now += ptime
			all = append(all, l.sentBy(func() { l.relay(peer, in, l.now) })...)
		}
		var types []uint8
		for i, p := range all {
			types = append(types, p.PayloadType)
			if i > 0 && p.SequenceNumber != all[i-1].SequenceNumber+1 {
				t.Errorf("takes noise: %v: a hole in the numbers before packet %d", takes, i)
			}
		}
		want := []uint8{8, 13, 8}
		if !takes {
			want = []uint8{8, 8}
		}
		if !bytes.Equal(types, want) {
			t.Errorf("takes noise: %v: types %v, want %v", takes, types, want)
		}
	}
}
