package ivr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotline/media"
	"hotline/routing"
)

// testPrompts holds a, b, c and sorry: 1 s in Chinese, 2 s in English.
func testPrompts() *Prompts {
	p := &Prompts{clips: map[string]map[string]*media.Clip{}}
	for _, n := range []string{"a", "b", "c", "sorry"} {
		p.clips[n] = map[string]*media.Clip{"zh": media.Quiet(time.Second), "en": media.Quiet(2 * time.Second)}
	}
	return p
}

// fakeLine is a caller's line on the clock of synctest, which notes what sounds when.
type fakeLine struct {
	start   time.Time
	names   map[*media.Clip]string
	keys    chan media.Digit
	hand    sync.Mutex // held while keys are pressed at once, so that none is acted on before all are
	log     []string
	done    chan struct{}
	playing *time.Timer
	dialled Dialled       // how a call comes out that isn't answered
	talk    time.Duration // how long one lasts that is
	left    bool          // before the answer
	hungUp  chan struct{} // nil: never
	silent  chan struct{}
}

func newFakeLine(p *Prompts) *fakeLine {
	l := &fakeLine{start: time.Now(), names: map[*media.Clip]string{}, keys: make(chan media.Digit, 32)}
	for name, clips := range p.clips {
		for language, c := range clips {
			l.names[c] = name + "." + language
		}
	}
	return l
}

func (l *fakeLine) note(what string) {
	l.log = append(l.log, fmt.Sprintf("%v %s", time.Since(l.start), what))
}

func (l *fakeLine) play(a media.Audio) <-chan struct{} {
	what := "say"
	var clips []*media.Clip
	if s, ok := a.(*sequence); ok {
		clips = s.clips
	}
	for _, c := range clips {
		if n := l.names[c]; n != "" {
			what += " " + n
		}
	}
	l.note(what)
	done := make(chan struct{})
	l.done = done
	l.playing = time.AfterFunc(time.Duration(a.Frames())*20*time.Millisecond, func() { close(done) })
	return done
}

func (l *fakeLine) silence() {
	l.hand.Lock()
	defer l.hand.Unlock()
	l.note("stop")
	if l.playing.Stop() {
		close(l.done)
	}
}

func (l *fakeLine) answer() bool { l.note("answer"); return !l.left }

func (l *fakeLine) private(on bool) { l.note(fmt.Sprint("private ", on)) }

func (l *fakeLine) digits() <-chan media.Digit { return l.keys }

// press sends keys at a time after the start, all at once.
func (l *fakeLine) press(at time.Duration, keys string) {
	time.AfterFunc(at, func() {
		l.hand.Lock()
		defer l.hand.Unlock()
		for _, k := range []byte(keys) {
			select {
			case l.keys <- media.Digit{Key: k, At: time.Since(l.start)}:
			default: // as a leg does: more than 32 unused keys are dropped
			}
		}
	})
}

// heard runs a flow for a caller who presses keys at times, and tells what was heard and what
// came of it, each line with its time.
func heard(t *testing.T, f *Flow, facts Facts, presses map[time.Duration]string) (string, Result) {
	t.Helper()
	var log []string
	var res Result
	synctest.Test(t, func(t *testing.T) {
		prompts := testPrompts()
		l := newFakeLine(prompts)
		for at, keys := range presses {
			l.press(at, keys)
		}
		var err error
		if res, err = run(t.Context(), f, l, prompts, facts); err != nil {
			t.Errorf("run: %v", err)
		}
		l.note(strings.TrimSpace(res.End + " " + string(res.Queue)))
		log = l.log
		time.Sleep(time.Hour) // let presses that come too late pass; the clock is synctest's
	})
	return strings.Join(log, "\n"), res
}

const ms = time.Millisecond

type presses = map[time.Duration]string

func TestCallersOnTheMenu(t *testing.T) {
	flows := mustParse(t, `
flows:
  main:
    start: language
    steps:
      language:
        menu:
          prompts: [a, b]
          wait: 5s
          keys: {"1": {language: zh, next: service}, "2": {language: en, next: service}}
          wrong_key: {prompts: [sorry]}
          too_many: operator
      service:
        menu:
          prompts: [c]
          wait: 4s
          tries: 3
          keys: {"1": inquiry, "2": complaint, "*": service}
          wrong_key: {prompts: [sorry], next: fault}
          no_key: {prompts: [a], tries: 2}
          too_many: operator
      inquiry: {queue: inquiry}
      complaint: {queue: {name: complaint, prompts: [b]}}
      fault: {queue: fault}
      operator: {queue: operator}
`)
	const both = "0s say a.zh b.zh a.en b.en\n" // 1+1+2+2 s and three pauses: 6.6 s
	for _, tt := range []struct {
		name    string
		facts   Facts
		presses presses
		want    string
	}{
		{"hears both languages, waits, chooses, and hears the chosen one", Facts{}, presses{8 * time.Second: "2", 11 * time.Second: "1"},
			both + "8s say c.en\n11s queue inquiry"},
		{"a language that is known is spoken at once", Facts{Language: "zh"}, presses{3 * time.Second: "1", 5 * time.Second: "1"},
			"0s say a.zh b.zh\n3s say c.zh\n5s queue inquiry"},
		{"a key stops the prompt at once", Facts{}, presses{300 * ms: "1", 800 * ms: "1"},
			both + "300ms stop\n300ms say c.zh\n800ms stop\n800ms queue inquiry"},
		{"keys typed ahead are used, their prompts unheard; what plays before the queue is heard", Facts{}, presses{500 * ms: "12"},
			both + "500ms stop\n500ms say b.zh\n1.5s queue complaint"},
		{"a wrong key forgets what was typed behind it", Facts{}, presses{500 * ms: "911", 2 * time.Second: "2", 2500 * ms: "1"},
			both + "500ms stop\n500ms say sorry.zh sorry.en\n2s stop\n2s say c.en\n2.5s stop\n2.5s queue inquiry"},
		{"no key at all: three times the menu, then a person", Facts{Language: "zh"}, nil,
			"0s say a.zh b.zh\n7.2s say a.zh b.zh\n14.4s say a.zh b.zh\n21.6s queue operator"},
		{"a key in the last moment counts", Facts{Language: "zh"}, presses{7200*ms - 1: "1", 8 * time.Second: "1"},
			"0s say a.zh b.zh\n7.199999999s say c.zh\n8s stop\n8s queue inquiry"},
		{"three wrong keys lead elsewhere than silence", Facts{}, presses{ms: "1", 1000 * ms: "7", 1900 * ms: "8", 2800 * ms: "9"},
			both + "1ms stop\n1ms say c.zh\n1s stop\n1s say sorry.zh\n1.9s stop\n1.9s say sorry.zh\n2.8s stop\n2.8s queue fault"},
		{"wrong keys and silence are counted each alone", Facts{}, presses{ms: "1", 1000 * ms: "7", 9500 * ms: "8", 16 * time.Second: "2"},
			both + "1ms stop\n1ms say c.zh\n1s stop\n1s say sorry.zh\n2s say c.zh\n7s say a.zh\n8s say c.zh\n9.5s say sorry.zh\n10.5s say c.zh\n15.5s queue operator"},
		{"the menu again, by the caller's own key, counts anew", Facts{Language: "zh"}, presses{ms: "1", 8 * time.Second: "*", 16 * time.Second: "*", 18 * time.Second: "1"},
			"0s say a.zh b.zh\n1ms stop\n1ms say c.zh\n5.001s say a.zh\n6.001s say c.zh\n8s say c.zh\n13s say a.zh\n14s say c.zh\n16s say c.zh\n18s queue inquiry"},
		{"more keys than anybody means are dropped", Facts{Language: "zh"}, presses{ms: "1" + strings.Repeat("*", 31), 2 * ms: "*****1"},
			"0s say a.zh b.zh\n1ms stop\n1ms say c.zh\n2ms stop\n2ms queue inquiry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := heard(t, flows["main"], tt.facts, tt.presses)
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallersWhoEnterANumber(t *testing.T) {
	flows := mustParse(t, `
flows:
  main:
    start: number
    steps:
      number:
        collect:
          prompts: [a]
          digits: 3..5
          wait: 4s
          tries: 2
          store: customer_number
          next: next
          wrong_input: {prompts: [sorry], next: fault}
          no_input: {prompts: [b]}
          too_many: operator
      next: {menu: {prompts: [c], wait: 2s, tries: 1, keys: {"1": inquiry}, wrong_key: {next: complaint}, too_many: operator}}
      inquiry: {queue: inquiry}
      complaint: {queue: complaint}
      fault: {queue: fault}
      operator: {queue: operator}
`)
	for _, tt := range []struct {
		name    string
		presses presses
		want    string
		number  string
	}{
		{"five digits are complete without an end", presses{1500 * ms: "12345", 4 * time.Second: "1"},
			"0s say a.zh\n1.5s say c.zh\n4s queue inquiry", "12345"},
		{"the end key behind complete digits belongs to them", presses{1500 * ms: "12345", 2 * time.Second: "#", 4 * time.Second: "1"},
			"0s say a.zh\n1.5s say c.zh\n4s queue inquiry", "12345"},
		{"also when all was typed ahead", presses{500 * ms: "12345#1"},
			"0s say a.zh\n500ms stop\n500ms queue inquiry", "12345"},
		{"an end key much later is one for the menu", presses{1500 * ms: "12345", 5500 * ms: "#"},
			"0s say a.zh\n1.5s say c.zh\n4.5s queue operator", "12345"},
		{"a second end key is one for the menu", presses{1500 * ms: "12345", 2 * time.Second: "##"},
			"0s say a.zh\n1.5s say c.zh\n2s stop\n2s queue complaint", "12345"},
		{"the end key ends the number", presses{500 * ms: "123", 1500 * ms: "#", 2 * time.Second: "1"},
			"0s say a.zh\n500ms stop\n1.5s say c.zh\n2s stop\n2s queue inquiry", "123"},
		{"a pause ends the number", presses{500 * ms: "12", 4 * time.Second: "34"},
			"0s say a.zh\n500ms stop\n8s say c.zh\n11s queue operator", "1234"},
		{"too few digits, then enough", presses{500 * ms: "12#", 2 * time.Second: "1234#1"},
			"0s say a.zh\n500ms stop\n500ms say sorry.zh\n1.5s say a.zh\n2s stop\n2s queue inquiry", "1234"},
		{"too few digits twice", presses{500 * ms: "12#", 2 * time.Second: "1#"},
			"0s say a.zh\n500ms stop\n500ms say sorry.zh\n1.5s say a.zh\n2s stop\n2s queue fault", ""},
		{"a star is no digit and forgets the rest", presses{500 * ms: "12*345", 2 * time.Second: "55555", 4 * time.Second: "1"},
			"0s say a.zh\n500ms stop\n500ms say sorry.zh\n1.5s say a.zh\n2s stop\n2s say c.zh\n4s queue inquiry", "55555"},
		{"nothing twice", nil, "0s say a.zh\n5s say b.zh\n6s say a.zh\n11s queue operator", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, res := heard(t, flows["main"], Facts{Language: "zh"}, tt.presses)
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
			if n := res.Collected["customer_number"]; n != tt.number {
				t.Errorf("collected %q, want %q", n, tt.number)
			}
		})
	}
}

func TestBranches(t *testing.T) {
	flows := mustParse(t, `
flows:
  main:
    start: tier
    steps:
      tier: {branch: {tier: {A1: vip, B2: vip}, else: known}}
      known: {branch: {identified: {yes: language, no: operator}}}
      language: {branch: {language: {zh: inquiry, en: complaint}, else: fault}}
      vip: {play: {prompts: [a], next: goodbye}}
      goodbye: {hang_up: {prompts: [b]}}
      inquiry: {queue: inquiry}
      complaint: {queue: complaint}
      fault: {queue: fault}
      operator: {branch: {attestation: {A: signed, invalid: forged}, else: nobody}}
      signed: {queue: inquiry}
      forged: {queue: fault}
      nobody: {queue: operator}
`)
	for _, tt := range []struct {
		facts Facts
		want  string
		path  []string
	}{
		{Facts{Tier: routing.TierA1, Language: "en"}, "0s say a.en\n2s say b.en\n4s hang_up", []string{"tier", "vip", "goodbye"}},
		{Facts{Tier: routing.TierB2}, "0s say a.zh a.en\n3.2s say b.zh b.en\n6.4s hang_up", []string{"tier", "vip", "goodbye"}},
		{Facts{Tier: routing.TierA2, Identified: true, Language: "zh"}, "0s queue inquiry", []string{"tier", "known", "language", "inquiry"}},
		{Facts{Identified: true, Language: "en-GB"}, "0s queue complaint", []string{"tier", "known", "language", "complaint"}},
		{Facts{Identified: true}, "0s queue fault", []string{"tier", "known", "language", "fault"}},
		{Facts{}, "0s queue operator", []string{"tier", "known", "operator", "nobody"}},
		{Facts{Attestation: "B"}, "0s queue operator", []string{"tier", "known", "operator", "nobody"}},
		{Facts{Attestation: "A"}, "0s queue inquiry", []string{"tier", "known", "operator", "signed"}},
		{Facts{Attestation: "invalid"}, "0s queue fault", []string{"tier", "known", "operator", "forged"}},
	} {
		got, res := heard(t, flows["main"], tt.facts, nil)
		if got != tt.want {
			t.Errorf("%+v: heard\n%s\nwant\n%s", tt.facts, got, tt.want)
		}
		if diff := cmp.Diff(tt.path, res.Path); diff != "" {
			t.Errorf("%+v: %s", tt.facts, diff)
		}
	}
}

func TestKeysDuringAnnouncements(t *testing.T) {
	flow := func(bargeIn string) *Flow {
		return mustParse(t, inFlow(
			`s: {play: {prompts: [a], next: m, barge_in: `+bargeIn+`}}`,
			`m: {menu: {prompts: [b], keys: {"1": {language: en, next: q}}, too_many: q}}`,
			`q: {queue: {name: operator, prompts: [c]}}`))["main"]
	}
	for _, tt := range []struct{ name, bargeIn, want string }{
		{"barge-in", "true", "0s say a.zh\n400ms stop\n400ms say c.en\n2.4s queue operator"},
		{"the key waits for the end of what must be heard", "false", "0s say a.zh\n1s say c.en\n3s queue operator"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := heard(t, flow(tt.bargeIn), Facts{Language: "zh"}, presses{400 * ms: "1", 1500 * ms: "5"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	src := func(tooLong string) string {
		return "flows:\n  main:\n    start: m\n    time_limit: 30s\n" + tooLong + `
    steps:
      m: {menu: {prompts: [a], wait: 5s, tries: 10, keys: {"9": m, "1": q}, too_many: q}}
      q: {queue: {name: operator, prompts: [b]}}
`
	}
	for _, tt := range []struct {
		name, tooLong string
		presses       presses
		want          string
		path          int
	}{
		{"time is over: hang up", "", nil, "30s stop\n30s time_limit", 1},
		{"time is over: a person, at once", "    too_long: q", nil, "30s stop\n30s time_limit operator", 2},
		{"too many steps", "    too_long: q", func() presses {
			p := presses{}
			for i := range 250 {
				p[time.Duration(i)*10*ms] = "9"
			}
			return p
		}(), "1.99s stop\n1.99s step_limit operator", maxSteps + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, res := heard(t, mustParse(t, src(tt.tooLong))["main"], Facts{Language: "zh"}, tt.presses)
			if !strings.HasSuffix("\n"+got, "\n"+tt.want) {
				t.Errorf("heard\n%s\nwant at the end\n%s", got, tt.want)
			}
			if len(res.Path) != tt.path {
				t.Errorf("%d steps, want %d", len(res.Path), tt.path)
			}
		})
	}
}

func TestTheCallerHangsUp(t *testing.T) {
	flow := mustParse(t, inFlow(`s: {menu: {prompts: [a], keys: {"1": {language: en, next: s}}, too_many: q}}`, "q: {queue: operator}"))["main"]
	gone := errors.New("caller hung up")
	for _, tt := range []struct {
		name   string
		at     time.Duration
		end    func(cancel func(), l *fakeLine)
		want   string
		result string
		err    error
	}{
		{"during a prompt", 500 * ms, func(cancel func(), _ *fakeLine) { cancel() }, "0s say a.zh a.en\n500ms stop", EndGone, gone},
		{"while a key is awaited", 4 * time.Second, func(cancel func(), _ *fakeLine) { cancel() }, "0s say a.zh a.en", EndGone, gone},
		{"the line closes during a prompt", 500 * ms, func(_ func(), l *fakeLine) { close(l.keys) }, "0s say a.zh a.en", EndFailed, errLineClosed},
		{"the line closes while a key is awaited", 4 * time.Second, func(_ func(), l *fakeLine) { close(l.keys) }, "0s say a.zh a.en", EndFailed, errLineClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				prompts := testPrompts()
				l := newFakeLine(prompts)
				time.AfterFunc(tt.at, func() { tt.end(func() { cancel(gone) }, l) })
				res, err := run(ctx, flow, l, prompts, Facts{})
				if !errors.Is(err, tt.err) || res.End != tt.result || time.Since(l.start) != tt.at {
					t.Errorf("ended after %v as %q with %v, want %v, %q, %v", time.Since(l.start), res.End, err, tt.at, tt.result, tt.err)
				}
				if diff := cmp.Diff(tt.want, strings.Join(l.log, "\n")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The recording is paused while digits are asked for, and goes on behind.
func TestPausesRecordingWhileDigitsAreAsked(t *testing.T) {
	flows := mustParse(t, `
flows:
  main:
    start: card
    steps:
      card: {collect: {prompts: [a], digits: 2, end_key: none, store: card, next: next, too_many: next, pause_recording: true}}
      next: {menu: {prompts: [b], keys: {"1": q}, too_many: q}}
      q: {queue: operator}
`)
	got, _ := heard(t, flows["main"], Facts{Language: "zh"}, presses{500 * ms: "12", 900 * ms: "1"})
	want := `0s private true
0s say a.zh
500ms stop
500ms private false
500ms say b.zh
900ms stop
900ms queue operator`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
