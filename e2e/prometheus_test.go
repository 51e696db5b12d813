package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"hotline/config"
	"hotline/media"
	"hotline/metrics"
	"hotline/metrics/metricstest"
	"hotline/softphone"
)

// settles waits until Prometheus's rules have followed the scrapes and expr has
// the value wanted.
func settles(t *testing.T, p *metricstest.Prometheus, expr string, want float64) {
	t.Helper()
	var got []metricstest.Sample
	for range 10 {
		if got = p.Query(expr); len(got) == 1 && math.Abs(got[0].Value-want) < 1e-9 {
			return
		}
		p.Scrape()
	}
	t.Errorf("%s is %v, want %v", expr, got, want)
}

// ask gives an expression up to three scrapes to have a result: on a busy machine
// one may pass its second, and then Prometheus has nothing until the next.
func ask(p *metricstest.Prometheus, expr string) []metricstest.Sample {
	for range 2 {
		if got := p.Query(expr); len(got) > 0 {
			return got
		}
		p.Scrape()
	}
	return p.Query(expr)
}

// value is the one value of expr.
func value(t *testing.T, p *metricstest.Prometheus, expr string) float64 {
	t.Helper()
	got := ask(p, expr)
	if len(got) != 1 {
		t.Fatalf("%s: %d series, want one: %v", expr, len(got), got)
	}
	return got[0].Value
}

// firing are the alerts whose condition holds.
func firing(t *testing.T, p *metricstest.Prometheus) map[string]bool {
	t.Helper()
	data, err := metrics.Files.ReadFile("rules/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	out, n := map[string]bool{}, 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			n++
			if len(p.Query(r.Expr)) > 0 {
				out[r.Alert] = true
			}
		}
	}
	if want := strings.Count(string(data), "- alert: "); n != want || n == 0 {
		t.Errorf("%d alert rules read, the file holds %d", n, want)
	}
	return out
}

// wantFiring wants the condition of these alerts, and of no others, to hold.
func wantFiring(t *testing.T, p *metricstest.Prometheus, names ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	got := firing(t, p)
	for range 2 { // a scrape that a busy machine missed looks like a hotline that is down
		if maps.Equal(got, want) {
			return
		}
		p.Scrape()
		got = firing(t, p)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the conditions of %v hold, want those of %v", got, want)
	}
}

// dashboardShows wants something behind each query of the dashboard.
func dashboardShows(t *testing.T, p *metricstest.Prometheus) {
	t.Helper()
	data, err := metrics.Files.ReadFile("dashboards/hotline-now.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries++
			if len(ask(p, target.Expr)) == 0 {
				t.Errorf("panel %q shows nothing: %s", panel.Title, target.Expr)
			}
		}
	}
	if queries < 20 {
		t.Errorf("the dashboard has %d queries", queries)
	}
}

// A real Prometheus scrapes a hotline that takes real calls: what it shows is what
// the test did, to the integer, and dashboard and alerts see it.
func TestPrometheusSeesWhatHappened(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Agents = []config.Agent{agent("vip", true, "sales"), agent("carol", false, "sales")}
		c.Directory.File = customersFile(t, "+8613800000001,K1,Big Bank,A1,,,zh")
		c.Routing.EstimateEvery = time.Second
		c.Routing.KeepIdle = 1 // the one VIP seat is not for C
	})
	p := metricstest.Start(t, h.HTTPAddr().String())
	vip, carol, phone := h.seat("vip"), h.seat("carol"), h.phone()
	p.Scrape() // the series as they begin

	answered := func(d *desk, from string) {
		c := h.dial(phone, "1", from)
		d.pickUp(t)
		h.log.await(t, "talk started")
		said := c.Media.Play(media.Tone(callerTone, 100*time.Millisecond, 0.4), media.PlayOptions{})
		awaitDone(t, "what the caller says", said.Done()) // else there may be no packet to count
		c.Hangup()
		h.log.await(t, "call closed", "outcome", "answered")
	}
	answered(vip, "13800000001")
	answered(carol, "13900000001")
	answered(carol, "13900000002")
	awaitDone(t, "hang-up by the flow", h.dial(phone, "3", "13900000003").Done())
	h.log.await(t, "call closed", "outcome", "ivr")
	talking := h.dial(phone, "1", "13900000004")
	carol.ring(t).Refuse(486) // and rings again
	carol.pickUp(t)
	h.log.await(t, "talk started")
	waits := func(from string) *softphone.Call {
		c := h.dial(phone, "1", from)
		arrived := h.log.await(t, "call arrived", "from", "+86…"+from[len(from)-2:])
		h.log.await(t, "call queued", "call", arrived["call"])
		return c
	}
	gaveUp := waits("13900000005")
	gaveUp.Hangup()
	h.log.await(t, "call closed", "outcome", "abandoned")
	waiting := waits("13900000006")
	p.Scrape()
	duringCalls(t, p)

	// Everybody goes home while a caller waits.
	waiting.Hangup()
	h.log.await(t, "call closed", "outcome", "abandoned")
	talking.Hangup()
	h.log.await(t, "call closed", "outcome", "answered")
	for _, d := range []*desk{vip, carol} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := d.Unregister(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		h.log.await(t, "seat unregistered")
	}
	last := waits("13900000007")
	p.Scrape()
	wantFiring(t, p, "HotlineCallsWaitNoSeat")
	last.Hangup()
	h.log.await(t, "call closed", "outcome", "abandoned")
	p.Scrape()
	ended := value(t, p, `sum(hotline_calls_total)`)
	if left, entered := value(t, p, `sum(hotline_queue_left_total)`), value(t, p, `sum(hotline_queue_entered_total)`); left != entered || entered != 7 {
		t.Errorf("%v entries and %v exits, want 7", entered, left)
	}
	recs := h.finish()
	if float64(len(recs)) != ended || ended != 8 {
		t.Errorf("%d records and %v calls, want 8", len(recs), ended)
	}
	p.Scrape()
	wantFiring(t, p, "HotlineDownOrNotRecording")
}

// duringCalls checks the figures while one call talks and one waits.
func duringCalls(t *testing.T, p *metricstest.Prometheus) {
	t.Helper()
	for expr, want := range map[string]float64{
		`hotline_calls_total{tier="A1",queue="sales",outcome="answered"}`:             1,
		`hotline_calls_total{tier="C",queue="sales",outcome="answered"}`:              2,
		`hotline_calls_total{tier="C",queue="sales",outcome="abandoned"}`:             1,
		`hotline_calls_total{tier="C",queue="",outcome="ivr"}`:                        1,
		`sum(hotline_calls_total)`:                                                    5,
		`hotline_calls_offered_total{tier="A1"}`:                                      1,
		`hotline_calls_offered_total{tier="C"}`:                                       4, // with the one who talks
		`hotline_answered_wait_seconds_count{tier="C"}`:                               3,
		`hotline_abandoned_wait_seconds_count{tier="C"}`:                              1,
		`hotline_handle_seconds_count{tier="C",part="talk"}`:                          2,
		`hotline_queue_entered_total{queue="sales"}`:                                  6,
		`sum(hotline_queue_left_total)`:                                               4,
		`hotline_waiting_calls{tier="C",queue="sales"}`:                               1,
		`hotline_talking_calls{queue="sales"}`:                                        1,
		`sum(hotline_on_offer_calls)`:                                                 0,
		`hotline_calls_in_progress`:                                                   2,
		`hotline_media_legs`:                                                          3, // two callers, one agent
		`hotline_seats{state="talking",status="ready"}`:                               1,
		`hotline_seats{state="idle",status="ready"}`:                                  1,
		`sum(hotline_seats)`:                                                          2,
		`hotline_customer_lookup_seconds_count{source="file"}`:                        7, // each call, known or not
		`hotline_sip_requests_total{direction="received",method="INVITE",code="200"}`: 7,
		`hotline_sip_requests_total{direction="sent",method="INVITE",code="486"}`:     1,
		`hotline_sip_requests_total{direction="sent",method="INVITE",code="200"}`:     4,
		`hotline_invariant_violations`:                                                0,
		`up{job="hotline"}`:                                                           1,
	} {
		if got := value(t, p, expr); got != want {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
	settles(t, p, `tier:hotline_service_level_neg:ratio_rate30m{tier="A1"}`, 1)
	settles(t, p, `tier:hotline_service_level_neg:ratio_rate30m{tier="C"}`, .75)
	settles(t, p, `tier:hotline_service_level_ign:ratio_rate30m{tier="C"}`, 1)
	settles(t, p, `tier:hotline_service_level_pos:ratio_rate30m{tier="C"}`, 1)
	settles(t, p, `tier:hotline_service_level_ans:ratio_rate30m{tier="C"}`, 1)
	dashboardShows(t, p)
	wantFiring(t, p)
}
