package metrics_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"hotline/media"
	"hotline/metrics"
	"hotline/metrics/metricstest"
	"hotline/routing"
	"hotline/sip"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	bin, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: run make deps, or apt-get install prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "--lint-fatal", "rules/recording.yml", "rules/alerts.yml")
	promtool(t, "test", "rules", "rules/hotline_test.yml")
}

// dashboardQueries are all expressions of the dashboard, by panel.
func dashboardQueries(t *testing.T) map[string][]string {
	t.Helper()
	data, err := metrics.Files.ReadFile("dashboards/hotline-now.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID        string
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Panels []struct {
			Title      string
			Datasource struct{ UID string }
			Targets    []struct {
				Expr       string
				Datasource struct{ UID string }
			}
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	if v := board.Templating.List; len(v) != 1 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("the dashboard needs the variable datasource of type datasource: %+v", v)
	}
	out := map[string][]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
				t.Errorf("panel %q does not take its data from ${datasource}", p.Title)
			}
			out[p.Title] = append(out[p.Title], target.Expr)
		}
	}
	return out
}

// ruleQueries are the expressions of the alerts and the names of the recorded series.
func ruleQueries(t *testing.T) (alerts map[string]string, records []string) {
	t.Helper()
	alerts = map[string]string{}
	for _, file := range []string{"rules/alerts.yml", "rules/recording.yml"} {
		data, err := metrics.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rules struct {
			Groups []struct {
				Rules []struct {
					Alert, Record, Expr string
					Annotations         struct{ Summary, Runbook string }
				}
			}
		}
		if err := yaml.Unmarshal(data, &rules); err != nil {
			t.Fatal(err)
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					records = append(records, r.Record)
					continue
				}
				alerts[r.Alert] = r.Expr
				if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations.Runbook != want || r.Annotations.Summary == "" {
					t.Errorf("alert %s needs a summary and the runbook %s", r.Alert, want)
				}
			}
		}
	}
	return alerts, records
}

var metricName = regexp.MustCompile(`\bhotline_[a-z0-9_]+`)

// Every metric in a query is one that is exported: a misspelt name would just show nothing.
func TestQueriesUseOnlyExportedMetrics(t *testing.T) {
	d := newDesk(t)
	d.day()
	d.m.ServerRequest("INVITE", 200)
	d.m.Message(sip.Message{Method: "INVITE", Network: "UDP", Peer: "carrier"})
	d.m.Message(sip.Message{Sent: true, Method: "INVITE", Code: 200, Network: "UDP", Peer: "carrier"})
	d.m.Refused("rate")
	text := scrape(t, d.m)
	alerts, records := ruleQueries(t)
	var queries []string
	for _, e := range alerts {
		queries = append(queries, e)
	}
	for _, e := range dashboardQueries(t) {
		queries = append(queries, e...)
	}
	recorded := map[string]bool{}
	for _, r := range records {
		recorded[r] = true
	}
	for _, q := range queries {
		for _, name := range regexp.MustCompile(`\b(tier|queue):[a-z0-9_:]+`).FindAllString(q, -1) {
			if !recorded[name] {
				t.Errorf("%s is not recorded: %s", name, q)
			}
			q = strings.ReplaceAll(q, name, "")
		}
		for _, name := range metricName.FindAllString(q, -1) {
			if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s is not exported: %s", name, q)
			}
		}
	}
}

// desks serves a desk's metrics while the test goes on at the desk.
type desks struct {
	mu sync.Mutex
	*desk
}

func (d *desks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m.Handler().ServeHTTP(w, r)
}

// Everything a dashboard or an alert asks is asked of a real Prometheus that scraped us.
func TestRealPrometheus(t *testing.T) {
	d := &desks{desk: newDesk(t)}
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	p := metricstest.Start(t, srv.Listener.Addr().String())
	p.Scrape() // the series as they begin
	d.mu.Lock()
	d.day()
	d.m.Lookup("redis", 3e5)
	d.m.Failure("timeout")
	d.m.ServerRequest("INVITE", 200)
	d.m.Message(sip.Message{Method: "INVITE", Network: "UDP", Peer: "carrier"})
	d.m.Message(sip.Message{Sent: true, Method: "INVITE", Code: 200, Network: "UDP", Peer: "carrier"})
	d.m.Refused("rate")
	d.m.MediaLeg(media.LegStats{PacketsReceived: 100, Lost: 1, Jitter: 1e6})
	d.mu.Unlock()
	p.Scrape()
	p.Await(`tier:hotline_service_level_neg:ratio_rate30m{tier="C"}`)
	p.Await(`tier:hotline_aht_seconds:mean30m`)
	p.Scrape() // series that began during the day have two samples now

	for expr, want := range map[string]float64{
		`hotline_calls_offered_total{tier="A1"}`:                  1,
		`sum(hotline_calls_offered_total)`:                        2,
		`sum(hotline_calls_total{queue!=""})`:                     2,
		`sum(hotline_answered_wait_seconds_count)`:                1,
		`sum(hotline_abandoned_wait_seconds_count)`:               1,
		`hotline_queue_entered_total`:                             3,
		`sum(hotline_queue_left_total)`:                           2,
		`sum(hotline_waiting_calls)`:                              0,
		`sum(hotline_on_offer_calls)`:                             1,
		`up{job="hotline"}`:                                       1,
		`tier:hotline_service_level_neg:ratio_rate30m{tier="A1"}`: 1,
		`tier:hotline_service_level_neg:ratio_rate30m{tier="C"}`:  0,
		`tier:hotline_service_level_pos:ratio_rate30m{tier="C"}`:  1, // gave up at the target
		`tier:hotline_service_level_ans:ratio_rate30m{tier="A1"}`: 1,
		`tier:hotline_asa_seconds:mean30m{tier="A1"}`:             4,
		`hotline_seats{state="offered",status="ready"}`:           1,
		`sum(hotline_sip_gateway_up)`:                             2,
		`sum(hotline_sip_trunk_registered)`:                       1,
		`hotline_sip_trunk_calls{trunk="carrier",direction="in"}`: 3,
		`sum(hotline_sip_trunk_refused_total)`:                    6,
	} {
		near := 1e-9
		if strings.HasPrefix(expr, "tier:") {
			near = 0.02 * want // Prometheus extrapolates rates to the edges of the window
		}
		if got := p.Value(expr); math.Abs(got-want) > near {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
	for _, tier := range routing.Tiers() {
		if tier != routing.TierA1 && tier != routing.TierC {
			if got := p.Query(`tier:hotline_service_level_neg:ratio_rate30m{tier="` + tier.String() + `"}`); len(got) != 0 {
				t.Errorf("%v had no call and has a service level: %v", tier, got)
			}
		}
	}
	for title, queries := range dashboardQueries(t) {
		for _, q := range queries {
			if got := p.Query(q); len(got) == 0 {
				t.Errorf("panel %q shows nothing: %s", title, q)
			}
		}
	}
	alerts, records := ruleQueries(t)
	for name, q := range alerts {
		if fires := len(p.Query(q)) > 0; fires != (name == "HotlineCustomerLookupsFailing") {
			t.Errorf("condition of %s holds: %t", name, fires)
		}
	}
	if len(alerts) != 10 || len(records) != 12 {
		t.Errorf("%d alerts and %d recording rules", len(alerts), len(records))
	}
}
