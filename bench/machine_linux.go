package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// filler takes what is left of both cores, one process on each, at the lowest of priorities (SCHED_IDLE): its
// time tells what all others took together, to the nanosecond. /proc/stat looks only when the clock ticks, and
// misses much of what wakes up at a tick's pace. Neither core ever rests meanwhile, so that waking up costs less: the
// other figures are not those of a run without it.
type filler struct{ processes []*exec.Cmd }

// startFiller returns nil, which fills nothing, when it isn't wanted.
func startFiller(wanted bool) (f *filler, err error) {
	if !wanted {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f = &filler{}
	for _, core := range []string{serverCore, loadCore} {
		p := exec.Command("taskset", "-c", core, self, "-fill-core")
		p.Env = append(os.Environ(), "GOMAXPROCS=1")
		p.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.processes = append(f.processes, p)
	}
	return f, nil
}

// fillCore never returns.
func fillCore() error {
	runtime.LockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		return fmt.Errorf("take the lowest priority: %w", err)
	}
	for {
		spun.Add(1)
	}
}

var spun atomic.Uint64

// busy is how long so far both cores were busy with anything else, from a moment that stays the same.
func (f *filler) busy(now time.Time) (time.Duration, error) {
	if f == nil {
		return 0, nil
	}
	total := time.Duration(len(f.processes)) * now.Sub(started)
	for _, p := range f.processes {
		idle, err := cpuOf(p.Process.Pid)
		if err != nil {
			return 0, err
		}
		total -= idle
	}
	return total, nil
}

var started = time.Now()

func (f *filler) close() error {
	if f == nil {
		return nil
	}
	var errs []error
	for _, p := range f.processes {
		errs = append(errs, p.Process.Kill())
		_ = p.Wait()
	}
	return errors.Join(errs...)
}
