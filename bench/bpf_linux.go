package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// bpfTimes is what eBPF programs have run.
type bpfTimes struct {
	took time.Duration
	runs int64
}

// timeBPF has the kernel take the time of the process's eBPF programs for a span, and tells their part of it and how
// long one run is. To take the time costs as much as a tenth of a run: what else is measured is to be so at another time.
func timeBPF(pid int, span time.Duration) (part float64, run time.Duration, err error) {
	programs := bpfOf(pid)
	if len(programs) == 0 {
		return 0, 0, nil
	}
	counting, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME) // ends with this process at the latest
	if err != nil {
		return 0, 0, fmt.Errorf("have the kernel time eBPF: %w", err)
	}
	defer counting.Close()
	start, before := time.Now(), sumBPF(programs)
	time.Sleep(span)
	elapsed, after := time.Since(start), sumBPF(programs)
	took := after.took - before.took
	return took.Seconds() / elapsed.Seconds(), took / time.Duration(max(1, after.runs-before.runs)), nil
}

// bpfOf names the files that tell of a process's programs, each once.
func bpfOf(pid int) (names []string) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	seen := map[string]bool{}
	for _, name := range all {
		f := fdInfo(name)
		if id := f["prog_id"]; f["run_cnt"] != "" && !seen[id] { // not a link's
			seen[id] = true
			names = append(names, name)
		}
	}
	return names
}

func sumBPF(names []string) (b bpfTimes) {
	for _, name := range names {
		f := fdInfo(name)
		ns, _ := strconv.ParseInt(f["run_time_ns"], 10, 64)
		runs, _ := strconv.ParseInt(f["run_cnt"], 10, 64)
		b.took, b.runs = b.took+time.Duration(ns), b.runs+runs
	}
	return b
}

// fdInfo is empty where the descriptor has been closed.
func fdInfo(name string) map[string]string {
	text, _ := os.ReadFile(name)
	f := map[string]string{}
	for line := range strings.Lines(string(text)) {
		k, v, _ := strings.Cut(line, ":")
		f[k] = strings.TrimSpace(v)
	}
	return f
}
