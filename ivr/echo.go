package ivr

import (
	"context"
	"fmt"
	"time"

	"hotline/media"
)

// echoStep is the far end of a test call: a tone of known level, then the caller's own sound.
type echoStep struct {
	prompts []string
	span    time.Duration
	next    target // step "": hang up
}

func (a *echoStep) exits() []exit {
	if a.next.step == "" {
		return []exit{}
	}
	return []exit{{a.next, true}}
}

func (p *flowReader) echo(f field) action {
	e := &echoStep{span: defaultEcho}
	if f.value == nil || p.plain(f.value) == nil {
		return e
	}
	get := p.record(f.value, f.at, "prompts, for and next, or nothing", "prompts", "for", "next")
	e.prompts = p.prompts(get["prompts"])
	e.span = p.duration(get["for"], time.Second, time.Minute, defaultEcho)
	if next, ok := get["next"]; ok {
		e.next = p.target(next, next.at, "next", "")
	}
	return e
}

const defaultEcho = 10 * time.Second

func (a *echoStep) run(s *session) (string, error) {
	if err := s.say(a.prompts, false); err != nil {
		return "", err
	}
	if err := s.sound(media.Reference(), false); err != nil {
		return "", err
	}
	if err := s.echo(a.span); err != nil {
		return "", err
	}
	if a.next.step == "" {
		s.result.End = EndHangUp
	}
	return a.next.step, nil
}

// echo lets the caller hear what he says. Keys stay typed.
func (s *session) echo(span time.Duration) error {
	if err := s.line.echo(true); err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	defer s.line.echo(false) // never fails
	timer := time.NewTimer(span)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-s.hungUp:
			return errGone
		case <-s.silent:
			return errGone
		case <-timer.C:
			return nil
		case d, ok := <-s.line.digits():
			if !ok {
				return errLineClosed
			}
			s.take(d)
		}
	}
}
