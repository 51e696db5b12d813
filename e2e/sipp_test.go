package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sippCallers are callers made by sipp.
type sippCallers struct {
	scenario string // file under testdata
	server   string // host:port
	did      string
	calls    int
	rate     int    // calls begun per second
	first    int    // the last digits of the first caller's number
	local    string // 127.0.0.1 by default
	args     []string
	port     int // one that is free
}

// sippNumber is the number of the n-th caller.
func sippNumber(n int) string { return fmt.Sprintf("1390%07d", n) }

// start begins to call; the channel yields sipp's end, an error when any call did
// not go as the scenario says.
func (s sippCallers) start(t *testing.T) <-chan error {
	t.Helper()
	bin, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatal("sipp is missing: make deps installs it")
	}
	scenario, err := filepath.Abs(filepath.Join("testdata", s.scenario))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var numbers strings.Builder
	numbers.WriteString("SEQUENTIAL\n")
	for n := range s.calls {
		numbers.WriteString(sippNumber(s.first+n) + "\n")
	}
	file := filepath.Join(dir, "numbers.csv")
	if err := os.WriteFile(file, []byte(numbers.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	local := s.local
	if local == "" {
		local = "127.0.0.1"
	}
	port := s.port
	if port == 0 {
		port = freePorts(t, 6) // SIP, two for sound, and two for pictures, which sipp takes, too
	}
	args := append([]string{s.server, "-sf", scenario, "-inf", file, "-s", s.did,
		"-i", local, "-p", strconv.Itoa(port), "-mi", local, "-mp", strconv.Itoa(port + 2),
		"-m", strconv.Itoa(s.calls), "-l", strconv.Itoa(s.calls), "-r", strconv.Itoa(max(s.rate, 1)),
		"-timeout", "60s", "-timeout_error", "-nostdin", "-trace_err"}, s.args...)
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			logs, _ := filepath.Glob(filepath.Join(dir, "*_errors.log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				out.Write(text[:min(len(text), 2000)])
			}
			text := out.String()
			err = fmt.Errorf("sipp: %w\n%s", err, text[max(0, len(text)-4000):])
		}
		end <- err
	}()
	return end
}
