package staffing

import (
	"bytes"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotline/routing/erlang"
)

var update = flag.Bool("update", false, "write the golden files")

// planned is a Tuesday of the month, with an hour without calls in the middle.
func planned(t *testing.T) *Roster {
	t.Helper()
	h, err := Learn(month(1.2), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	const patience = 120
	goal := Goal{Target: 20, Share: 0.8}
	forecast := h.Forecast(time.Date(2026, 10, 6, 0, 0, 0, 0, time.UTC), nil)
	forecast[10].Calls *= 12
	forecast[12].Calls = 0
	needs, err := Plan(forecast, time.Hour, patience, goal)
	if err != nil {
		t.Fatal(err)
	}
	shifts, err := Cover(needs, time.Hour, 4*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	Expect(needs, time.Hour, patience, goal)
	r := &Roster{Date: "2026-10-06", Interval: "1h0m0s", Trend: h.Trend(), Patience: patience, Goal: goal, Needs: needs, Shifts: shifts}
	for _, n := range needs {
		r.Calls += n.Calls
	}
	for _, s := range shifts {
		r.Hours += 4 * float64(s.Agents)
	}
	return r
}

// page compares a page with its golden file and says what no page may have.
func page(t *testing.T, golden string, write func(io.Writer) error) string {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"<script", "src=", "href=", "url(", "NaN", "Inf", "%!"} {
		if strings.Contains(got.String(), bad) {
			t.Errorf("%s: the page has %q in it", golden, bad)
		}
	}
	return got.String()
}

func TestRosterPage(t *testing.T) {
	r := planned(t)
	text := page(t, "testdata/roster.golden.html", r.WritePage)
	if strings.Count(text, "<svg") != 3 {
		t.Error("the page wants plots of calls, seats and service level")
	}
	// The shifts give more than is needed around the peak, and so a better level.
	if n := r.Needs[9]; n.Staffed < n.Seats || n.StaffedLevel < n.Level || n.StaffedLevel < r.Goal.Share {
		t.Errorf("at 9: %+v", n)
	}
	// One line of the level before the hour without calls and one after it.
	if n := strings.Count(text, "<title>service level with the seats that the shifts give</title>"); n != 2 {
		t.Errorf("the level has %d lines, want 2", n)
	}
}

// A plot of nothing is a plot.
func TestRosterPageOfADayWithoutCalls(t *testing.T) {
	r := &Roster{Date: "2026-10-11", Interval: "1h0m0s", Trend: 1, Goal: Goal{Target: 20, Share: 0.8}, Needs: make([]Need, 24)}
	text := page(t, "testdata/quiet.golden.html", r.WritePage)
	if !strings.Contains(text, "Sunday 2026-10-11") || strings.Contains(text, "<rect") {
		t.Errorf("a quiet Sunday:\n%s", text)
	}
}

func TestSizingPage(t *testing.T) {
	load := erlang.Load{Rate: 200.0 / 3600, Service: 180, Patience: 120}
	z := Sizing{Model: "erlang-a", Load: load, Seats: 12, Goal: Goal{Target: 20, Share: 0.8}}
	text := page(t, "testdata/sizing.golden.html", z.WritePage)
	if strings.Count(text, "<svg") != 1 || strings.Count(text, `r="5"`) != 2 || !strings.Contains(text, "12 (chosen)") {
		t.Error("the chosen number isn't marked")
	}
	if n := strings.Count(text, ">goal</text>"); n != 1 {
		t.Errorf("%d goals are drawn, want 1", n)
	}
	// Erlang C has no figures where the queue grows for ever; 10 erlangs need 11.
	load.Patience = 0
	z = Sizing{Model: "erlang-c", Load: load, Seats: 11, Goal: Goal{Target: 20}}
	var c bytes.Buffer
	if err := z.WritePage(&c); err != nil {
		t.Fatal(err)
	}
	if first := regexp.MustCompile(`<tr><td>(\S+)`).FindStringSubmatch(c.String()); first[1] != "11" || strings.Contains(c.String(), "goal") {
		t.Errorf("the first row is of %s seats:\n%s", first[1], &c)
	}
}

// However large the load, the page stays small and holds the chosen number.
func TestSizingOfAnyLoad(t *testing.T) {
	for _, erlangs := range []float64{0.01, 1, 1000, 100000} {
		z := Sizing{Load: erlang.Load{Rate: erlangs / 100, Service: 100, Patience: 60}, Goal: Goal{Target: 20, Share: 0.8}}
		var err error
		if z.Seats, _, err = erlang.Seats(z.Load, z.Goal.Target, z.Goal.Share); err != nil {
			t.Fatal(err)
		}
		all := z.around()
		chosen := 0
		for _, s := range all {
			if s.seats == z.Seats {
				chosen++
			}
		}
		if chosen != 1 || len(all) > 41 || len(all) < 5 {
			t.Errorf("%v erlangs: %d numbers of seats, the chosen one %d times", erlangs, len(all), chosen)
		}
	}
}
