package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

// offeredTo is a leg whose offer the phone has answered with those lines.
func (p *phone) offeredTo(e *Engine, m string, lines ...string) *Leg {
	p.t.Helper()
	l := openLeg(p.t, e)
	if _, err := l.Offer(); err != nil {
		p.t.Fatal(err)
	}
	answer := sdpText("127.0.0.1", append([]string{"m=audio " + addrOf(p.rtp).String()[len("127.0.0.1:"):] + " RTP/AVP " + m}, lines...)...)
	if err := l.SetAnswer(answer); err != nil {
		p.t.Fatal(err)
	}
	return l
}

// A phone that answers with a number of its own for telephone-event (RFC 3264 section 6.1) is sent keys by that number, and may
// send its own by ours.
func TestAnswerNumbersEventsOtherwise(t *testing.T) {
	for _, theirs := range []uint8{offeredEvent, 96} {
		p := newPhone(t, PCMA)
		l := p.offeredTo(openEngine(t, nil), "8 96", "a=rtpmap:96 telephone-event/8000")
		if err := l.SendDigit('5', 40*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if pkt := p.hearUntil("a key", func(pkt *rtp.Packet) bool { return len(pkt.Payload) == 4 }); pkt.PayloadType != 96 || pkt.Payload[0] != 5 {
			t.Errorf("the key has number %d: % x", pkt.PayloadType, pkt.Payload)
		}
		payload := make([]byte, 4)
		for i := range 4 {
			telephoneEvent{7, i > 0, uint16(160 * (i + 1))}.put(payload)
			p.send(l, p.packet(theirs, payload, 0))
		}
		if d := wait(t, "the key", l.Digits()); d.Key != '7' {
			t.Errorf("by number %d: %+v", theirs, d)
		}
	}
}

// A phone may send any codec that we have offered, whichever it has answered with, and go from one to the other: in a bridge
// the other phone hears one stream in its own codec, each tone as it was said.
func TestPhoneChangesItsCodec(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	speaker, listener := newPhone(t, PCMA), newPhone(t, PCMA)
	a, b := speaker.offeredTo(e, "8"), listener.call(e)
	if err := Bridge(a, b); err != nil {
		t.Fatal(err)
	}
	const frames = 25
	listen := newEar(PCMA)
	var before *rtp.Packet
	for i, codec := range []Codec{PCMA, PCMU, G722, PCMU, PCMA} {
		freq := float64(400 + 200*i)
		clip := Tone(freq, frames*ptime, 0.25)
		right := 0
		for k := range frames {
			frame := clip.Frame(codec, k)
			speaker.send(a, speaker.packet(codec.PayloadType(), frame, frameSamples))
			pkt := listener.hear()
			if pkt.PayloadType != 8 || before != nil && (pkt.SSRC != before.SSRC || pkt.SequenceNumber != before.SequenceNumber+1 || int32(pkt.Timestamp-before.Timestamp) <= 0) {
				t.Fatalf("%v, frame %d: %+v after %+v", codec, k, pkt.Header, before)
			}
			before = pkt
			if heard := Goertzel(listen(pkt.Payload), freq, clockRate); heard > 0.24 && heard < 0.26 {
				right++
			}
			<-time.After(ptime)
		}
		if right < frames-5 {
			t.Errorf("%v: %d of %d frames sound as they should", codec, right, frames)
		}
	}
	if s := a.Stats(); s.Unknown != 0 || s.SSRCChanges != 0 {
		t.Errorf("stats %+v", s)
	}
}

// What crosses between G.711 and G.722 is cut to the length that the phone wants, too, and sounds as before.
func TestBridgeCutsAndTranscodes(t *testing.T) {
	const whole = 600 * clockRate / 1000
	clip := Tone(440, 600*time.Millisecond, 0.25)
	for _, c := range [][2]Codec{{G722, PCMA}, {PCMU, G722}} {
		var sound []byte
		for k := range whole / frameSamples {
			sound = append(sound, clip.Frame(c[0], k)...)
		}
		for _, in := range lengths {
			for _, out := range lengths {
				l := packed(t, c[1], out)
				all := l.relayed(c[0], in, sound)
				got := joined(t, all, out)
				if len(got) != whole {
					t.Errorf("%v to %v, %d ms to %d: %d bytes came, want %d", c[0], c[1], in, out, len(got), whole)
					continue
				}
				listen, pcm := newEar(c[1]), []int16(nil)
				for at := 0; at < whole; at += frameSamples {
					pcm = append(pcm, listen(got[at:at+frameSamples])...)
				}
				if heard := Goertzel(pcm[whole/2:], 440, clockRate); heard < 0.24 || heard > 0.26 {
					t.Errorf("%v to %v, %d ms to %d: 440 Hz are heard at %.3f, want 0.25", c[0], c[1], in, out, heard)
				}
			}
		}
	}
}
