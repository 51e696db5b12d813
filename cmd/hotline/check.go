package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/erlang"
	"hotline/routing/staffing"
)

func checkCommand() *cobra.Command {
	var past string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a configuration file",
		Long: `Say everything that is wrong with a configuration file, one line for each
problem: FILE:LINE:COLUMN: what; hint. Exit code 1 when there is any. A warning
names what works and may not be meant, and leaves the code at 0.

With --records the past call records are held against it, too: targets that the
load makes impossible, even with every agent there, are named.`,
		Example: `  hotline check config.yaml && systemctl reload hotline
  hotline check config.yaml --records data/records`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(args[0])
			if err != nil {
				fmt.Fprintln(cmd.OutOrStdout(), err)
				return exitError{1}
			}
			if past != "" {
				calls, err := readHistory(past)
				if err != nil {
					return err
				}
				impossible, err := impossibleTargets(cfg, calls)
				if err != nil {
					return err
				}
				for _, what := range impossible {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], what)
				}
				if len(impossible) > 0 {
					return exitError{1}
				}
			}
			for _, what := range cfg.KeysInClear() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: warning: %s\n", args[0], what)
			}
			fmt.Fprintln(cmd.OutOrStdout(), args[0]+": ok")
			return nil
		},
	}
	cmd.Flags().StringVar(&past, "records", "", "directory of past call records, to check the targets against their load")
	return cmd
}

// impossibleTargets names, queue by queue, the tiers whose target can't be met in
// the busiest hour of the week to come, even if every agent of the queue were
// there for that tier and those served before it alone. What it names is
// impossible; what it doesn't name may still be missed.
func impossibleTargets(cfg *config.Config, calls []staffing.Call) ([]string, error) {
	var out []string
	for _, q := range cfg.Queues {
		seats := 0
		for _, a := range cfg.Agents {
			if slices.Contains(a.Queues, q.Name) {
				seats++
			}
		}
		for _, t := range routing.Tiers() {
			var load []staffing.Call
			theirs := false
			for _, c := range calls {
				if string(c.Queue) == q.Name && c.Tier.Band() <= t.Band() {
					load = append(load, c)
					theirs = theirs || c.Tier == t
				}
			}
			if !theirs {
				continue
			}
			what, err := impossible(cfg.Tiers.Of(t), load, seats)
			if err != nil {
				continue // nobody of them was answered: nothing is known of their handling
			}
			if what != "" {
				out = append(out, fmt.Sprintf("tier %s can't be answered in time in queue %s: %s; add agents to the queue, or set a target that can be met", t, q.Name, what))
			}
		}
	}
	return out, nil
}

// impossible says how far the target is out of reach, or "".
func impossible(promise config.Tier, load []staffing.Call, seats int) (string, error) {
	h, err := staffing.Learn(load, time.Hour, nil)
	if err != nil {
		return "", err
	}
	day := load[len(load)-1].At
	busiest := staffing.Interval{}
	var when time.Time
	for i := 1; i <= 7; i++ {
		d := day.AddDate(0, 0, i)
		for _, iv := range h.Forecast(d, nil) {
			if iv.Calls*iv.AHT > busiest.Calls*busiest.AHT {
				busiest, when = iv, d
			}
		}
	}
	l := erlang.Load{Rate: busiest.Calls / 3600, Service: busiest.AHT}
	if p := h.Patience(); !math.IsInf(p, 1) {
		l.Patience = p
	}
	reached := 0.0
	if m, err := erlang.New(l, seats); err == nil {
		reached = m.ServiceLevel(promise.Target.Seconds()).Neg
	}
	if 100*reached >= float64(promise.Percent) {
		return "", nil
	}
	need := "no number of agents is enough"
	if n, _, err := erlang.Seats(l, promise.Target.Seconds(), float64(min(promise.Percent, 99))/100); err == nil {
		need = fmt.Sprintf("%d would be needed", n)
	}
	return fmt.Sprintf("%s %s brings %.0f calls an hour of %.0f s, and all its %d agents reach %.0f %% within %v, not %d %%; %s",
		when.Weekday(), busiest.Clock, busiest.Calls, busiest.AHT, seats, 100*reached, promise.Target, promise.Percent, need), nil
}
