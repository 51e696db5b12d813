package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotline/routing/staffing"
)

// fortnight is a directory of records, written as the server writes them: 30 calls
// an hour from 9 to 12 each day.
func fortnight(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	start := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	for day := range 14 {
		var b strings.Builder
		for hour := 9; hour < 12; hour++ {
			for k := range 30 {
				at := start.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour + time.Duration(k)*2*time.Minute)
				tier, outcome := "C", "answered"
				if k%5 == 0 {
					tier = "A1"
				}
				if k%10 == 9 {
					outcome = "abandoned"
				}
				fmt.Fprintf(&b, `{"call":"c%d-%d-%d","node":"n","outcome":%q,"tier":%q,"queue":"sales","queued":%q,"queue_wait_s":%d,"talk_s":150,"hold_s":0,"wrap_up_s":30}`+"\n",
					day, hour, k, outcome, tier, at.Format("2006-01-02T15:04:05.000Z07:00"), k)
			}
		}
		fmt.Fprintln(&b, `{"call":"x","node":"n","outcome":"ivr","tier":"C","queue_wait_s":0,"talk_s":0,"hold_s":0,"wrap_up_s":0}`)
		name := filepath.Join(dir, "calls-"+start.AddDate(0, 0, day).Format(time.DateOnly)+".jsonl")
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRosterFromCallRecords(t *testing.T) {
	dir := fortnight(t)
	s := staffQuery{records: dir, date: "2026-11-17", goal: "80%", target: 20 * time.Second, interval: time.Hour, shift: 3 * time.Hour, config: "../../config.example.yaml"}
	r, err := s.plan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Calls != 90 || r.Needs[10].Calls != 30 || r.Needs[10].AHT != 180 || r.Needs[8].Seats != 0 || r.Patience <= 0 {
		t.Errorf("%+v", r.Needs[10])
	}
	// 30 calls an hour of 180 s are 1.5 erlang; with patience 3 seats are enough.
	if r.Needs[10].Seats != 3 || len(r.Shifts) != 1 || r.Shifts[0].Clock != "09:00" || r.Hours != 9 {
		t.Errorf("seats %d, shifts %+v", r.Needs[10].Seats, r.Shifts)
	}
	if len(r.Tiers) != 2 || r.Tiers[0].Name != "A1" || r.Tiers[0].Neg.Mean < r.Tiers[1].Neg.Mean-0.1 {
		t.Errorf("tiers %+v", r.Tiers)
	}
	var out bytes.Buffer
	printRoster(&out, r)
	for _, want := range []string{"90 calls expected", "10:00", "shifts, 9 agent hours", "A1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	holidays := filepath.Join(dir, "holidays")
	if err := os.WriteFile(holidays, []byte("2026-11-17 # a feast\nsoon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.holidays = holidays
	if _, err := s.plan(context.Background()); err == nil || !strings.Contains(err.Error(), ":2: \"soon\" is no date") {
		t.Errorf("a bad holiday: %v", err)
	}
	s = staffQuery{records: t.TempDir(), goal: "80%", interval: time.Hour, shift: time.Hour}
	if _, err := s.plan(context.Background()); err == nil || !strings.Contains(err.Error(), "no call records") {
		t.Errorf("no records: %v", err)
	}
}

// The whole of what is printed: what one seat less or more would mean beside each
// interval with calls, and no level where nobody calls.
func TestRosterForPeople(t *testing.T) {
	r := &staffing.Roster{Date: "2026-11-17", Calls: 33, Trend: 1.1, Hours: 6, Shifts: []staffing.Shift{{Clock: "09:00", Agents: 3}},
		Needs: []staffing.Need{
			{Interval: staffing.Interval{Clock: "08:00", AHT: 180}},
			{Interval: staffing.Interval{Clock: "09:00", Calls: 33, AHT: 180}, Seats: 3, Staffed: 3, Level: 0.86, Less: 0.61, More: 0.955},
			{Interval: staffing.Interval{Clock: "10:00", AHT: 180}, Staffed: 3},
		}}
	var out bytes.Buffer
	printRoster(&out, r)
	const want = `2026-11-17: 33 calls expected (trend +10 %)

from     calls    AHT  seats  staffed  level  one less  one more
09:00     33.0   180s      3        3    86%       61%       96%  ###
10:00      0.0             0        3

shifts, 6 agent hours:
  09:00  3 agents
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
