package ivr

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const earlyFlow = `
flows:
  main:
    start: m
    early: 1m
    time_limit: 20s
    too_long: late
    steps:
      m: {menu: {prompts: [a], wait: 5s, tries: 10, keys: {"1": paid, "2": no, "3": plain}, too_many: late}}
      paid: {answer: {next: q}}
      q: {queue: {name: operator, prompts: [b]}}
      no: {hang_up: {prompts: [c], refuse: 486}}
      plain: {hang_up: }
      late: {hang_up: {refuse: 603}}
  other: {start: q, steps: {q: {queue: operator}}}
`

// An early flow answers where it says so, and tells how a caller is refused who never was.
func TestEarlyFlows(t *testing.T) {
	flows := mustParse(t, earlyFlow)
	if got, other := flows["main"].Early(), flows["other"].Early(); got != time.Minute || other != 0 {
		t.Errorf("early for %v, and for %v", got, other)
	}
	for _, tt := range []struct {
		name, keys, want string
		refuse           int
	}{
		{"answered", "1", "0s say a.zh\n400ms stop\n400ms answer\n400ms say b.zh\n1.4s queue operator", 0},
		{"refused as it says", "2", "0s say a.zh\n400ms stop\n400ms say c.zh\n1.4s hang_up", 486},
		{"refused without a word", "3", "0s say a.zh\n400ms stop\n400ms hang_up", 0},
		{"refused after too long", "", "0s say a.zh\n6s say a.zh\n12s say a.zh\n18s say a.zh\n20s time_limit", 603},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, res := heard(t, flows["main"], Facts{Language: "zh"}, presses{400 * ms: tt.keys})
			if diff := cmp.Diff(tt.want, got); diff != "" || res.Refuse != tt.refuse {
				t.Errorf("refused with %d\n%s", res.Refuse, diff)
			}
		})
	}
}

// Who has gone before the answer hears nothing more.
func TestAnswerOfWhoHasGone(t *testing.T) {
	flow := mustParse(t, earlyFlow)["main"]
	synctest.Test(t, func(t *testing.T) {
		prompts := testPrompts()
		l := newFakeLine(prompts)
		l.left = true
		l.press(0, "1")
		if res, err := run(t.Context(), flow, l, prompts, Facts{Language: "zh"}); !errors.Is(err, errLineClosed) || res.Queue != "" {
			t.Errorf("%+v, %v", res, err)
		}
	})
}
