package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/simulate"
)

// simulating is what `hotline simulate` is asked.
type simulating struct {
	config, versus, page, records string
	json, quiet                   bool
}

func simulateCommand() *cobra.Command {
	var s simulating
	cmd := &cobra.Command{
		Use:   "simulate SCENARIO.yaml",
		Short: "Try a config against made-up traffic, in virtual time",
		Long: `Run a scenario (who calls, how long calls take, how long callers wait, who is
there) against the policy of a config, with the same routing core as in
production. Figures are means over the replications with 95 % confidence
intervals. With --vs a second config meets the same callers.`,
		Example: `  hotline simulate scenario.example.yaml
  hotline simulate scenario.yaml --config old.yaml --vs new.yaml --html compare.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd.Context(), args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&s.config, "config", "c", "", "configuration whose policy is simulated; default: the scenario's")
	f.StringVar(&s.versus, "vs", "", "a second configuration, for the same callers")
	f.StringVar(&s.records, "records", "", "directory of call records whose callers come in place of the scenario's classes")
	f.StringVar(&s.page, "html", "", "write one self-contained page with plots to this file")
	f.BoolVar(&s.json, "json", false, "print JSON")
	f.BoolVar(&s.quiet, "quiet", false, "no progress")
	return cmd
}

func (s *simulating) run(ctx context.Context, file string, out, progress io.Writer) error {
	sc, err := config.LoadScenario(file)
	if err != nil {
		return err
	}
	if s.config == "" {
		s.config = sc.Config
	}
	if s.config == "" {
		return errors.New("which policy? Name a configuration with --config, or in the scenario")
	}
	configs := []string{s.config}
	if s.versus != "" {
		configs = append(configs, s.versus)
	}
	var reports []simulate.Named
	for _, c := range configs {
		rep, err := s.simulate(ctx, sc, c, progress)
		if err != nil {
			return err
		}
		reports = append(reports, simulate.Named{Name: c, Report: rep})
	}
	if err := writePage(s.page, func(w io.Writer) error { return simulate.WritePage(w, reports) }); err != nil {
		return err
	}
	if s.json {
		if len(reports) == 1 {
			return json.NewEncoder(out).Encode(reports[0].Report)
		}
		return json.NewEncoder(out).Encode(map[string]*simulate.Report{"config": reports[0].Report, "vs": reports[1].Report})
	}
	for _, r := range reports {
		printReport(out, r)
	}
	return nil
}

func (s *simulating) simulate(ctx context.Context, sc *config.Scenario, file string, progress io.Writer) (*simulate.Report, error) {
	policy, err := newPolicy(file)
	if err != nil {
		return nil, err
	}
	sim, err := sc.Simulation(policy)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.records != "" {
		if sim, err = s.ofRecords(policy, sim); err != nil {
			return nil, err
		}
	}
	show := func(done, of int) {
		fmt.Fprintf(progress, "\r%s: %d of %d replications", file, done, of)
		if done == of {
			fmt.Fprintln(progress)
		}
	}
	if s.quiet || s.json {
		show = nil
	}
	return simulate.Run(ctx, sim, show)
}

// ofRecords puts the callers of call records in place of those of the classes; ringing
// and shifts are the scenario's.
func (s *simulating) ofRecords(policy routing.Policy, sim simulate.Scenario) (simulate.Scenario, error) {
	rec, err := recordedCalls(s.records)
	if err != nil {
		return sim, err
	}
	out, err := rec.Scenario(policy, sim.Seed, sim.Replications)
	out.Ring, out.Shifts, out.Start = sim.Ring, sim.Shifts, sim.Start
	return out, err
}

// writePage writes the file that --html names, if it names one.
func writePage(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

func printReport(w io.Writer, r simulate.Named) {
	rep := r.Report
	fmt.Fprintf(w, "%s: %d replications, occupancy %.1f ± %.1f %%, on average %.2f calls wait\n", r.Name, rep.Replications,
		100*rep.Occupancy.Mean, 100*rep.Occupancy.HalfWidth, rep.Waiting.Mean)
	fmt.Fprintf(w, "%-12s %8s %8s %14s %6s %7s %14s %7s %7s %7s %15s %6s %6s %6s\n", "", "offered", "answered", "gave up", "shed", "target", "neg", "ign", "pos", "ans", "ASA", "P50", "P80", "P95")
	row := func(f simulate.Figures) {
		fmt.Fprintf(w, "%-12s %8.0f %8.0f %7.1f ± %3.1f%% %5.1f%% %7s %7.1f ± %3.1f%% %6.1f%% %6.1f%% %6.1f%% %7.1f ± %4.1fs %5.0fs %5.0fs %5.0fs\n", f.Name,
			f.Offered.Mean, f.Answered.Mean, 100*f.PAbandon.Mean, 100*f.PAbandon.HalfWidth, 100*f.PShed.Mean, f.TargetText(), 100*f.Neg.Mean, 100*f.Neg.HalfWidth,
			100*f.Ign.Mean, 100*f.Pos.Mean, 100*f.Ans.Mean, f.ASA.Mean, f.ASA.HalfWidth, f.P50.Mean, f.P80.Mean, f.P95.Mean)
	}
	for _, f := range rep.Tiers {
		row(f)
	}
	for _, f := range rep.Queues {
		row(f)
	}
	row(rep.All)
}
