package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startPathProxy starts Kamailio as the proxy in front of the agents' phones: it adds
// Path to their registrations and Record-Route to calls. It returns its port.
func startPathProxy(t *testing.T, registrar string) int {
	t.Helper()
	bin, err := exec.LookPath("kamailio")
	if err != nil {
		t.Fatal("kamailio is missing: make deps installs it")
	}
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules")
	if len(modules) == 0 {
		t.Fatal("kamailio's modules are missing")
	}
	dir, port := t.TempDir(), freePorts(t, 1)
	config := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, `debug=2
children=1
disable_tcp=yes
listen=udp:127.0.0.1:%d
mpath="%s/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "path.so"
request_route {
	if (is_method("REGISTER")) {
		add_path();
		$du = "sip:%s";
		t_relay();
		exit;
	}
	if (loose_route() && has_totag()) {
		t_relay();
		exit;
	}
	if (is_method("INVITE")) {
		record_route();
	}
	t_relay();
}
`, port, modules[0], registrar), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-DD", "-E", "-f", config, "-w", dir, "-m", "32", "-M", "4")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("kamailio:\n%s", out.String())
		}
	})
	return port
}

// A phone behind a proxy is called by the path of its registration (RFC 3327), and
// the call stays on the proxy to its end.
func TestAgentBehindAPathProxy(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	proxy := startPathProxy(t, p.sip)
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: p.sip, outbound: fmt.Sprintf("sip:127.0.0.1:%d", proxy)})
	p.log.await(t, "seat registered", "seat", "carol")
	p.log.await(t, "registrations saved")
	saved, err := os.ReadFile(filepath.Join(p.dir, "registrations.json"))
	if err != nil || !strings.Contains(string(saved), fmt.Sprintf(`"sip:127.0.0.1:%d;lr`, proxy)) {
		t.Errorf("the path isn't kept: %v\n%s", err, saved)
	}
	for i, who := range []string{"caller", "agent"} {
		c := dial(t, openPhone(t, p.uri()), "1", fmt.Sprintf("1390000000%d", i))
		p.log.await(t, "talk started", "seat", "carol")
		carol.await("CALL_ESTABLISHED", patience)
		if who == "caller" {
			c.Hangup()
			carol.await("CALL_CLOSED", patience)
		} else {
			carol.command("hangup", "")
			awaitDone(t, "end of the call", c.Done())
		}
		p.log.await(t, "call closed", "outcome", "answered")
	}
}
