package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// rates are the calls a second that are measured.
var rates = []float64{100, 1000}

// cost measures signalling with the server pinned to one core and the load to the other:
// what an answered call costs beside a bare sipgo server in the same run, the highest
// clean rate, and a call from the queue through to a registered agent.
func cost(span time.Duration, agents int, only string) error {
	if err := pin(os.Getpid(), 1); err != nil {
		return err
	}
	fmt.Printf("%s, server on core 0, load on core 1; %s a measurement\n", runtime.Version(), span)
	if only == "queued" {
		return queued(agents, 200, span)
	}
	for _, rate := range rates {
		for _, what := range []string{"bare", "hotline"} {
			if err := answered(what, rate, span); err != nil {
				return err
			}
		}
	}
	for _, what := range []string{"bare", "hotline"} {
		if err := cleanRate(what, span/2); err != nil {
			return err
		}
	}
	if err := registered(agents); err != nil {
		return err
	}
	return queued(agents, 200, span)
}

// pin binds all threads of a process to a core.
func pin(pid, core int) error {
	if out, err := exec.Command("taskset", "-a", "-c", "-p", strconv.Itoa(core), strconv.Itoa(pid)).CombinedOutput(); err != nil {
		return fmt.Errorf("pin to core %d: %w: %s", core, err, out)
	}
	return nil
}

func startPinned(what string, agents int) (*process, error) {
	p, err := startProcess(what, agents)
	if err != nil {
		return nil, err
	}
	return p, pin(p.cmd.Process.Pid, 0)
}

// answered makes calls that the caller hangs up as soon as they are answered.
func answered(what string, rate float64, span time.Duration) error {
	p, err := startPinned(what, 10)
	if err != nil {
		return err
	}
	l, err := openLoad(p.addr, "u")
	if err != nil {
		return errors.Join(err, p.stop())
	}
	l.run("2", min(rate, 200), time.Second, 0) // warm
	before, err := p.usage()
	if err != nil {
		return err
	}
	calls := l.run("2", rate, span, 0)
	after, err := p.usage()
	if err := errors.Join(err, l.close(), p.stop()); err != nil {
		return err
	}
	ok, failed := split(calls)
	fmt.Printf("%-8s %5.0f calls/s: %.3f ms CPU and %d allocations per call, INVITE to 200 p50 %s p99 %s, %d of %d failed\n", what, rate,
		1000*(after.cpu-before.cpu).Seconds()/float64(len(calls)), p.mallocs/uint64(len(l.calls)), quantile(ok, 0.5), quantile(ok, 0.99), failed, len(calls))
	return nil
}

// registered registers agents, each with a challenge and its answer.
func registered(agents int) error {
	p, err := startPinned("hotline", agents)
	if err != nil {
		return err
	}
	l, err := openLoad(p.addr, "agents")
	if err != nil {
		return errors.Join(err, p.stop())
	}
	before, err := p.usage()
	if err != nil {
		return err
	}
	err = l.register(agents)
	after, err2 := p.usage()
	if err := errors.Join(err, err2, l.close(), p.stop()); err != nil {
		return err
	}
	fmt.Printf("registered %d agents: %.3f ms CPU and %d allocations each, challenge and all\n", agents,
		1000*(after.cpu-before.cpu).Seconds()/float64(agents), p.mallocs/uint64(agents))
	return nil
}

// split are the times to the answer of the calls that were answered and ended, and the
// number of the others.
func split(calls []loadCall) (ok []time.Duration, failed int) {
	for _, c := range calls {
		if c.code != 200 || !c.over {
			failed++
			continue
		}
		ok = append(ok, c.answered.Sub(c.sent))
	}
	slices.Sort(ok)
	return ok, failed
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
}

// cleanRate raises the rate until calls fail.
func cleanRate(what string, span time.Duration) error {
	best := 0.0
	for rate := 1000.0; rate <= 8000; rate += 500 {
		p, err := startPinned(what, 10)
		if err != nil {
			return err
		}
		l, err := openLoad(p.addr, "u")
		if err != nil {
			return errors.Join(err, p.stop())
		}
		l.run("2", 200, time.Second, 0)
		calls := l.run("2", rate, span, 0)
		_, failed := split(calls)
		if err := errors.Join(l.close(), p.stop()); err != nil && failed == 0 {
			return err // calls whose BYE was lost are still there when it stops
		}
		if failed > 0 {
			fmt.Printf("%-8s at %.0f calls/s %d of %d fail\n", what, rate, failed, len(calls))
			break
		}
		best = rate
	}
	fmt.Printf("%-8s highest rate without a failed call over %s: %.0f calls/s\n", what, span, best)
	return nil
}

// upFor is how long a queued call is up before the caller hangs up: its way is to be
// measured, not the sound.
const upFor = 100 * time.Millisecond

// queued makes calls that go through the queue to registered agents, who answer at once.
func queued(agents int, rate float64, span time.Duration) (err error) {
	p, err := startPinned("hotline", agents)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	desk, err := openLoad(p.addr, "agents")
	if err != nil {
		return err
	}
	defer desk.close()
	if err := desk.register(agents); err != nil {
		return err
	}
	l, err := openLoad(p.addr, "q")
	if err != nil {
		return err
	}
	defer l.close()
	before, err := p.usage()
	if err != nil {
		return err
	}
	first := len(l.calls)
	done := make(chan struct{})
	go func() { l.hangUpAfter(upFor, done) }()
	calls := l.run("3", rate, span, upFor)
	close(done)
	after, err := p.usage()
	if err != nil {
		return err
	}
	var waits []time.Duration
	missing := 0
	desk.mu.Lock()
	for i, c := range calls {
		at, ok := desk.invited[first+i]
		if !ok || c.code != 200 || !c.over {
			missing++
			continue
		}
		waits = append(waits, at.Sub(c.answered))
	}
	desk.mu.Unlock()
	slices.Sort(waits)
	fmt.Printf("queued   %5.0f calls/s to %d registered agents: %.3f ms CPU per call, 200 to the agent's INVITE p50 %s p99 %s, %d of %d failed\n",
		rate, agents, 1000*(after.cpu-before.cpu).Seconds()/float64(len(calls)), quantile(waits, 0.5), quantile(waits, 0.99), missing, len(calls))
	return nil
}
