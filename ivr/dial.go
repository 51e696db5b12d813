package ivr

import (
	"context"
	"errors"
	"time"
)

// Dialled is how a call that a flow made came out.
type Dialled string

// The ways it comes out.
const (
	DialTalked   Dialled = "talked"    // it was answered, and is over
	DialBusy     Dialled = "busy"      // the line is
	DialNoAnswer Dialled = "no_answer" // nobody answered in time, or was reached at all
	DialRefused  Dialled = "refused"   // there, or by us: the flow may not, or not now
)

// Dialler is implemented by a [Port] whose caller can be connected with somebody else.
type Dialler interface {
	// Dial rings a number or an extension for at most ring, has the caller hear that, and
	// connects the two until the other side hangs up or ctx ends. talks is called when it is
	// answered.
	Dial(ctx context.Context, to string, ring time.Duration, talks func()) Dialled
}

// dialStep connects the caller with somebody.
type dialStep struct {
	prompts                       []string
	to                            string
	ring                          time.Duration
	next, busy, noAnswer, refused target // next "": hang up
}

const defaultRing = 30 * time.Second

func (a *dialStep) exits() []exit {
	out := []exit{{a.busy, true}, {a.noAnswer, true}, {a.refused, true}}
	if a.next.step != "" {
		out = append(out, exit{a.next, true})
	}
	return out
}

func (p *flowReader) dial(f field) action {
	get := p.record(f.value, f.at, "to and failed", "to", "prompts", "ring", "next", "failed", "busy", "no_answer", "refused")
	a := &dialStep{prompts: p.prompts(get["prompts"]), ring: p.duration(get["ring"], 5*time.Second, 3*time.Minute, defaultRing)}
	if to, ok := get["to"]; !ok {
		p.problem(f.at, `name a number or an extension: to: "+861095599"`, "to is missing")
	} else if text, at, ok := p.text(to); ok {
		a.to = text
		if p.refs.Dial != nil {
			if what, hint := p.refs.Dial(p.flowName, text); what != "" {
				p.problem(at, hint, "%s", what)
			}
		}
	}
	if next, ok := get["next"]; ok {
		a.next = p.target(next, next.at, "next", "")
	}
	failed, common := get["failed"]
	if common {
		a.busy = p.target(failed, failed.at, "failed", "")
		a.noAnswer, a.refused = a.busy, a.busy
	}
	for name, to := range map[string]*target{"busy": &a.busy, "no_answer": &a.noAnswer, "refused": &a.refused} { // each on its own
		if own, ok := get[name]; ok {
			*to = p.target(own, own.at, name, "")
		}
	}
	if a.busy.pos == (position{}) || a.noAnswer.pos == (position{}) || a.refused.pos == (position{}) {
		p.problem(f.at, "name the step for a call that isn't answered", "failed is missing")
	}
	return a
}

var errCantDial = errors.New("nobody can be dialled from this line")

func (a *dialStep) run(s *session) (string, error) {
	if err := s.say(a.prompts, false); err != nil {
		return "", err
	}
	out, err := s.line.dial(s.ctx, a.to, a.ring, s.pauseLimit)
	s.resumeLimit()
	if err != nil {
		return "", err
	}
	if err := s.over(); err != nil {
		return "", err
	}
	if err := s.forget(); err != nil { // keys that were meant for the other side
		return "", err
	}
	switch out {
	case DialTalked:
		if a.next.step == "" {
			s.result.End = EndHangUp
		}
		return a.next.step, nil
	case DialBusy:
		return a.busy.step, nil
	case DialNoAnswer:
		return a.noAnswer.step, nil
	default:
		return a.refused.step, nil
	}
}

func (l leg) dial(ctx context.Context, to string, ring time.Duration, talks func()) (Dialled, error) {
	d, ok := l.Port.(Dialler)
	if !ok {
		return "", errCantDial
	}
	return d.Dial(ctx, to, ring, talks), nil
}

// limit is the time limit of a flow. It stands still while the caller talks with somebody
// whom the flow has dialled, and begins anew behind that.
type limit struct {
	timer  *time.Timer
	span   time.Duration
	paused bool
}

// withLimit is ctx until the span is over.
func withLimit(ctx context.Context, span time.Duration) (context.Context, limit, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(span, func() { cancel(errTimeLimit) })
	return ctx, limit{timer: t, span: span}, func() { t.Stop(); cancel(nil) }
}

func (s *session) pauseLimit() { s.limit.paused = s.limit.timer.Stop() }

// resumeLimit does nothing to a limit that wasn't paused.
func (s *session) resumeLimit() {
	if s.limit.paused {
		s.limit.paused = false
		s.limit.timer.Reset(s.limit.span)
	}
}
