package ivr

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var shippedQueues = []string{"inquiry", "complaint", "fault", "operator"}

// under gives the node under "flows:" of a whole file.
func under(t testing.TB, src []byte) ast.Node {
	t.Helper()
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flowsNode(file)
}

func flowsNode(file *ast.File) ast.Node {
	for _, doc := range file.Docs {
		if m, ok := doc.Body.(ast.MapNode); ok {
			for it := m.MapRange(); it.Next(); {
				if it.Key().GetToken().Value == "flows" {
					return it.Value()
				}
			}
		}
	}
	return nil
}

func mustParse(t testing.TB, src string) map[string]*Flow {
	t.Helper()
	flows, problems := Parse(under(t, []byte(src)), Refs{Queues: shippedQueues})
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return flows
}

func TestAWholeFlowHasNoProblem(t *testing.T) {
	src, err := os.ReadFile("testdata/hotline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	prompts, err := Load("", 0)
	if err != nil {
		t.Fatal(err)
	}
	flows, problems := Parse(under(t, src), Refs{Queues: shippedQueues, Prompts: prompts.Has})
	if len(problems) > 0 || flows["main"] == nil {
		t.Fatalf("flows %v, problems %v", flows, problems)
	}
}

func TestTheDocumentedFlowHasNoProblem(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var yaml strings.Builder
	for _, line := range strings.Split(string(src), "\n") {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			fmt.Fprintln(&yaml, code)
		}
	}
	prompts, err := Load("", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, problems := Parse(under(t, []byte(yaml.String())), Refs{Queues: shippedQueues, Prompts: prompts.Has})
	// The hang_up step stands there to be read; nothing leads to it.
	want := []Problem{
		{Line: 38, Column: 7, What: `flow main: step "test" is never reached`, Hint: "lead to it from another step, or remove it"},
		{Line: 39, Column: 7, What: `flow main: step "outside" is never reached`, Hint: "lead to it from another step, or remove it"},
		{Line: 40, Column: 7, What: `flow main: step "bye" is never reached`, Hint: "lead to it from another step, or remove it"},
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
}

// inFlow puts steps, each on a line from line 5 on, into a flow that starts at s.
func inFlow(steps ...string) string {
	return "flows:\n  main:\n    start: s\n    steps:\n      " + strings.Join(steps, "\n      ") + "\n"
}

const menu = `s: {menu: {prompts: [welcome], keys: {"1": q}, too_many: q`

func TestProblems(t *testing.T) {
	q := "q: {queue: operator}"
	for _, tt := range []struct {
		name string
		src  string
		want []string // LINE:COLUMN: what; hint
	}{
		{"a dial without anything", inFlow("s: {dial: {}}"), []string{
			`5:11: flow main, step s: to is missing; name a number or an extension: to: "+861095599"`,
			`5:11: flow main, step s: failed is missing; name the step for a call that isn't answered`}},
		{"no flows", "flows:\n", []string{`1:8: nothing here; give it flows by name`}},
		{"flows are a list", "flows: [a]\n", []string{`1:8: a mapping is needed here; give it flows by name`}},
		{"an empty flow", "flows:\n  main:\n", []string{
			`2:3: flow main: nothing here; give it start and steps`,
			`2:3: flow main: start is missing; name the step the flow begins with`,
			`2:3: flow main: steps are missing; write the steps by name`}},
		{"unknown field of a flow", "flows:\n  main:\n    start: q\n    limit: 5m\n    steps: {q: {queue: operator}}\n", []string{
			`4:5: flow main: unknown field "limit"; choose one of start, time_limit, too_long, early, steps`}},
		{"time limit", "flows:\n  main:\n    start: q\n    time_limit: 2h\n    steps: {q: {queue: operator}}\n", []string{
			`4:17: flow main: time_limit is "2h"; give it a time from 10s to 1h, such as 10m`}},
		{"too_long goes on", "flows:\n  main:\n    start: s\n    too_long: s\n    steps: {s: {play: {prompts: [welcome], next: q}}, q: {queue: operator}}\n", []string{
			`4:15: flow main: too_long leads to "s", where the flow goes on; name a queue or hang_up step`}},
		{"unknown start", "flows:\n  main:\n    start: strat\n    steps: {start: {queue: operator}}\n", []string{
			`3:12: flow main: unknown step "strat"; did you mean "start"?`}},

		{"step without an action", inFlow("s:"), []string{
			`5:7: flow main, step s: nothing here; give it one of play, menu, collect, branch, echo, dial, answer, queue, hang_up`}},
		{"unknown action", inFlow("s: {queu: operator}"), []string{
			`5:11: flow main, step s: unknown action "queu"; did you mean "queue"?`}},
		{"two actions", inFlow("s: {queue: operator, hang_up: }"), []string{
			`5:28: flow main, step s: a step does one thing, and this one has queue already; make it a step of its own`}},
		{"unknown queue", inFlow("s: {queue: operater}"), []string{
			`5:18: flow main, step s: unknown queue "operater"; did you mean "operator"?`}},
		{"queue without a name", inFlow("s: {queue: {prompts: [goodbye]}}"), []string{
			`5:11: flow main, step s: the queue's name is missing; name the queue: {queue: {name: QUEUE}}`}},
		{"unknown prompt", inFlow("s: {hang_up: {prompts: [goodby]}}"), []string{
			`5:31: flow main, step s: unknown prompt "goodby"; did you mean "goodbye"?`}},
		{"unknown prompt far from any", inFlow("s: {hang_up: {prompts: our-summer-sale}}"), []string{
			`5:30: flow main, step s: unknown prompt "our-summer-sale"; add our-summer-sale.zh.wav or our-summer-sale.en.wav to the folder of prompts`}},
		{"unknown step", inFlow("s: {play: {prompts: [welcome], next: x}}", q, "y: {hang_up: }"), []string{
			`5:44: flow main, step s: unknown step "x"; choose one of s, q, y`,
			`6:7: flow main: step "q" is never reached; lead to it from another step, or remove it`,
			`7:7: flow main: step "y" is never reached; lead to it from another step, or remove it`}},
		{"a misspelt step isn't unreachable too", inFlow("s: {play: {prompts: [welcome], next: goodbey}}", "goodbye: {hang_up: }"), []string{
			`5:44: flow main, step s: unknown step "goodbey"; did you mean "goodbye"?`}},
		{"play without prompts and next", inFlow("s: {play: {barge_in: maybe}}"), []string{
			`5:11: flow main, step s: prompts are missing; list at least one: prompts: [welcome]`,
			`5:11: flow main, step s: next is missing; name the step that follows`,
			`5:28: flow main, step s: barge_in is "maybe"; write true or false`}},
		{"no prompts in the list", inFlow("s: {play: {prompts: [], next: q}}", q), []string{
			`5:18: flow main, step s: prompts are empty; list at least one: prompts: [welcome]`}},

		{"menu key", inFlow(`s: {menu: {prompts: [welcome], keys: {"1": q, "12": q, A: q}, too_many: q}}`, q), []string{
			`5:53: flow main, step s: key "12" is not on a telephone; use "0" to "9", "*" or "#", in quotes`,
			`5:62: flow main, step s: key "A" is not on a telephone; use "0" to "9", "*" or "#", in quotes`}},
		{"menu without keys and too_many", inFlow(`s: {menu: {prompts: [welcome]}}`), []string{
			`5:11: flow main, step s: keys are missing; write at least one: keys: {"1": STEP}`,
			`5:11: flow main, step s: too_many is missing; name the step after the last try`}},
		{"menu with no keys in the list", inFlow(`s: {menu: {prompts: [welcome], keys: {}, too_many: q}}`, q), []string{
			`5:38: flow main, step s: keys are empty; write at least one: {"1": STEP}`}},
		{"menu numbers", inFlow(menu+`, wait: 5, tries: 0, wrong_key: {tries: 11}, no_key: {try: 2}}}`, q), []string{
			`5:73: flow main, step s: wait is "5"; give it a time from 1s to 1m, such as 5s`,
			`5:83: flow main, step s: tries is "0"; give it a number from 1 to 10`,
			`5:105: flow main, step s: tries is "11"; give it a number from 1 to 10`,
			`5:119: flow main, step s: unknown field "try"; choose one of prompts, tries, next`}},
		{"menu language", inFlow(`s: {menu: {prompts: [welcome], keys: {"1": {language: Chinese, next: q}, "2": {language: en}}, too_many: q}}`, q), []string{
			`5:61: flow main, step s: language is "Chinese"; use two or three small letters, such as zh or en`,
			`5:80: flow main, step s: next is missing; name the step that follows`}},
		{"each failure leads somewhere", inFlow(`s: {menu: {prompts: [welcome], keys: {"1": q}, wrong_key: {next: q}, no_key: {next: q}}}`, q), nil},

		{"digits the wrong way round", inFlow(`s: {collect: {prompts: [enter-number], digits: 8..6, store: n, next: q, too_many: q}}`, q), []string{
			`5:54: flow main, step s: digits is "8..6"; write one number or a range from 1 to 32, such as 6..8`}},
		{"too many digits", inFlow(`s: {collect: {prompts: [enter-number], digits: 33, store: n, next: q, too_many: q}}`, q), []string{
			`5:54: flow main, step s: digits is "33"; write one number or a range from 1 to 32, such as 6..8`}},
		{"collect without most of it", inFlow(`s: {collect: {prompts: [enter-number], end_key: "5"}}`), []string{
			`5:11: flow main, step s: next is missing; name the step that follows`,
			`5:11: flow main, step s: digits are missing; say how many: digits: 6, or digits: 6..8`,
			`5:11: flow main, step s: store is missing; name what is collected, such as customer_number`,
			`5:11: flow main, step s: too_many is missing; name the step after the last try`,
			`5:55: flow main, step s: end_key is "5"; use "#", "*" or none`}},

		{"echo in one word", inFlow(`s: {echo: }`), nil},
		{"echo with all of it", inFlow(`s: {echo: {prompts: [welcome], for: 1m, next: q}}`, q), nil},
		{"echo without end", inFlow(`s: {echo: {for: 2m, nxt: q}}`), []string{
			`5:23: flow main, step s: for is "2m"; give it a time from 1s to 1m, such as 10s`,
			`5:27: flow main, step s: unknown field "nxt"; did you mean "next"?`}},
		{"echo of itself", inFlow(`s: {echo: {next: s}}`), []string{
			`5:24: flow main: a caller who presses no key goes round for ever: s -> s; lead one of them to a queue or hang_up step`}},
		{"early", "flows:\n  main:\n    start: s\n    early: 3m\n    steps:\n      s: {answer: {next: h}}\n      h: {hang_up: {refuse: 404}}\n", nil},
		{"early for too long", "flows:\n  main:\n    start: h\n    early: 1h\n    steps: {h: {hang_up: {refuse: 503}}}\n", []string{
			`4:12: flow main: early is "1h"; give it a time from 10s to 10m, such as 3m`,
			`5:27: flow main, step h: refuse can't be 503; use 404, 410, 480, 486, 600 or 603`}},
		{"early only", inFlow("s: {answer: {next: h}}", "h: {hang_up: {refuse: 480}}"), []string{
			`5:11: flow main, step s: an answer step means nothing in a flow that is answered at once; give the flow early: 3m, or remove this`,
			`6:21: flow main, step h: refuse means nothing in a flow that is answered at once; give the flow early: 3m, or remove this`}},
		{"answer without next", "flows:\n  main:\n    start: s\n    early: 3m\n    steps: {s: {answer: {}}}\n", []string{
			`5:17: flow main, step s: next is missing; name the step that follows`}},
		{"branch by an unknown tier", inFlow(`s: {branch: {tier: {A3: q}, else: q}}`, q), []string{
			`5:27: flow main, step s: tier can't be "A3"; choose one of A1, A2, B1, B2, C`}},
		{"branch without else", inFlow(`s: {branch: {tier: {A1: q}}}`, q), []string{
			`5:11: flow main, step s: else is missing; name the step for all other cases`}},
		{"branch with every case needs no else", inFlow(`s: {branch: {identified: {yes: q, no: q}}}`, q), nil},
		{"branch by two things", inFlow(`s: {branch: {tier: {A1: q}, language: {zh: q}, else: q}}`, q), []string{
			`5:35: flow main, step s: a branch looks at one thing, and this one looks at tier already; make it a step of its own`}},
		{"branch by nothing", inFlow(`s: {branch: {else: q}}`, q), []string{
			`5:11: flow main, step s: the branch looks at nothing; add tier, language, identified or attestation`,
			`6:7: flow main: step "q" is never reached; lead to it from another step, or remove it`}},
		{"branch by a language's name", inFlow(`s: {branch: {language: {English: q}, else: q}}`, q), []string{
			`5:31: flow main, step s: language can't be "English"; use two or three small letters, such as zh or en`}},

		{"branches in a circle", inFlow(`s: {branch: {tier: {A1: t, A2: t}, else: q}}`, `t: {branch: {tier: {A1: s}, else: q}}`, q), []string{
			`6:31: flow main: a caller who presses no key goes round for ever: s -> t -> s; lead one of them to a queue or hang_up step`}},
		{"a prompt that repeats itself", inFlow(`s: {play: {prompts: [welcome], next: s}}`), []string{
			`5:44: flow main: a caller who presses no key goes round for ever: s -> s; lead one of them to a queue or hang_up step`}},
		{"silence leads back to the menu", inFlow(`s: {menu: {prompts: [welcome], keys: {"1": q}, wrong_key: {next: q}, no_key: {next: s}}}`, q), []string{
			`5:91: flow main: a caller who presses no key goes round for ever: s -> s; lead one of them to a queue or hang_up step`}},
		{"a key that repeats the menu is the caller's own choice", inFlow(`s: {menu: {prompts: [welcome], keys: {"1": q, "9": s}, too_many: q}}`, q), nil},

		{"aliases", "flows:\n  a: &a {start: s, steps: {s: {hang_up: }}}\n  b: *a\n", []string{
			`3:3: flow b: start is missing; name the step the flow begins with`,
			`3:3: flow b: steps are missing; write the steps by name`,
			`3:6: flow b: aliases are not read in flows; write the value out`}},
		{"merged keys", "flows:\n  a:\n    <<: {start: s}\n    start: s\n    steps: {s: {hang_up: }}\n", []string{
			`3:5: flow a: this kind of key is not read in flows; write the name plainly, then a colon`}},
		{"a mapping for a name", inFlow("s: {queue: {name: {a: b}}}"), []string{
			`5:25: flow main, step s: name must be a single value; write it on one line, without brackets`}},
		{"an empty name", inFlow("s: {queue: {name: }}"), []string{
			`5:19: flow main, step s: name is empty; give it a value or remove it`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prompts, err := Load("", 0)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := Parse(under(t, []byte(tt.src)), Refs{Queues: shippedQueues, Prompts: prompts.Has})
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d:%d: %s; %s", p.Line, p.Column, p.What, p.Hint))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile("testdata/hotline.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(src))
	f.Add(inFlow(`s: {collect: {prompts: [enter-number], digits: 6..8, end_key: "#", wait: 8s, store: n, next: q, too_many: q}}`, "q: {hang_up: }"))
	f.Add(inFlow("s: &x {play: {prompts: !!str welcome, next: *x}}", "? y", ": |\n        z"))
	f.Add("flows: {a: {start: b, steps: {b: {branch: {language: {zh: b}, else: b}}}}}")
	f.Fuzz(func(t *testing.T, src string) {
		file, err := parser.ParseBytes([]byte(src), 0)
		if err != nil {
			return
		}
		flows, problems := Parse(flowsNode(file), Refs{Queues: shippedQueues})
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.What == "" || p.Hint == "" {
				t.Errorf("a problem that does not say where, what and how: %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		for name, flow := range flows { // a flow without problems can be run: every way leads to a step
			if flow.steps[flow.start] == nil {
				t.Errorf("flow %q has no first step", name)
			}
			for step, a := range flow.steps {
				for _, e := range a.exits() {
					if e.step != "" && flow.steps[e.step] == nil {
						t.Errorf("flow %q, step %q leads to %q", name, step, e.step)
					}
				}
			}
			if _, res := heard(t, flow, Facts{}, nil); res.End == EndStepLimit || res.End == EndFailed {
				t.Errorf("flow %q leads a caller who presses no key to %s by %q", name, res.End, res.Path)
			}
		}
	})
}
