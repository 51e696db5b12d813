// Package kerneltest tells tests what a process holds of eBPF in the kernel.
package kerneltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// HeldBy lists the programs, maps and links that a process holds, each as the kernel tells it: "prog_id 7".
func HeldBy(t testing.TB, pid int) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d has no files: %v", pid, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			kind, id, _ := strings.Cut(line, ":")
			if id = kind + " " + strings.TrimSpace(id); (kind == "prog_id" || kind == "map_id" || kind == "link_id") && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// Exists tells whether the kernel has it.
func Exists(t testing.TB, id string) bool {
	t.Helper()
	var kind string
	var n uint32
	if _, err := fmt.Sscanf(id, "%s %d", &kind, &n); err != nil {
		t.Fatal(err)
	}
	var held io.Closer
	var err error
	switch kind {
	case "prog_id":
		held, err = ebpf.NewProgramFromID(ebpf.ProgramID(n))
	case "map_id":
		held, err = ebpf.NewMapFromID(ebpf.MapID(n))
	case "link_id":
		held, err = link.NewFromID(link.ID(n))
	}
	if err == nil {
		_ = held.Close()
		return true
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s: %v", id, err)
	}
	return false
}

// AwaitGone waits until the kernel has freed them, which it does after a grace period.
func AwaitGone(t testing.TB, ids []string, patience time.Duration) {
	t.Helper()
	limit := time.After(patience)
	for _, id := range ids {
		for Exists(t, id) {
			select {
			case <-limit:
				t.Fatalf("%s outlived its process", id)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}
