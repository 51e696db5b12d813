package media

import (
	"sync/atomic"
	"time"
)

// PlayOptions say how a leg plays a clip.
type PlayOptions struct {
	Loop bool          // start again at the end, until stopped or replaced
	From time.Duration // where to begin, rounded down to 20 ms; past the end means nothing to play
}

// Playback is a clip being played on a leg.
type Playback struct {
	sender *sender
	audio  Audio
	loop   bool
	length int // frames of audio
	done   chan struct{}

	// Guarded by the sender's lock.
	frame, frames int
	wide          atomic.Bool // encoded in G.722
	widening      atomic.Bool // so it will be
}

// Play replaces whatever the leg plays. The clip runs on while the peer holds us, unheard. On a
// bridged leg it takes the place of the other leg's sound until it ends. Play does not wait.
// A nil a plays nothing and is done at once.
func (l *Leg) Play(a Audio, opt PlayOptions) *Playback {
	p := &Playback{sender: &l.sender, audio: a, loop: opt.Loop, done: make(chan struct{})}
	if a != nil {
		p.length = a.Frames()
		p.frames = p.length
	}
	if l.Codec() == G722 {
		p.widen()
	}
	p.frame = int(max(opt.From, 0) / ptime)
	if p.frame >= p.frames {
		p.frame, p.frames = 0, 0
	}
	l.sender.setPlay(p)
	return p
}

// Silence ends what plays. The leg goes on sending frames of silence, which keeps the path through
// NATs open and the stream continuous.
func (l *Leg) Silence() { l.sender.setPlay(nil) }

// Done is closed when the last frame has been sent, or the clip was stopped or replaced, or the leg
// closed.
func (p *Playback) Done() <-chan struct{} { return p.done }

// Stop ends the clip; the leg falls back to silence or to its bridge. It may be called at any time.
func (p *Playback) Stop() { p.sender.stopPlay(p) }

// Position is how far the clip has come, in steps of 20 ms; the From to go on with later.
func (p *Playback) Position() time.Duration {
	p.sender.mu.Lock()
	defer p.sender.mu.Unlock()
	return time.Duration(p.frame) * ptime
}

// widen has the clip encoded in G.722, which it is when first asked for: neither on the packet path nor by who
// plays or negotiates, for a long one takes a second. Until then it is silent, and waits.
func (p *Playback) widen() {
	if c, ok := p.audio.(*Clip); ok && c.wide.Load() {
		p.wide.Store(true)
	}
	if p.wide.Load() || p.widening.Swap(true) {
		return
	}
	go func() {
		for i := range p.length {
			p.audio.Frame(G722, i)
		}
		p.wide.Store(true)
	}()
}

// widen has what plays encoded if the peer is to hear G.722.
func (s *sender) widen(codec Codec) {
	s.mu.Lock()
	p := s.play
	s.mu.Unlock()
	if p != nil && codec == G722 {
		p.widen()
	}
}

// advance moves on by a frame and tells whether that was the last.
func (p *Playback) advance() (ended bool) {
	p.frame++
	if p.frame < p.frames {
		return false
	}
	if p.loop {
		p.frame = 0
	}
	return !p.loop
}
