package main

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// voices are the packets that phone i of side 1 sends, as its caller would hear them.
func voices(n int) (agent *rtpStream, sent [][]byte) {
	agent = newStream(1, 3, 4000, streamKind{sends: true})
	for k := range n {
		agent.next(int64(k)*int64(20*time.Millisecond), &rtpFigures{})
		sent = append(sent, bytes.Clone(agent.packet[:]))
	}
	return agent, sent
}

func TestStreamSeesWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		change func(sent [][]byte) [][]byte
		want   rtpFigures
	}{
		"nothing":         {func(s [][]byte) [][]byte { return s }, rtpFigures{received: 5}},
		"a packet lost":   {func(s [][]byte) [][]byte { return append(s[:2:2], s[3:]...) }, rtpFigures{received: 4, lost: 1}},
		"two swapped":     {func(s [][]byte) [][]byte { s[1], s[2] = s[2], s[1]; return s }, rtpFigures{received: 5, behind: 1}},
		"twice":           {func(s [][]byte) [][]byte { return append(s, s[4]) }, rtpFigures{received: 6, behind: 1, lost: -1}},
		"another SSRC":    {func(s [][]byte) [][]byte { s[4][8]++; return s }, rtpFigures{received: 5, strange: 1}},
		"another's sound": {func(s [][]byte) [][]byte { binary.BigEndian.PutUint32(s[2][16:], 4); return s }, rtpFigures{received: 5, corrupt: 1}},
		"a byte changed":  {func(s [][]byte) [][]byte { s[2][100]++; return s }, rtpFigures{received: 5, corrupt: 1}},
		"silence instead": {func(s [][]byte) [][]byte { copy(s[2][12:], make([]byte, 160)); return s }, rtpFigures{received: 5, corrupt: 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			agent, sent := voices(5)
			caller := newStream(0, 3, 5000, streamKind{})
			var got rtpFigures
			for k, b := range tc.change(sent) {
				caller.take(b, int64(k)*int64(20*time.Millisecond)+int64(time.Millisecond), agent, &got)
			}
			got.delay, got.lateness = histogram{}, histogram{}
			if got != tc.want {
				t.Errorf("got %+v", short(got))
			}
		})
	}
}

func short(f rtpFigures) map[string]int64 {
	return map[string]int64{"received": int64(f.received), "lost": f.lost, "behind": f.behind, "skipped": f.skipped,
		"strange": int64(f.strange), "corrupt": int64(f.corrupt), "foreign": int64(f.foreign)}
}

func TestStreamMeasuresPace(t *testing.T) {
	_, sent := voices(5)
	caller := newStream(0, 3, 5000, streamKind{playback: true})
	var got rtpFigures
	for k, late := range []time.Duration{3, 0, 1, 7, 0} {
		if k == 4 { // its number follows, its time doesn't
			binary.BigEndian.PutUint32(sent[k][4:], binary.BigEndian.Uint32(sent[k][4:])+160)
			late += 20
		}
		at := time.Second + time.Duration(k)*20*time.Millisecond + late*time.Millisecond
		caller.take(sent[k], int64(at), nil, &got)
	}
	if got.skipped != 1 || got.lost != 0 || got.lateness.most != 7*time.Millisecond || got.lateness.quantile(0.7) != time.Millisecond+histogramStep {
		t.Errorf("%d skipped, %d lost, late by %s at most, p70 %s", got.skipped, got.lost, got.lateness.most, got.lateness.quantile(0.7))
	}
}

func TestStreamPressesKeys(t *testing.T) {
	agent := newStream(1, 3, 4000, streamKind{sends: true, keys: true})
	caller := newStream(0, 3, 5000, streamKind{})
	var out, in rtpFigures
	for k := range 10 * keyEvery {
		agent.next(int64(k), &out)
		caller.take(agent.packet[:agent.iov.Len], int64(k), agent, &in)
	}
	if out.pressed < 9 || in.heard != out.pressed || in.lost != 0 || in.corrupt != 0 || in.behind != 0 {
		t.Errorf("%d keys pressed, %d heard, figures %v", out.pressed, in.heard, short(in))
	}
}

func TestStreamsPassThroughARelay(t *testing.T) {
	rtp, err := openRTPLoad()
	if err != nil {
		t.Fatal(err)
	}
	defer rtp.close()
	d := &nobody{rtp: rtp, kind: streamKind{sends: true, keys: true, shared: true}}
	if err := d.connect(20); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		r := rtp.result()
		if r.received >= 2000 && r.heard > 0 {
			if f := r.faults(); f != "" || r.streams != 40 || r.delay.n == 0 {
				t.Errorf("%d streams, %s", r.streams, f)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d packets and %d keys came", r.received, r.heard)
		}
	}
}
