package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hotline/probe"
)

// testCall runs hotline dial with JSON, and wants an exit code.
func testCall(t *testing.T, code int, args ...string) (r probe.Report) {
	t.Helper()
	out, errs, got := runProgram(t, append([]string{"dial", "--format", "json", "--for", "5s"}, args...)...)
	if got != code {
		t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, code, out, errs)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %q %s", err, out, errs)
	}
	return r
}

// is tells whether a figure is known and lies between two others.
func is(v *float64, lo, hi float64) bool { return v != nil && *v >= lo && *v <= hi }

// sipp rings and sends back what it hears, without a tone and without RTCP.
func TestDialSippEcho(t *testing.T) {
	port, ended := startCalledEcho(t, 1)
	r := testCall(t, 0, "95590", "--to", fmt.Sprintf("sip:127.0.0.1:%d", port), "--max-setup", "2s", "--max-delay", "300ms", "--max-loss", "1", "--min-level", "-30")
	if !is(r.PostDialDelay, 0, 0.3) || !is(r.Setup, 0.3, 1) || !is(r.RoundTrip, 1e-6, 0.5) || !is(r.EchoGain, -0.5, 0.5) || !is(r.Received.Loss, 0, 0) {
		t.Errorf("%+v", r)
	}
	if !r.Echo || r.Tone || r.Sent.Level != nil || r.Sent.Loss != nil || r.ChirpsHeard != r.ChirpsSent {
		t.Errorf("%+v", r)
	}
	wait(t, "sipp", ended)
}

func startCalledEcho(t *testing.T, calls int) (port int, ended <-chan error) {
	t.Helper()
	port = freePorts(t, 6)
	return port, startCalled(t, "echo.xml", port, calls, "-rtp_echo")
}

func wait(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	if err := <-ended; err != nil { // sipp has a deadline of its own
		t.Errorf("%s: %v", what, err)
	}
}

// With an agent's account a test call goes through the hotline and out by a trunk; with another
// password it doesn't, and without a right neither. (What comes from the address of a trunk that has no
// password is that trunk's call: so it comes from another one.)
func TestDialByATrunk(t *testing.T) {
	port, ended := startCalledEcho(t, 1)
	p := newProgram(t, "bob")
	p.write(strings.NewReplacer(
		"queues: [{name: sales", fmt.Sprintf(`  - name: carrier2
    addresses: [192.0.2.1]
    gateways: [{host: "127.0.0.1:%d"}]
    health: {interval: 0s}
    dids: [{number: "1", flow: direct}]
outbound: {routes: [{trunks: [carrier2]}], rights: [{name: all, allow: ["+86"]}]}
queues: [{name: sales`, port),
		"agents: [", "agents: [{user: alice, password: "+password+", queues: [sales], outbound: all}, ",
	).Replace(p.config("bob")))
	p.start()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong, []byte("another-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := testCall(t, 0, "13800000000", "--to", p.uri(), "--local", "127.0.0.9", "--user", "alice", "--password-file", secret)
	if !r.Echo || !is(r.EchoGain, -0.5, 0.5) || !is(r.RoundTrip, 1e-6, 0.5) || !is(r.Sent.Loss, 0, 0.1) {
		t.Errorf("%+v", r)
	}
	if !t.Failed() {
		wait(t, "sipp", ended)
	}
	for user, file := range map[string]string{"alice": wrong, "bob": secret} {
		r := testCall(t, 2, "13800000000", "--to", p.uri(), "--local", "127.0.0.9", "--user", user, "--password-file", file)
		if r.Answered || r.Status < 400 || len(r.Problems) != 1 || r.Problems[0].Code != probe.NotAnswered {
			t.Errorf("%s with %s: %+v", user, file, r)
		}
	}
}

// Against the echo step: the exit codes, and the file for Prometheus, which promtool takes.
func TestDialForPrometheus(t *testing.T) {
	p := newProgram(t, "bob")
	p.write(strings.NewReplacer("dids: [", `dids: [{number: "4", flow: echo}, `,
		"flows:\n", "flows:\n  echo: {start: e, steps: {e: {echo: }}}\n").Replace(p.config("bob")))
	p.start()
	if r := testCall(t, 1, "4", "--to", p.uri(), "--min-level", "-5"); len(r.Problems) != 2 || !is(r.Received.Level, -10.5, -9.5) || !is(r.Sent.Level, -10.5, -9.5) {
		t.Errorf("%+v", r)
	}
	file := filepath.Join(t.TempDir(), "dial.prom")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runProgram(t, "dial", "4", "--to", p.uri(), "--for", "5s", "--format", "prometheus", "--output", file)
	if code != 0 || out != "" || errs != "" {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte(`hotline_dial_success{number="4",to="`+p.uri()+`"} 1`)) {
		t.Errorf("%v in\n%s", err, text)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"dial", "4"}, {"dial", "4", "--to", "127.0.0.1"}, {"dial", "4", "--to", p.uri(), "--format", "xml"},
		{"dial", "4", "--to", p.uri(), "--codec", "opus"}, {"dial", "4", "--to", p.uri(), "--user", "alice"},
		{"dial", "4", "--to", p.uri(), "--transport", "tls"}, {"dial", "4", "--to", p.uri(), "--for", "1s"},
	} {
		if _, errs, code := runProgram(t, args...); code != 2 || !strings.HasPrefix(errs, "hotline: ") {
			t.Errorf("%q: exit code %d, %q", args, code, errs)
		}
	}
}
