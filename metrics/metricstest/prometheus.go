// Package metricstest runs a real Prometheus with the project's rules against a server under test.
package metricstest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hotline/metrics"
)

// patience bounds every wait; it passes only when something is broken.
const patience = 25 * time.Second

// config scrapes and evaluates once a second, so that a test needn't wait for long.
const config = `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [recording.yml, alerts.yml]
scrape_configs:
  - job_name: hotline
    static_configs: [{targets: [%q]}]
`

// Prometheus is a running one, with job "hotline" and the project's rules.
type Prometheus struct {
	t       testing.TB
	url     string
	scrapes chan struct{} // one for each scrape that begins
}

// Sample is one series of the result of a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Start runs Debian's prometheus on a port of the kernel's choice until the test ends. It scrapes
// /metrics of the address (host:port) each second. The test fails when there is no prometheus.
func Start(t testing.TB, targetAddr string) *Prometheus {
	t.Helper()
	bin, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: run make deps, or apt-get install prometheus")
	}
	p := &Prometheus{t: t, scrapes: make(chan struct{}, 1)}
	dir := t.TempDir()
	p.writeConfig(dir, p.proxy(targetAddr))
	cmd := exec.Command(bin, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=info",
		"--web.listen-address=127.0.0.1:0")
	cmd.Dir = dir
	dieWithTest(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start prometheus: %v", err)
	}
	log := follow(stderr)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-log.ended
		_ = cmd.Wait() // killed
	})
	p.url = "http://" + log.await(t, listening, "says where it listens")
	log.await(t, ready, "is ready")
	return p
}

func (p *Prometheus) writeConfig(dir, target string) {
	p.t.Helper()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		data, err := metrics.Files.ReadFile("rules/" + name)
		if err != nil {
			p.t.Fatal(err)
		}
		write(name, data)
	}
	write("prometheus.yml", fmt.Appendf(nil, config, target))
}

// proxy stands between Prometheus and the target, so that the test sees each scrape begin.
func (p *Prometheus) proxy(targetAddr string) (addr string) {
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: targetAddr})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case p.scrapes <- struct{}{}:
		default: // nobody waits
		}
		forward.ServeHTTP(w, r)
	}))
	p.t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// Scrape waits until what the target shows now has been stored: a scrape that begins from now on
// has ended, as the one after it begins.
func (p *Prometheus) Scrape() {
	p.t.Helper()
	select {
	case <-p.scrapes: // one that began earlier
	default:
	}
	deadline := time.After(patience)
	for range 2 {
		select {
		case <-p.scrapes:
		case <-deadline:
			p.t.Fatal("prometheus did not scrape")
		}
	}
}

// Query evaluates expr now, and fails the test when it can't be.
func (p *Prometheus) Query(expr string) []Sample {
	p.t.Helper()
	out, err := p.query(expr)
	if err != nil {
		p.t.Fatalf("query %s: %v", expr, err)
	}
	return out
}

// Await evaluates expr after each scrape until it has a result, and fails the test after 25 s. It
// is for what the rules make, which follow the scrapes at a pace of their own.
func (p *Prometheus) Await(expr string) []Sample {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		if out := p.Query(expr); len(out) > 0 {
			return out
		}
		select {
		case <-p.scrapes:
		case <-deadline:
			p.t.Fatalf("query %s: no result within %v", expr, patience)
		}
	}
}

// Value is the one value of expr; it fails the test when there is none or more than one.
func (p *Prometheus) Value(expr string) float64 {
	p.t.Helper()
	out := p.Query(expr)
	if len(out) != 1 {
		p.t.Fatalf("query %s: %d series, want one: %v", expr, len(out), out)
	}
	return out[0].Value
}

func (p *Prometheus) query(expr string) ([]Sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	return readResult(resp.Body)
}

// readResult reads an instant vector or a scalar as Prometheus's API gives it.
func readResult(r io.Reader) ([]Sample, error) {
	var answer struct {
		Error string
		Data  struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("prometheus: %s", answer.Error)
	}
	type point [2]any // time, value
	type series struct {
		Metric map[string]string
		Value  point
	}
	var vector []series
	if answer.Data.ResultType == "scalar" {
		vector = make([]series, 1)
		if err := json.Unmarshal(answer.Data.Result, &vector[0].Value); err != nil {
			return nil, err
		}
	} else if err := json.Unmarshal(answer.Data.Result, &vector); err != nil {
		return nil, err
	}
	var out []Sample
	for _, s := range vector {
		text, _ := s.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, Sample{s.Metric, v})
	}
	return out, nil
}

var (
	listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	ready     = regexp.MustCompile(`msg="(Server is ready to receive web requests)`)
)

// logFile is what a process writes, line by line.
type logFile struct {
	lines chan string
	ended chan struct{}
	seen  strings.Builder
}

func follow(r io.Reader) *logFile {
	l := &logFile{lines: make(chan string, 1000), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case l.lines <- s.Text():
			default: // nobody reads any more
			}
		}
	}()
	return l
}

// await reads on until a line matches, and returns its group.
func (l *logFile) await(t testing.TB, want *regexp.Regexp, what string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line := <-l.lines:
			fmt.Fprintln(&l.seen, line)
			if m := want.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case <-l.ended:
			t.Fatalf("prometheus ended before it %s:\n%s", what, &l.seen)
		case <-deadline:
			t.Fatalf("waited in vain until prometheus %s:\n%s", what, &l.seen)
		}
	}
}
