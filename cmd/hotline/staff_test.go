package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStaffCalculator(t *testing.T) {
	s := staffQuery{model: "erlang-a", perHour: 200, aht: 180 * time.Second, patience: 120 * time.Second, seats: 10, target: 20 * time.Second}
	r, err := s.compute()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.print(&out, true); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	level := got["service_level"].(map[string]any)
	for name, want := range map[string][2]float64{
		"p_wait": {got["p_wait"].(float64), 1 - 0.50314725237}, "p_abandon": {got["p_abandon"].(float64), 0.137463826276},
		"asa_s": {got["asa_s"].(float64), 14.5542296554}, "occupancy": {got["occupancy"].(float64), 0.862536173724},
		"neg": {level["neg"].(float64), 0.639941307036}, "ign": {level["ign"].(float64), 0.684459246481},
		"pos": {level["pos"].(float64), 0.70498234443}, "ans": {level["ans"].(float64), 0.74192981875},
	} {
		if math.Abs(want[0]-want[1]) > 1e-9*want[1] {
			t.Errorf("%s is %v, want %v", name, want[0], want[1])
		}
	}
	s = staffQuery{model: "erlang-c", perHour: 1200, aht: 300 * time.Second, target: 20 * time.Second, goal: "80%"}
	if r, err = s.compute(); err != nil || r.Seats != 108 {
		t.Errorf("%d seats for 80/20 (%v), want 108", r.Seats, err)
	}
}

func TestStaffRefuses(t *testing.T) {
	for _, tc := range []struct {
		s    staffQuery
		want string
	}{
		{staffQuery{model: "erlang-b", perHour: 1, aht: 1, seats: 1}, "use erlang-c or erlang-a"},
		{staffQuery{model: "erlang-a", perHour: 1, aht: 1, seats: 1}, "--patience"},
		{staffQuery{model: "erlang-c", aht: 1, seats: 1}, "--per-hour"},
		{staffQuery{model: "erlang-c", perHour: 1, aht: time.Second}, "either --seats or --goal"},
		{staffQuery{model: "erlang-c", perHour: 1, aht: time.Second, seats: 1, goal: "80%"}, "either --seats or --goal"},
		{staffQuery{model: "erlang-c", perHour: 1, aht: time.Second, goal: "80"}, "between 0 and 1"},
		{staffQuery{model: "erlang-c", perHour: 3600, aht: 10 * time.Second, seats: 10}, "grows for ever"},
	} {
		if _, err := tc.s.compute(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.s, err, tc.want)
		}
	}
}

// --html writes a page beside what is printed, of a day as of a load.
func TestStaffPage(t *testing.T) {
	day := []string{"--records", fortnight(t), "--date", "2026-11-17", "--goal", "80%", "--interval", "1h", "--shift", "3h", "--config", "../../config.example.yaml"}
	load := []string{"--model", "erlang-c", "--per-hour", "200", "--aht", "180s"}
	for _, tc := range []struct {
		args  []string
		plots int
		want  []string
	}{
		{day, 3, []string{"Tuesday 2026-11-17", "90 calls expected", "10:00: 30.0 calls", "10:00: 3 seats needed", "goal: 80 %", "<td>09:00<td>3\n", "<td>A1<td>"}},
		{append(load, "--goal", "80%"), 1, []string{"erlang-c, 10.00 erlangs", "14 (chosen)", "goal: 80 %"}},
		{append(load, "--seats", "12"), 1, []string{"12 (chosen)"}},
	} {
		file := filepath.Join(t.TempDir(), "staff.html")
		if code := run(context.Background(), append([]string{"staff", "--html", file}, tc.args...)); code != 0 {
			t.Errorf("%v: exit code %d", tc.args, code)
			continue
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(page), "<svg"); n != tc.plots {
			t.Errorf("%v: %d plots, want %d", tc.args, n, tc.plots)
		}
		for _, want := range tc.want {
			if !strings.Contains(string(page), want) {
				t.Errorf("%v: no %q in\n%s", tc.args, want, page)
			}
		}
	}
	if code := run(context.Background(), append([]string{"staff", "--seats", "12", "--html", "/nowhere/staff.html"}, load...)); code != 1 {
		t.Errorf("a page that can't be written: exit code %d, want 1", code)
	}
}
