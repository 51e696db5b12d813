package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hotline/softphone"
)

var binaryDir string

// buildBinary builds the real program, once for all tests.
var buildBinary = sync.OnceValues(func() (string, error) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "hotline-e2e-"); err != nil {
		return "", err
	}
	name := filepath.Join(binaryDir, "hotline")
	cmd := exec.Command("go", "build", "-o", name, "hotline/cmd/hotline")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
})

func removeBinary() error {
	if binaryDir == "" {
		return nil
	}
	return os.RemoveAll(binaryDir)
}

// programPath is the path of the real program.
func programPath(t *testing.T) string {
	t.Helper()
	name, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// runProgram runs a command of the program to its end.
func runProgram(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), programPath(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// program is `hotline serve` as a child process, at ports that outlive it.
type program struct {
	t         *testing.T
	dir, file string
	sip, http string   // host:port
	under     []string // a command that runs it
	cmd       *exec.Cmd
	log       *logBook
	ended     chan struct{}
}

// newProgram writes the config of a program whose agents have these names; it
// doesn't start it.
func newProgram(t *testing.T, agents ...string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), sip: fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))}
	p.http = fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
	p.file = filepath.Join(p.dir, "config.yaml")
	p.write(p.config(agents...))
	return p
}

// config is the base config at the program's ports and folders.
func (p *program) config(agents ...string) string {
	var list []string
	for _, a := range agents {
		list = append(list, "{user: "+a+", password: "+password+", queues: [sales]}")
	}
	return strings.NewReplacer(
		`[{network: udp, address: "127.0.0.1:0"}, {network: tcp, address: "127.0.0.1:0"}]`,
		`[{network: udp, address: "`+p.sip+`"}], register: {min_expires: 10s, file: "`+p.dir+`/registrations.json"}`,
		"[{user: nobody, password: a-long-secret, queues: [sales]}]", "["+strings.Join(list, ", ")+"]",
		`http: {listen: "127.0.0.1:0"}`, `http: {listen: "`+p.http+`"}`,
		"log: {level: debug}", "log: {level: debug, format: json}",
	).Replace(baseConfig) + fmt.Sprintf("records: {dir: %q}\njournal: {dir: %q}\n", p.dir+"/records", p.dir+"/journal")
}

func (p *program) write(config string) {
	p.t.Helper()
	if err := os.WriteFile(p.file, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) uri() string { return "sip:" + p.sip }

// start starts the program and waits until it is up.
func (p *program) start() {
	p.t.Helper()
	args := append(slices.Clone(p.under), programPath(p.t), "serve", "--config", p.file)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir = p.dir
	out, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, log, ended := p.cmd, newLogBook(), make(chan struct{})
	p.log, p.ended = log, ended
	go func() {
		defer close(ended)
		log.read(out)
		_ = cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	p.log.await(p.t, "hotline is up")
}

// read takes JSON log lines until r ends.
func (l *logBook) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := logLine{attrs: map[string]string{}}
		var fields map[string]any
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			line.msg = lines.Text() // a panic, say
		}
		for k, v := range fields {
			line.attrs[k] = fmt.Sprint(v)
		}
		if line.msg == "" {
			line.msg = line.attrs["msg"]
		}
		l.put(line)
	}
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exits waits until the program has ended and wants its exit code.
func (p *program) exits(code int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the program goes on; its log:\n%s", p.log)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d (%v), want %d; the log:\n%s", got, p.cmd.ProcessState, code, p.log)
	}
}

// stop drains the program, which must be without calls, and returns its records.
func (p *program) stop() []record {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.exits(0)
	return p.records()
}

func (p *program) records() []record { return readRecords(p.t, filepath.Join(p.dir, "records")) }

// seat registers an agent; life is as short as the program allows, so that the
// phone notices soon when the program was started again.
func (p *program) seat(user string) *desk {
	p.t.Helper()
	d := openDesk(p.t, p.uri(), user)
	if err := d.register(10 * time.Second); err != nil {
		p.t.Fatal(err)
	}
	p.log.await(p.t, "seat registered", "seat", user)
	return d
}

// talk has a caller and the agent at a desk talk with each other.
func (p *program) talk(caller *softphone.Phone, d *desk, from string) (a, b *softphone.Call) {
	p.t.Helper()
	a = dial(p.t, caller, "1", from)
	b, _ = d.pickUp(p.t)
	p.log.await(p.t, "talk started")
	return a, b
}

// get returns the status code of a GET.
func (p *program) get(path string) int {
	p.t.Helper()
	res, err := http.Get("http://" + p.http + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	_ = res.Body.Close()
	return res.StatusCode
}
