package ivr

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func (l *fakeLine) dial(ctx context.Context, to string, ring time.Duration, talks func()) (Dialled, error) {
	l.note("dial " + to + " " + ring.String())
	if l.talk == 0 {
		return l.dialled, nil
	}
	talks()
	select {
	case <-time.After(l.talk):
	case <-ctx.Done():
	}
	return DialTalked, nil
}

const dialFlow = `flows:
  f:
    start: out
    time_limit: 1m
    too_long: late
    steps:
      out: {dial: {to: "+861085551234", ring: 20s, next: after, busy: engaged, failed: none}}
      after: {hang_up: }
      engaged: {queue: operator}
      none: {hang_up: }
      late: {hang_up: }
`

// How a dialled call comes out leads on; a talk is no part of the flow's time.
func TestDial(t *testing.T) {
	for _, tc := range []struct {
		out  Dialled
		talk time.Duration
		path string
	}{{DialBusy, 0, "engaged"}, {DialNoAnswer, 0, "none"}, {DialRefused, 0, "none"}, {DialTalked, time.Hour, "after"}} {
		synctest.Test(t, func(t *testing.T) {
			f := mustParse(t, dialFlow)["f"]
			l := newFakeLine(testPrompts())
			l.dialled, l.talk = tc.out, tc.talk
			res, err := run(t.Context(), f, l, testPrompts(), Facts{})
			if err != nil || !slices.Equal(res.Path, []string{"out", tc.path}) {
				t.Errorf("%s: %v, %v", tc.out, res.Path, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := newFakeLine(testPrompts())
		l.talk = time.Hour
		time.AfterFunc(time.Minute+time.Second, cancel)
		if res, err := run(ctx, mustParse(t, dialFlow)["f"], l, testPrompts(), Facts{}); !errors.Is(err, context.Canceled) || res.End != EndGone {
			t.Errorf("the caller hangs up: %s, %v", res.End, err)
		}
	})
}
