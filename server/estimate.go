package server

import (
	"context"
	"slices"
	"time"

	"hotline/routing"
	"hotline/routing/simulate"
)

const (
	// estimateShare is the part of the time between two estimates that one may take.
	estimateShare = 2
	// estimateKept is how long an estimate that comes out the same isn't told again;
	// routing believes it for longer.
	estimateKept = 2 * time.Minute
)

// estimates is what routing was told last, by queue; its goroutine owns it.
type estimates map[routing.QueueID]toldEstimate

type toldEstimate struct {
	tiers []routing.TierEstimate
	at    time.Time
}

// estimateLoop looks ahead from time to time and tells routing what callers have to
// expect.
func (s *Server) estimateLoop() {
	told := estimates{}
	for {
		every := s.settings.Load().Routing.EstimateEvery
		wait := every
		if every == 0 {
			wait = estimateKept // a reload may switch it on
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.quit:
			t.Stop()
			return
		}
		if every > 0 {
			s.estimate(every, told)
		}
	}
}

// estimate looks ahead once. It may use a share of the time until the next one.
func (s *Server) estimate(every time.Duration, told estimates) {
	ctx, cancel := context.WithTimeout(s.ctx, every/estimateShare)
	defer cancel()
	var frozen *routing.Frozen
	if err := s.core.view(ctx, func(st *routing.State) { frozen = st.Freeze() }); err != nil {
		s.log.Warn("nothing estimated", "error", err)
		return
	}
	found, err := simulate.Expect(ctx, frozen, &s.recent, simulate.Forecast{Seed: frozen.Seq(), At: now(), Breathe: breather(ctx)})
	if err != nil {
		s.log.Error("nothing estimated", "error", err)
		return
	}
	for _, ev := range found {
		if last, ok := told[ev.Queue]; ok && slices.EqualFunc(last.tiers, ev.Tiers, alike) && time.Since(last.at) < estimateKept {
			continue
		}
		told[ev.Queue] = toldEstimate{ev.Tiers, time.Now()}
		s.core.post(ev)
	}
	if ctx.Err() == nil { // else there was no time for the others
		s.takeBack(found, told)
	}
}

// Looking ahead goes on for lookAhead at a time and rests for breath, or for as long as it took, up to longBreath: a call that is
// set up meanwhile passes from goroutine to goroutine, and each may have to wait for so long where there is one processor for all.
const (
	lookAhead  = 200 * time.Microsecond
	breath     = 300 * time.Microsecond
	longBreath = 20 * time.Millisecond
)

// breather lets others go first while looking ahead, until ctx ends. A sleep, however short, does what yielding doesn't: the
// scheduler looks who waits for the network. It does so last of all, after the garbage collector's turn, which a sleep
// that is shorter than what came before it doesn't outlast.
func breather(ctx context.Context) func() {
	last := time.Now()
	return func() {
		took := time.Since(last)
		if took < lookAhead || ctx.Err() != nil {
			return
		}
		time.Sleep(min(max(breath, took), longBreath))
		last = time.Now()
	}
}

// alike says that two estimates differ by no more than chance, which would fill the
// journal: by a tenth, or two seconds.
func alike(a, b routing.TierEstimate) bool {
	near := func(x, y routing.Duration) bool { return max(x, y)-min(x, y) <= max(max(x, y)/10, 2*routing.Second) }
	return a.Tier == b.Tier && near(a.P50, b.P50) && near(a.P80, b.P80)
}

// takeBack tells routing of which queues nothing can be said any more, such as one that
// nobody is there for.
func (s *Server) takeBack(found []routing.Estimated, told estimates) {
	for q := range told { // each on its own
		if !slices.ContainsFunc(found, func(ev routing.Estimated) bool { return ev.Queue == q }) {
			delete(told, q)
			s.core.post(routing.Estimated{Queue: q})
		}
	}
}
