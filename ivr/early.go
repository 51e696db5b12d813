package ivr

import (
	"slices"
	"time"
)

// Answerer is implemented by a [Port] whose caller may hear it before the call is answered.
type Answerer interface {
	// AnswerCall answers the call, unless that has been done; false when the caller has gone.
	AnswerCall() bool
}

const minEarly, maxEarly = 10 * time.Second, 10 * time.Minute

// answerStep answers a call that has been early until now.
type answerStep struct{ next target }

func (a *answerStep) exits() []exit { return []exit{{a.next, true}} }

func (p *flowReader) answer(f field) action {
	get := p.record(f.value, f.at, "next", "next")
	p.onlyEarly(f, "an answer step")
	return &answerStep{p.target(get["next"], f.at, "next", "name the step that follows")}
}

// onlyEarly reports what means nothing where the call is answered before the flow begins.
func (p *flowReader) onlyEarly(f field, what string) {
	if !p.early {
		p.problem(f.at, "give the flow early: 3m, or remove this", "%s means nothing in a flow that is answered at once", what)
	}
}

// refusals are the statuses that say of a call as a whole what became of it.
var refusals = []int{404, 410, 480, 486, 600, 603}

func (p *flowReader) refusal(f field) int {
	if f.name == "" {
		return 0
	}
	p.onlyEarly(f, "refuse")
	code := p.number(f, 400, 699, 0)
	if code != 0 && !slices.Contains(refusals, code) {
		p.problem(f.at, "use 404, 410, 480, 486, 600 or 603", "refuse can't be %d", code)
	}
	return code
}

func (a *answerStep) run(s *session) (string, error) {
	if !s.line.answer() {
		return "", errLineClosed
	}
	return a.next.step, nil
}

func (l leg) answer() bool {
	a, ok := l.Port.(Answerer)
	return !ok || a.AnswerCall()
}
