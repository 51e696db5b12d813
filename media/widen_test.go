package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

// slowClip takes its time to be encoded in G.722.
type slowClip struct {
	*Clip
	asked, goOn chan struct{}
}

func (c slowClip) Frame(codec Codec, i int) []byte {
	if codec == G722 {
		select {
		case c.asked <- struct{}{}:
		default:
		}
		<-c.goOn
	}
	return c.Clip.Frame(codec, i)
}

// A phone that changes to G.722 while a clip plays is answered at once, though the clip isn't encoded yet: it is silent until it
// is, and then goes on.
func TestNegotiationDoesNotWaitForEncoding(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, G722} })
	p := newPhone(t, PCMA)
	l := p.call(e)
	c := slowClip{Tone(440, time.Second, 0.5), make(chan struct{}, 1), make(chan struct{})}
	l.Play(c, PlayOptions{Loop: true})
	p.codec = G722
	answered := make(chan error, 1)
	go func() {
		_, err := l.Answer(p.offer())
		answered <- err
	}()
	if err := wait(t, "the answer", answered); err != nil {
		t.Fatal(err)
	}
	wait(t, "encoding", c.asked)
	p.hearUntil("G.722", func(pkt *rtp.Packet) bool { return pkt.PayloadType == 9 })
	for range 10 {
		if pkt := p.hear(); pkt.PayloadType != 9 || string(pkt.Payload) != string(silence(G722)) {
			t.Errorf("payload type %d, not silent, before it is encoded", pkt.PayloadType)
		}
	}
	played := make(chan *Playback, 1)
	go func() { played <- l.Play(c, PlayOptions{}) }() // nor does who plays wait
	next := wait(t, "Play", played)
	close(c.goOn)
	p.hearUntil("G.722 of the clip", func(pkt *rtp.Packet) bool {
		return pkt.PayloadType == 9 && string(pkt.Payload) != string(silence(G722))
	})
	wait(t, "its end", next.Done())
}

// A clip that began as the codec changed is silent until it is encoded, and is all there then.
func TestWaitsForItsEncoding(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{G722} })
	p := newPhone(t, G722)
	l := p.call(e)
	play := &Playback{sender: &l.sender, audio: Tone(440, time.Second, 0.5), length: 50, frames: 50, done: make(chan struct{})}
	l.sender.setPlay(play)
	for range 5 {
		if pkt := p.hear(); string(pkt.Payload) != string(silence(G722)) {
			t.Fatal("sound that isn't encoded yet")
		}
	}
	if play.Position() != 0 {
		t.Errorf("at %v", play.Position())
	}
	l.sender.widen(G722)
	p.hearUntil("the clip", func(pkt *rtp.Packet) bool { return string(pkt.Payload) == string(play.audio.Frame(G722, 10)) })
	<-play.Done()
}
