package kernel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotline/media/kernel/kerneltest"
)

// childEnv has this test binary be a process that opens a path, says what it holds, and waits.
const childEnv = "HOTLINE_KERNEL_CHILD"

func TestChild(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		return // no test of its own
	}
	p, err := Open(Options{Addr: loopback4, Epoch: monotonic() - int64(time.Hour)})
	if err != nil {
		fmt.Println("failed:", errors.Is(err, os.ErrPermission), err)
		return
	}
	l := newLine(t, p, loopback4)
	l.set()
	l.speak()
	receive(t, "a packet", l.far)
	fmt.Println("holds")
	for {
		l.speak()
		l.ts = 1000
	}
}

// startChild runs this binary again.
func startChild(t *testing.T, attr *syscall.SysProcAttr) (*exec.Cmd, string) {
	t.Helper()
	name := copyOfMyself(t)
	cmd := exec.Command(name, "-test.run", "^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Dir = filepath.Dir(name)
	cmd.SysProcAttr = attr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := make(chan string, 1)
	go func() {
		defer close(line)
		for in := bufio.NewScanner(out); in.Scan(); {
			if strings.HasPrefix(in.Text(), "holds") || strings.HasPrefix(in.Text(), "failed") {
				line <- in.Text()
				return
			}
		}
	}()
	select {
	case l := <-line:
		return cmd, l
	case <-time.After(patience):
		t.Fatal("the child said nothing")
		return nil, ""
	}
}

// copyOfMyself is this program where another user may run it.
func copyOfMyself(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "child")
	if err := os.WriteFile(name, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// A process that is killed under traffic leaves no program, map or link behind, and the next one
// starts as if it had never been.
func TestKilledLeavesNothing(t *testing.T) {
	for range 2 {
		cmd, line := startChild(t, nil)
		ids := kerneltest.HeldBy(t, cmd.Process.Pid)
		if line != "holds" || len(ids) < 7 {
			t.Fatalf("the child says: %s, and holds %v", line, ids)
		}
		for _, id := range ids {
			if !kerneltest.Exists(t, id) {
				t.Errorf("%s isn't there while the process lives", id)
			}
		}
		if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		kerneltest.AwaitGone(t, ids, patience)
	}
}

// nobody is a user without rights.
const nobody = 65534

// CAP_BPF and CAP_NET_ADMIN are all it takes, as systemd's AmbientCapabilities gives them; without
// them the error says so.
func TestRights(t *testing.T) {
	user := &syscall.Credential{Uid: nobody, Gid: nobody}
	_, line := startChild(t, &syscall.SysProcAttr{Credential: user, AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}})
	if !strings.HasPrefix(line, "holds") {
		t.Errorf("with both rights: %s", line)
	}
	for name, caps := range map[string][]uintptr{"none": nil, "CAP_BPF alone": {unix.CAP_BPF}, "CAP_NET_ADMIN alone": {unix.CAP_NET_ADMIN}} {
		_, line := startChild(t, &syscall.SysProcAttr{Credential: user, AmbientCaps: caps})
		if !strings.HasPrefix(line, "failed: true") || !bytes.Contains([]byte(line), []byte("not permitted")) {
			t.Errorf("%s: %s", name, line)
		}
	}
}
