package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/simulate"
	"hotline/routing/staffing"
)

// plan makes the roster that staff --records asks for.
func (s *staffQuery) plan(ctx context.Context) (*staffing.Roster, error) {
	calls, err := readHistory(s.records)
	if err != nil {
		return nil, err
	}
	holidays, err := readHolidays(s.holidays)
	if err != nil {
		return nil, err
	}
	h, err := staffing.Learn(calls, s.interval, holidays)
	if err != nil {
		return nil, err
	}
	day := time.Now().AddDate(0, 0, 1)
	if s.date != "" {
		if day, err = time.Parse(time.DateOnly, s.date); err != nil {
			return nil, fmt.Errorf("--date %q: write it as 2026-11-23", s.date)
		}
	}
	share, err := percent(s.goal)
	if err != nil {
		return nil, err
	}
	patience := h.Patience()
	if s.patience > 0 {
		patience = s.patience.Seconds()
	}
	goal := staffing.Goal{Target: s.target.Seconds(), Share: share}
	needs, err := staffing.Plan(h.Forecast(day, holidays), s.interval, patience, goal)
	if err != nil {
		return nil, err
	}
	shifts, err := staffing.Cover(needs, s.interval, s.shift)
	if err != nil {
		return nil, err
	}
	staffing.Expect(needs, s.interval, patience, goal)
	r := &staffing.Roster{Date: day.Format(time.DateOnly), Interval: s.interval.String(), Trend: h.Trend(), Goal: goal, Needs: needs, Shifts: shifts}
	if !math.IsInf(patience, 1) {
		r.Patience = patience
	}
	for _, n := range needs {
		r.Calls += n.Calls
	}
	for _, sh := range shifts {
		r.Hours += float64(sh.Agents) * s.shift.Hours()
	}
	if s.config != "" {
		r.Tiers, err = s.tiers(ctx, calls, needs, shifts, patience)
	}
	return r, err
}

// readHolidays reads a file of dates, one a line; # begins a comment.
func readHolidays(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--holidays: %w", err)
	}
	var out []string
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %q is no date; write 2026-10-01", name, n, line)
		}
		out = append(out, line)
	}
	return out, nil
}

// tiers simulates the day with the planned shifts under the order and the targets
// of a config, every seat open to all: what each tier gets of it.
func (s *staffQuery) tiers(ctx context.Context, past []staffing.Call, needs []staffing.Need, shifts []staffing.Shift, patience float64) ([]simulate.Figures, error) {
	cfg, err := config.Load(s.config)
	if err != nil {
		return nil, err
	}
	policy := cfg.Policy()
	policy.Queues, policy.Seats, policy.KeepIdle = []routing.QueuePolicy{{ID: "all"}}, nil, 0
	sc := simulate.Scenario{Length: 24 * time.Hour, Seed: 1, Replications: 20}
	for _, sh := range shifts {
		for range sh.Agents {
			id := routing.SeatID(fmt.Sprintf("seat%04d", len(policy.Seats)+1))
			policy.Seats = append(policy.Seats, routing.SeatPolicy{ID: id, Queues: []routing.QueueID{"all"}})
			sc.Shifts = append(sc.Shifts, simulate.Shift{Seat: id, From: sh.From, To: sh.From + s.shift})
		}
	}
	sc.Policy = policy
	var hours [24]float64
	var work, total float64
	for _, n := range needs {
		hours[int(n.Start.Hours())] += n.Calls
		work += n.Calls * n.AHT
		total += n.Calls
	}
	share := map[routing.Tier]float64{}
	for _, c := range past {
		share[c.Tier] += 1 / float64(len(past))
	}
	for _, t := range routing.Tiers() {
		if share[t] == 0 {
			continue
		}
		var dist simulate.Dist = simulate.Exponential{M: patience}
		if math.IsInf(patience, 1) {
			dist = simulate.Never
		}
		sc.Classes = append(sc.Classes, simulate.Class{Name: t.String(), Tier: t, Queue: "all", PerHour: share[t], Profile: hours[:],
			Service: simulate.Exponential{M: work / total}, Patience: dist})
	}
	rep, err := simulate.Run(ctx, sc, nil)
	if err != nil {
		return nil, err
	}
	return rep.Tiers, nil
}

func printRoster(w io.Writer, r *staffing.Roster) {
	fmt.Fprintf(w, "%s: %.0f calls expected (trend %+.0f %%)\n\n", r.Date, r.Calls, 100*(r.Trend-1))
	fmt.Fprintf(w, "%-6s %7s %6s %6s %8s %6s %9s %9s\n", "from", "calls", "AHT", "seats", "staffed", "level", "one less", "one more")
	for _, n := range r.Needs {
		switch {
		case n.Seats == 0 && n.Staffed == 0:
		case n.Seats == 0: // there is no level of no calls
			fmt.Fprintf(w, "%-6s %7.1f %6s %6d %8d\n", n.Clock, n.Calls, "", n.Seats, n.Staffed)
		default:
			fmt.Fprintf(w, "%-6s %7.1f %5.0fs %6d %8d %5.0f%% %8.0f%% %8.0f%%  %s\n", n.Clock, n.Calls, n.AHT, n.Seats, n.Staffed,
				100*n.Level, 100*n.Less, 100*n.More, strings.Repeat("#", min(n.Seats, 40)))
		}
	}
	fmt.Fprintf(w, "\nshifts, %.0f agent hours:\n", r.Hours)
	for _, s := range r.Shifts {
		fmt.Fprintf(w, "  %s  %d agents\n", s.Clock, s.Agents)
	}
	if len(r.Tiers) == 0 {
		return
	}
	fmt.Fprintln(w, "\nsimulated with these shifts, every seat open to all:")
	for _, f := range r.Tiers {
		fmt.Fprintf(w, "  %-3s %5.0f calls, %5.1f ± %.1f %% within %.0f s, %4.1f %% give up, ASA %.0f s\n", f.Name, f.Offered.Mean,
			100*f.Neg.Mean, 100*f.Neg.HalfWidth, f.Target, 100*f.PAbandon.Mean, f.ASA.Mean)
	}
}
