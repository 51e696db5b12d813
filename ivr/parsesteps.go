package ivr

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"hotline/routing"
)

// menuKeys are the keys a menu can offer.
const menuKeys = "0123456789*#"

var (
	languageName = regexp.MustCompile(`^[a-z]{2,3}$`)
	digitCount   = regexp.MustCompile(`^([0-9]{1,3})(?:\.\.([0-9]{1,3}))?$`)
)

func (p *flowReader) play(f field) action {
	get := p.record(f.value, f.at, "prompts and next", "prompts", "next", "barge_in")
	return &playStep{
		prompts: p.neededPrompts(get["prompts"], f),
		bargeIn: p.yesNo(get["barge_in"], true),
		next:    p.target(get["next"], f.at, "next", "name the step that follows"),
	}
}

func (p *flowReader) menu(f field) action {
	get := p.record(f.value, f.at, "prompts and keys",
		"prompts", "wait", "tries", "keys", "wrong_key", "no_key", "too_many", "pause_recording")
	m := &menuStep{
		prompts: p.neededPrompts(get["prompts"], f),
		wait:    p.duration(get["wait"], minWait, maxWait, 5*time.Second),
		keys:    map[byte]choice{},
		private: p.yesNo(get["pause_recording"], false),
	}
	if keys, ok := get["keys"]; ok {
		p.keys(keys, m.keys)
	} else {
		p.problem(f.at, `write at least one: keys: {"1": STEP}`, "keys are missing")
	}
	r := p.retries(get, f, "wrong_key", "no_key")
	m.wrongKey, m.noKey = r[0], r[1]
	return m
}

func (p *flowReader) keys(f field, into map[byte]choice) {
	fields := p.mapping(f.value, f.at, `keys and steps, such as {"1": STEP}`)
	if m, ok := p.plain(f.value).(*ast.MappingNode); ok && len(m.Values) == 0 {
		p.problem(f.at, `write at least one: {"1": STEP}`, "keys are empty")
	}
	for _, k := range fields {
		c := p.choice(k)
		if len(k.name) != 1 || !strings.Contains(menuKeys, k.name) {
			p.problem(k.at, `use "0" to "9", "*" or "#", in quotes`, "key %q is not on a telephone", k.name)
			continue
		}
		into[k.name[0]] = c
	}
}

// choice reads what a key does: the name of a step, or language and next.
func (p *flowReader) choice(k field) choice {
	if _, ok := p.plain(k.value).(ast.MapNode); !ok {
		return choice{next: p.target(field{"key " + k.name, k.at, k.value}, k.at, "", "")}
	}
	get := p.record(k.value, k.at, "language and next", "language", "next")
	c := choice{next: p.target(get["next"], k.at, "next", "name the step that follows")}
	if l, ok := get["language"]; ok {
		text, at, filled := p.text(l)
		if filled && !languageName.MatchString(text) {
			p.problem(at, "use two or three small letters, such as zh or en", "language is %q", text)
		}
		c.language = text
	}
	return c
}

// retries reads the named kinds of failure with their defaults, tries and too_many.
func (p *flowReader) retries(get map[string]field, owner field, names ...string) []retry {
	tries := p.number(get["tries"], 1, maxTries, defaultTries)
	var tooMany target
	common, hasCommon := get["too_many"]
	if hasCommon {
		tooMany = p.target(common, common.at, "too_many", "")
	}
	out := make([]retry, len(names))
	missing := false
	for i, name := range names {
		out[i] = retry{tries: tries, next: tooMany}
		f, ok := get[name]
		if !ok {
			missing = true
			continue
		}
		own := p.record(f.value, f.at, "prompts, tries or next", "prompts", "tries", "next")
		out[i].prompts = p.prompts(own["prompts"])
		out[i].tries = p.number(own["tries"], 1, maxTries, tries)
		if next, ok := own["next"]; ok {
			out[i].next = p.target(next, next.at, "next", "")
		} else {
			missing = true
		}
	}
	if missing && !hasCommon {
		p.problem(owner.at, "name the step after the last try", "too_many is missing")
	}
	return out
}

func (p *flowReader) collect(f field) action {
	get := p.record(f.value, f.at, "prompts, digits, store and next",
		"prompts", "digits", "end_key", "wait", "tries", "store", "next", "wrong_input", "no_input", "too_many", "pause_recording")
	c := &collectStep{
		prompts: p.neededPrompts(get["prompts"], f),
		wait:    p.duration(get["wait"], minWait, maxWait, 8*time.Second),
		next:    p.target(get["next"], f.at, "next", "name the step that follows"),
		endKey:  p.endKey(get["end_key"]),
		private: p.yesNo(get["pause_recording"], false),
	}
	c.min, c.max = p.digits(get["digits"], f.at)
	if s, ok := get["store"]; ok {
		c.store, _, _ = p.text(s)
	} else {
		p.problem(f.at, "name what is collected, such as customer_number", "store is missing")
	}
	r := p.retries(get, f, "wrong_input", "no_input")
	c.wrong, c.none = r[0], r[1]
	return c
}

func (p *flowReader) endKey(f field) byte {
	if f.name == "" {
		return '#'
	}
	text, at, ok := p.text(f)
	switch {
	case !ok:
	case text == "#" || text == "*":
		return text[0]
	case text != "none":
		p.problem(at, `use "#", "*" or none`, "end_key is %q", text)
	}
	return 0
}

// digits reads "6" or "6..8".
func (p *flowReader) digits(f field, owner position) (lo, hi int) {
	if f.name == "" {
		p.problem(owner, "say how many: digits: 6, or digits: 6..8", "digits are missing")
		return 1, 1
	}
	text, at, ok := p.text(f)
	if !ok {
		return 1, 1
	}
	if m := digitCount.FindStringSubmatch(text); m != nil {
		lo, _ = strconv.Atoi(m[1])
		hi = lo
		if m[2] != "" {
			hi, _ = strconv.Atoi(m[2])
		}
	}
	if lo < 1 || hi < lo || hi > maxDigits {
		p.problem(at, fmt.Sprintf("write one number or a range from 1 to %d, such as 6..8", maxDigits), "digits is %q", text)
		return 1, 1
	}
	return lo, hi
}

// branchValues are the cases that a fact can have; nil means any language.
func branchValues(by fact) []string {
	switch by {
	case byTier:
		var names []string
		for _, t := range routing.Tiers() {
			names = append(names, t.String())
		}
		return names
	case byIdentified:
		return []string{"yes", "no"}
	case byAttested:
		return []string{"A", "B", "C", "none", "invalid"}
	}
	return nil
}

func (p *flowReader) branch(f field) action {
	facts := []string{string(byTier), string(byLanguage), string(byIdentified), string(byAttested)}
	get := p.record(f.value, f.at, "tier, language, identified or attestation, and else", append(facts, "else")...)
	b := &branchStep{cases: map[string]target{}}
	for _, name := range facts {
		cases, ok := get[name]
		if ok && b.by != "" {
			p.problem(cases.at, "make it a step of its own", "a branch looks at one thing, and this one looks at %s already", b.by)
		} else if ok {
			b.by = fact(name)
			p.cases(cases, b)
		}
	}
	if b.by == "" {
		p.problem(f.at, "add tier, language, identified or attestation", "the branch looks at nothing")
		return b
	}
	if e, ok := get["else"]; ok {
		b.otherwise = p.target(e, e.at, "else", "")
	} else if all := branchValues(b.by); all == nil || len(b.cases) < len(all) {
		p.problem(f.at, "name the step for all other cases", "else is missing")
	}
	return b
}

func (p *flowReader) cases(f field, b *branchStep) {
	all := branchValues(b.by)
	for _, c := range p.mapping(f.value, f.at, "cases and steps") {
		to := p.target(c, c.at, c.name, "")
		switch {
		case all != nil && !contains(all, c.name):
			p.problem(c.at, "choose one of "+strings.Join(all, ", "), "%s can't be %q", b.by, c.name)
		case all == nil && !languageName.MatchString(c.name):
			p.problem(c.at, "use two or three small letters, such as zh or en", "language can't be %q", c.name)
		default:
			b.cases[c.name] = to
		}
	}
}

func (p *flowReader) queue(f field) action {
	q := &queueStep{}
	name := f
	if _, ok := p.plain(f.value).(ast.MapNode); ok {
		get := p.record(f.value, f.at, "name and prompts", "name", "prompts")
		q.prompts = p.prompts(get["prompts"])
		if name, ok = get["name"]; !ok {
			p.problem(f.at, "name the queue: {queue: {name: QUEUE}}", "the queue's name is missing")
			return q
		}
	}
	text, at, ok := p.text(name)
	if ok && !contains(p.refs.Queues, text) {
		p.problem(at, suggest(text, p.refs.Queues), "unknown queue %q", text)
	}
	q.queue = routing.QueueID(text)
	return q
}

func (p *flowReader) hangUp(f field) action {
	if f.value == nil || p.plain(f.value) == nil {
		return &hangUpStep{}
	}
	get := p.record(f.value, f.at, "prompts, or nothing", "prompts", "refuse")
	return &hangUpStep{prompts: p.prompts(get["prompts"]), refuse: p.refusal(get["refuse"])}
}
