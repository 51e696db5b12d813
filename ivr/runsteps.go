package ivr

import (
	"cmp"
	"strings"
)

func (a *playStep) run(s *session) (string, error) {
	return a.next.step, s.say(a.prompts, a.bargeIn)
}

func (a *queueStep) run(s *session) (string, error) {
	if err := s.say(a.prompts, false); err != nil {
		return "", err
	}
	s.result.Queue, s.result.End = a.queue, EndQueue
	return "", nil
}

func (a *hangUpStep) run(s *session) (string, error) {
	if err := s.say(a.prompts, false); err != nil {
		return "", err
	}
	s.result.End, s.result.Refuse = EndHangUp, a.refuse
	return "", nil
}

func (a *branchStep) run(s *session) (string, error) {
	var is string
	switch a.by {
	case byTier:
		is = s.facts.Tier.String()
	case byLanguage:
		is, _, _ = strings.Cut(s.result.Language, "-")
	case byIdentified:
		is = "no"
		if s.facts.Identified {
			is = "yes"
		}
	case byAttested:
		is = cmp.Or(s.facts.Attestation, "none")
	}
	if to, ok := a.cases[is]; ok {
		return to.step, nil
	}
	return a.otherwise.step, nil
}

// failures counts one kind of failure within one visit of a step.
type failures struct {
	retry
	count int
}

// again plays the prompts before another try; more is false when that was the last one.
func (f *failures) again(s *session) (more bool, err error) {
	if f.count++; f.count >= f.tries {
		return false, nil
	}
	return true, s.say(f.prompts, true)
}

func (a *menuStep) run(s *session) (string, error) {
	defer s.hush(a.private)()
	wrong, none := failures{retry: a.wrongKey}, failures{retry: a.noKey}
	for {
		if err := s.say(a.prompts, true); err != nil {
			return "", err
		}
		key, pressed, err := s.key(a.wait)
		if err != nil {
			return "", err
		}
		if c, ok := a.keys[key]; pressed && ok {
			if c.language != "" {
				s.result.Language = c.language
			}
			return c.next.step, nil
		}
		failed := &none
		if pressed {
			failed = &wrong
			if err := s.forget(); err != nil {
				return "", err
			}
		}
		if more, err := failed.again(s); err != nil || !more {
			return failed.next.step, err
		}
	}
}

func (a *collectStep) run(s *session) (string, error) {
	defer s.hush(a.private)()
	wrong, none := failures{retry: a.wrong}, failures{retry: a.none}
	for {
		if err := s.say(a.prompts, true); err != nil {
			return "", err
		}
		digits, heard, err := a.read(s)
		if err != nil {
			return "", err
		}
		if digits != "" {
			s.result.Collected[a.store] = digits
			return a.next.step, nil
		}
		failed := &none
		if heard {
			failed = &wrong
			if err := s.forget(); err != nil {
				return "", err
			}
		}
		if more, err := failed.again(s); err != nil || !more {
			return failed.next.step, err
		}
	}
}

// read takes digits up to the most, the end key or a pause. Digits are "" when that are too few,
// or another key came; heard tells whether any key was pressed.
func (a *collectStep) read(s *session) (digits string, heard bool, err error) {
	var got []byte
	for len(got) < a.max {
		key, pressed, err := s.key(a.wait)
		if err != nil {
			return "", heard, err
		}
		heard = heard || pressed
		if !pressed || a.endKey != 0 && key == a.endKey {
			if len(got) < a.min {
				got = nil
			}
			return string(got), heard, nil
		}
		if key < '0' || key > '9' {
			return "", heard, nil
		}
		got = append(got, key)
	}
	s.complete(a.endKey, a.wait)
	return string(got), true, nil
}
