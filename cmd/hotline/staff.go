package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hotline/routing/erlang"
	"hotline/routing/staffing"
)

// staffQuery is what `hotline staff` is asked.
type staffQuery struct {
	model                 string
	perHour               float64
	aht, patience, target time.Duration
	seats                 int
	goal, page            string
	json                  bool

	records, date, holidays, config string
	interval, shift                 time.Duration
}

// staffed is its answer.
type staffed struct {
	Model        string              `json:"model"`
	Seats        int                 `json:"seats"`
	Erlangs      float64             `json:"erlangs"`
	PWait        float64             `json:"p_wait"`
	PAbandon     float64             `json:"p_abandon"`
	ASA          float64             `json:"asa_s"`
	Target       float64             `json:"target_s"`
	ServiceLevel erlang.ServiceLevel `json:"service_level"`
	Occupancy    float64             `json:"occupancy"`

	load erlang.Load
	goal float64 // 0 when the seats were given
}

func staffCommand() *cobra.Command {
	var s staffQuery
	cmd := &cobra.Command{
		Use:   "staff",
		Short: "Seats needed for a load, or for a day planned from past records",
		Long: `Compute what so many seats make of a load, or the fewest seats that reach a goal.

erlang-c assumes that nobody gives up; erlang-a that callers give up after an
exponential time with the mean --patience. The service level is given in four
forms, a and b being the calls answered and abandoned within the target:
neg a/offered, ign a/(offered-b), pos (a+b)/offered, ans a/answered. A goal is
one of neg.

With --records the day of --date is planned from past call records: a forecast by
weekday and time of day, with the trend of the last week and holidays as Sundays;
the seats of each interval by Erlang A with the patience seen in the records; what
one seat less or more would mean; and shifts that cover it. With --config the
tiers are simulated with those shifts.

With --html the answer is written as one page with plots, too, which needs no
network: of the day, calls, seats needed, seats given by the shifts and service
level against the goal; of a load, service level and share that has to wait by
number of seats.`,
		Example: `  hotline staff --model erlang-c --per-hour 200 --aht 180s --seats 12 --target 20s
  hotline staff --model erlang-a --per-hour 200 --aht 180s --patience 120s --target 20s --goal 80%
  hotline staff --records data/records --date 2026-11-23 --goal 80% --shift 8h --config config.yaml --html day.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.records != "" {
				return s.roster(cmd.Context(), cmd.OutOrStdout())
			}
			return s.sizing(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.model, "model", "erlang-a", "erlang-c or erlang-a")
	f.Float64Var(&s.perHour, "per-hour", 0, "calls per hour")
	f.DurationVar(&s.aht, "aht", 0, "mean handling time: talk, hold and wrap-up")
	f.DurationVar(&s.patience, "patience", 0, "mean patience of callers (erlang-a)")
	f.IntVar(&s.seats, "seats", 0, "number of seats")
	f.DurationVar(&s.target, "target", 20*time.Second, "wait within which calls should be answered")
	f.StringVar(&s.goal, "goal", "", "share of calls to be answered within the target, such as 80%; in place of --seats")
	f.StringVar(&s.records, "records", "", "directory of past call records, to plan a day from")
	f.StringVar(&s.date, "date", "", "the day to plan, such as 2026-11-23; default tomorrow")
	f.DurationVar(&s.interval, "interval", 30*time.Minute, "interval of the plan")
	f.DurationVar(&s.shift, "shift", 8*time.Hour, "length of a shift")
	f.StringVar(&s.holidays, "holidays", "", "file of dates that are like Sundays, one a line")
	f.StringVarP(&s.config, "config", "c", "", "configuration whose order and targets the tiers are simulated with")
	f.StringVar(&s.page, "html", "", "write one self-contained page with plots to this file")
	f.BoolVar(&s.json, "json", false, "print JSON")
	return cmd
}

// roster answers with a day planned from records.
func (s *staffQuery) roster(ctx context.Context, w io.Writer) error {
	r, err := s.plan(ctx)
	if err != nil {
		return err
	}
	if err := writePage(s.page, r.WritePage); err != nil {
		return err
	}
	if s.json {
		return json.NewEncoder(w).Encode(r)
	}
	printRoster(w, r)
	return nil
}

// sizing answers with figures of a load.
func (s *staffQuery) sizing(w io.Writer) error {
	r, err := s.compute()
	if err != nil {
		return err
	}
	z := staffing.Sizing{Model: r.Model, Load: r.load, Seats: r.Seats, Goal: staffing.Goal{Target: r.Target, Share: r.goal}}
	if err := writePage(s.page, z.WritePage); err != nil {
		return err
	}
	return r.print(w, s.json)
}

func (s *staffQuery) compute() (staffed, error) {
	l := erlang.Load{Rate: s.perHour / 3600, Service: s.aht.Seconds()}
	switch {
	case s.model == "erlang-a" && s.patience <= 0:
		return staffed{}, errors.New("erlang-a needs --patience, such as --patience 120s")
	case s.model == "erlang-a":
		l.Patience = s.patience.Seconds()
	case s.model != "erlang-c":
		return staffed{}, fmt.Errorf("--model %q: use erlang-c or erlang-a", s.model)
	}
	if s.perHour <= 0 || s.aht <= 0 {
		return staffed{}, errors.New("--per-hour and --aht are needed, such as --per-hour 200 --aht 180s")
	}
	if (s.goal == "") == (s.seats == 0) {
		return staffed{}, errors.New("give either --seats or --goal")
	}
	var m erlang.Model
	var err error
	seats, goal := s.seats, 0.0
	if s.goal != "" {
		if goal, err = percent(s.goal); err != nil {
			return staffed{}, err
		}
		seats, m, err = erlang.Seats(l, s.target.Seconds(), goal)
	} else {
		m, err = erlang.New(l, seats)
	}
	if err != nil {
		return staffed{}, err
	}
	w := m.Waits()
	return staffed{Model: s.model, Seats: seats, Erlangs: l.Offered(), PWait: w.PWait, PAbandon: w.PAbandon, ASA: w.ASA,
		Target: s.target.Seconds(), ServiceLevel: m.ServiceLevel(s.target.Seconds()), Occupancy: w.Occupancy, load: l, goal: goal}, nil
}

// percent reads "80%" or "0.8".
func percent(v string) (float64, error) {
	n, isPercent := strings.CutSuffix(strings.TrimSpace(v), "%")
	p, err := strconv.ParseFloat(n, 64)
	if isPercent {
		p /= 100
	}
	if err != nil || !(p > 0 && p < 1) {
		return 0, fmt.Errorf("--goal %q: give a share between 0 and 1, such as 80%% or 0.8", v)
	}
	return p, nil
}

func (r staffed) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, `%s, %.2f erlangs, %d seats
  has to wait      %6.2f %%
  gives up         %6.2f %%
  ASA              %6.1f s
  occupancy        %6.2f %%
  within %-9s %6.2f %% neg   %.2f %% ign   %.2f %% pos   %.2f %% ans
`, r.Model, r.Erlangs, r.Seats, 100*r.PWait, 100*r.PAbandon, r.ASA, 100*r.Occupancy,
		time.Duration(r.Target*float64(time.Second)), 100*r.ServiceLevel.Neg, 100*r.ServiceLevel.Ign, 100*r.ServiceLevel.Pos, 100*r.ServiceLevel.Ans)
	return err
}
