package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hotline/config"
	"hotline/sip"
)

// svwar, which scanners of the internet are made of, finds no agent, neither among names
// nor among numbers, whatever it asks by.
func TestSvwarFindsNobody(t *testing.T) {
	bin, err := exec.LookPath("svwar")
	if err != nil {
		t.Fatal("svwar is missing: make deps installs it (sipvicious)")
	}
	h := startHotline(t, func(c *config.Config) {
		c.Trunks[0].Addresses = nil // else it is a trunk
		c.Trunks[0].User, c.Trunks[0].Password, c.Trunks[0].Algorithm = "carrier", password, sip.MD5
		c.Agents = []config.Agent{agent("carol", false, "sales"), agent("101", false, "sales"), agent("olga", false, "sales")}
		c.Agents[2].Algorithm = sip.SHA256
		c.Extensions = append(c.Extensions, config.Extension{Number: "801", Agent: "carol"})
	})
	h.seat("carol") // who is registered isn't told either
	invented := []string{"nobody"}
	for i := range 40 {
		invented = append(invented, fmt.Sprint("user", i), fmt.Sprint(200+i))
	}
	before := h.metrics()
	// svwar asks for a name that can't be, and stops at the first one that is answered
	// alike: so each that exists is asked for by a scan of its own.
	all := []scan{{"OPTIONS", append([]string{"carol", "101", "olga", "801"}, invented...)}}
	for _, name := range []string{"carol", "101", "olga", "801"} {
		for _, method := range []string{"REGISTER", "INVITE"} {
			all = append(all, scan{method, append([]string{name}, invented...)})
		}
	}
	port := freePorts(t, len(all))
	var scans sync.WaitGroup
	for i, s := range all {
		scans.Go(func() {
			if err := s.run(t, bin, h.SIPAddr().Port(), port+i); err != nil {
				t.Errorf("%s %s: %v", s.method, s.names[0], err)
			}
		})
	}
	scans.Wait()
	after := h.metrics()
	for method, want := range map[string]float64{"REGISTER": 4 * 2, "INVITE": 4 * 2, "OPTIONS": 86} {
		series := fmt.Sprintf(`hotline_sip_messages_total{code="",direction="received",method="%s",transport="UDP",trunk=""}`, method)
		if asked := after[series] - before[series]; asked < want {
			t.Errorf("%v %s came, want %v", asked, method, want)
		}
	}
	if refused := after[`hotline_sip_refused_total{reason="rate"}`]; refused > 0 {
		t.Errorf("%v were too fast to count", refused)
	}
}

// scan is one run of svwar.
type scan struct {
	method string
	names  []string
}

// run wants svwar to find none of the names.
func (s scan) run(t *testing.T, bin string, port uint16, own int) error {
	list := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(list, []byte(strings.Join(s.names, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	// --force: it would give up when names that can't be look like those that can.
	cmd := exec.CommandContext(ctx, bin, "-D", "--force", "-m", s.method, "-d", list, "-t", "0.02", "-b", "127.0.0.1",
		"-P", fmt.Sprint(own), "-p", fmt.Sprint(port), "127.0.0.1")
	cmd.Dir = filepath.Dir(list)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "found nothing") {
		return fmt.Errorf("svwar: %v\n%s", err, out)
	}
	return nil
}
