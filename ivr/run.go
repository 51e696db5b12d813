package ivr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hotline/media"
	"hotline/routing"
)

// Port is the caller's line. [media.Leg] is one.
type Port interface {
	Play(a media.Audio, opt media.PlayOptions) *media.Playback
	Silence()
	Digits() <-chan media.Digit
	Echo(on bool) error
}

// Private is implemented by a [Port] whose sound is recorded: it is told when a step with
// pause_recording begins (on) and ends.
type Private interface{ Private(on bool) }

// Ending is implemented by a [Port] that tells itself when nobody hears the flow any more: [Run] then ends as if its
// context had. A context that a goroutine cancels would cost each caller that goroutine.
type Ending interface {
	// Gone gives channels that are closed when the caller has hung up, and when nothing comes from there any more.
	Gone() (hungUp, silent <-chan struct{})
}

// Facts are what is known of the caller before the flow begins.
type Facts struct {
	Tier routing.Tier
	// Language is the caller's as "zh" or "en"; "" when not known.
	Language string
	// Identified: the customer was found.
	Identified bool
	// Attestation is what the network says of the caller's number (RFC 8588): "A", "B",
	// "C", "invalid", or "none" and "" for nothing.
	Attestation string
}

// Result is what came of a flow.
type Result struct {
	// Queue is where the caller goes; "" means hang up.
	Queue routing.QueueID
	// Language is the one chosen, or else that of the facts.
	Language string
	// Collected are the digits that the caller entered, by the name under "store". They may be
	// secret: don't log them.
	Collected map[string]string
	// Path are the steps visited, in order.
	Path []string
	// End is how the flow ended, one of the End constants.
	End string
	// Refuse is the final SIP status for a caller whom nobody has answered, 0 for the default.
	Refuse int
}

// How a flow ends.
const (
	EndQueue     = "queue"      // at a queue step
	EndHangUp    = "hang_up"    // at a hang_up step
	EndTimeLimit = "time_limit" // it took too long: sent to the step under too_long
	EndStepLimit = "step_limit" // too many steps: sent to the step under too_long
	EndGone      = "gone"       // the caller hung up, or ctx ended otherwise
	EndFailed    = "failed"     // the line closed, or a step is missing
)

// maxSteps bounds how many steps one call may visit.
const maxSteps = 200

// maxTyped bounds the keys typed ahead; more are dropped.
const maxTyped = 32

var (
	errTimeLimit  = errors.New("time limit of the flow")
	errLineClosed = errors.New("the caller's line closed")
	errGone       = errors.New("the caller is gone")
)

// Run plays the flow to one caller and returns where the caller wants to go. It blocks until the
// flow is over, at most its time limit, or until ctx ends, as it must when
// the caller hangs up and the port is no [Ending]: then the error is ctx's cause. Any error comes with what is known so far.
// What plays when it returns has been stopped. Nobody else may take the port's digits meanwhile.
func Run(ctx context.Context, f *Flow, p Port, prompts *Prompts, facts Facts) (Result, error) {
	return run(ctx, f, leg{p}, prompts, facts)
}

// line is the port as the interpreter needs it.
type line interface {
	play(media.Audio) (done <-chan struct{})
	silence()
	digits() <-chan media.Digit
	private(on bool)
	gone() (hungUp, silent <-chan struct{})
	echo(on bool) error
	dial(ctx context.Context, to string, ring time.Duration, talks func()) (Dialled, error)
	answer() bool
}

type leg struct{ Port }

func (l leg) private(on bool) {
	if p, ok := l.Port.(Private); ok {
		p.Private(on)
	}
}

func (l leg) gone() (hungUp, silent <-chan struct{}) {
	if p, ok := l.Port.(Ending); ok {
		return p.Gone()
	}
	return nil, nil
}

func (l leg) play(a media.Audio) <-chan struct{} { return l.Play(a, media.PlayOptions{}).Done() }
func (l leg) silence()                           { l.Silence() }
func (l leg) digits() <-chan media.Digit         { return l.Digits() }
func (l leg) echo(on bool) error                 { return l.Echo(on) }

// session is one caller in a flow. One goroutine owns it.
type session struct {
	ctx     context.Context
	limit   limit
	line    line
	prompts *Prompts
	facts   Facts
	result  *Result

	hungUp, silent <-chan struct{} // nil: ctx tells

	typed []byte // keys not used yet
	// An end key that comes when its digits were complete without it belongs to them, not to the
	// next menu.
	lateEndKey   byte
	lateEndUntil time.Time
}

func run(ctx context.Context, f *Flow, l line, prompts *Prompts, facts Facts) (Result, error) {
	limited, limit, cancel := withLimit(ctx, f.timeLimit)
	defer cancel()
	res := Result{Language: facts.Language, Collected: map[string]string{}}
	s := &session{ctx: limited, limit: limit, line: l, prompts: prompts, facts: facts, result: &res}
	s.hungUp, s.silent = l.gone()
	err := s.walk(f)
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		res.End = EndGone
		return res, fmt.Errorf("flow %s: %w", f.Name, context.Cause(ctx))
	case errors.Is(err, errGone):
		res.End = EndGone
		return res, fmt.Errorf("flow %s: %w", f.Name, err)
	case errors.Is(err, errTimeLimit):
		f.giveUp(&res, EndTimeLimit)
		return res, nil
	default:
		res.End = EndFailed
		return res, fmt.Errorf("flow %s: %w", f.Name, err)
	}
}

// walk goes from step to step.
func (s *session) walk(f *Flow) error {
	for name := f.start; name != ""; {
		if err := s.over(); err != nil {
			return err
		}
		if len(s.result.Path) == maxSteps {
			f.giveUp(s.result, EndStepLimit)
			return nil
		}
		a, ok := f.steps[name]
		if !ok {
			return fmt.Errorf("no step %q", name)
		}
		s.result.Path = append(s.result.Path, name)
		next, err := a.run(s)
		if err != nil {
			return err
		}
		name = next
	}
	return nil
}

// over says why the flow can't go on, if it can't.
func (s *session) over() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	select {
	case <-s.hungUp:
		return errGone
	case <-s.silent:
		return errGone
	default:
		return nil
	}
}

// hush pauses the recording of the call for a step that wants it, until what is returned
// is called.
func (s *session) hush(wanted bool) (end func()) {
	if !wanted {
		return func() {}
	}
	s.line.private(true)
	return func() { s.line.private(false) }
}

// giveUp sends a caller who took too long where the flow says, without another prompt.
func (f *Flow) giveUp(res *Result, end string) {
	res.End = end
	if f.tooLong == "" {
		return
	}
	res.Path = append(res.Path, f.tooLong)
	switch a := f.steps[f.tooLong].(type) {
	case *queueStep:
		res.Queue = a.queue
	case *hangUpStep:
		res.Refuse = a.refuse
	}
}

// say plays prompts to their end or, with barge-in, to the next key, which stays typed.
func (s *session) say(names []string, bargeIn bool) error {
	if err := s.collectTyped(); err != nil {
		return err
	}
	audio := s.prompts.sequence(names, s.result.Language)
	if audio == nil || bargeIn && len(s.typed) > 0 {
		return nil
	}
	return s.sound(audio, bargeIn)
}

// sound plays to the end or, with barge-in, to the next key, which stays typed.
func (s *session) sound(audio media.Audio, bargeIn bool) error {
	done := s.line.play(audio)
	for {
		select {
		case <-s.ctx.Done():
			s.line.silence()
			return context.Cause(s.ctx)
		case <-s.hungUp:
			s.line.silence()
			return errGone
		case <-s.silent:
			s.line.silence()
			return errGone
		case <-done:
			return nil
		case d, ok := <-s.line.digits():
			if !ok {
				return errLineClosed
			}
			if s.take(d); bargeIn && len(s.typed) > 0 {
				s.line.silence()
				return nil
			}
		}
	}
}

// key gives the next key: one typed ahead, or one pressed within wait.
func (s *session) key(wait time.Duration) (key byte, pressed bool, err error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(s.typed) == 0 {
		select {
		case <-s.ctx.Done():
			return 0, false, context.Cause(s.ctx)
		case <-s.hungUp:
			return 0, false, errGone
		case <-s.silent:
			return 0, false, errGone
		case <-timer.C:
			return 0, false, nil
		case d, ok := <-s.line.digits():
			if !ok {
				return 0, false, errLineClosed
			}
			s.take(d)
		}
	}
	key, s.typed = s.typed[0], s.typed[1:]
	return key, true, nil
}

// collectTyped takes the keys that wait on the line.
func (s *session) collectTyped() error {
	for {
		select {
		case d, ok := <-s.line.digits():
			if !ok {
				return errLineClosed
			}
			s.take(d)
		default:
			return nil
		}
	}
}

// take puts a key behind those typed ahead.
func (s *session) take(d media.Digit) {
	late := s.lateEndKey
	s.lateEndKey = 0
	if d.Key == late && time.Now().Before(s.lateEndUntil) || len(s.typed) == maxTyped {
		return
	}
	s.typed = append(s.typed, d.Key)
}

// complete notes that digits ended without their end key, which may still come.
func (s *session) complete(endKey byte, within time.Duration) {
	if endKey == 0 {
		return
	}
	if len(s.typed) == 0 {
		s.lateEndKey, s.lateEndUntil = endKey, time.Now().Add(within)
	} else if s.typed[0] == endKey {
		s.typed = s.typed[1:]
	}
}

// forget drops what was typed ahead.
func (s *session) forget() error {
	err := s.collectTyped()
	s.typed = nil
	return err
}
