package ivr

import (
	"time"

	"hotline/routing"
)

// Flow is what one kind of caller is asked and told. It comes from [Parse], never changes, and
// may be run for many callers at once.
type Flow struct {
	Name string

	start     string
	steps     map[string]action
	timeLimit time.Duration
	tooLong   string // "": hang up
	early     time.Duration
}

// Early is for how long at most the flow, and what follows it, is heard before the call is answered: by
// an answer step, by whom the caller is connected with, or because that time is over. 0: the call is
// answered before the flow begins.
func (f *Flow) Early() time.Duration { return f.early }

// action is what a step does.
type action interface {
	// run does it for one caller and returns the next step, or "" when the flow is over.
	run(*session) (next string, err error)
	// exits are all the places to which it can lead.
	exits() []exit
}

// exit is one way out of a step.
type exit struct {
	target
	silent bool // taken without any key pressed by the caller
}

// target is the name of a step, and where the YAML says it.
type target struct {
	step string
	pos  position
}

// playStep plays and goes on.
type playStep struct {
	prompts []string
	bargeIn bool
	next    target
}

// menuStep offers keys.
type menuStep struct {
	prompts  []string
	wait     time.Duration
	keys     map[byte]choice
	wrongKey retry
	noKey    retry
	private  bool
}

// choice is what a key of a menu leads to.
type choice struct {
	language string // "": stays
	next     target
}

// retry is how one kind of failure is dealt with: prompts and another try, or, at the last, next.
type retry struct {
	prompts []string
	tries   int
	next    target
}

// collectStep takes digits.
type collectStep struct {
	prompts  []string
	min, max int
	endKey   byte // 0: none
	wait     time.Duration
	store    string
	next     target
	wrong    retry
	none     retry
	private  bool
}

// branchStep chooses by what is known of the caller.
type branchStep struct {
	by        fact
	cases     map[string]target
	otherwise target // step "": every case is there
}

// fact is what a branch looks at.
type fact string

const (
	byTier       fact = "tier"
	byLanguage   fact = "language"
	byIdentified fact = "identified"
	byAttested   fact = "attestation"
)

// queueStep ends the flow in a queue.
type queueStep struct {
	queue   routing.QueueID
	prompts []string
}

// hangUpStep ends the call.
type hangUpStep struct {
	prompts []string
	refuse  int // the final status where it was never answered; 0: the default
}

func (a *playStep) exits() []exit   { return []exit{{a.next, true}} }
func (a *queueStep) exits() []exit  { return nil }
func (a *hangUpStep) exits() []exit { return nil }

func (a *menuStep) exits() []exit {
	out := []exit{{a.wrongKey.next, false}, {a.noKey.next, true}}
	for _, key := range []byte(menuKeys) {
		if c, ok := a.keys[key]; ok {
			out = append(out, exit{c.next, false})
		}
	}
	return out
}

func (a *collectStep) exits() []exit {
	return []exit{{a.next, false}, {a.wrong.next, false}, {a.none.next, true}}
}

func (a *branchStep) exits() []exit {
	var out []exit
	for _, name := range sortedKeys(a.cases) {
		out = append(out, exit{a.cases[name], true})
	}
	return append(out, exit{a.otherwise, true})
}
