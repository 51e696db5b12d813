package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/routing/simulate"
)

func emergencyCommand() *cobra.Command {
	var c apiClient
	cmd := &cobra.Command{
		Use:   "emergency on NAME | off",
		Short: "Switch a running hotline to an emergency policy, or back",
		Example: `  hotline emergency on flood
  hotline emergency off`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out struct{ Emergency string }
			switch {
			case args[0] == "on" && len(args) == 2:
				if err := c.do("POST", "/api/emergency/"+url.PathEscape(args[1]), &out); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "emergency %s is on\n", out.Emergency)
			case args[0] == "off" && len(args) == 1:
				if err := c.do("DELETE", "/api/emergency", &out); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "no emergency is on")
			default:
				return fmt.Errorf("use: hotline emergency on NAME, or hotline emergency off")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&c.base, "url", "http://127.0.0.1:8080", "where the hotline's HTTP is (http.listen)")
	cmd.Flags().StringVar(&c.token, "token", "", "API token (http.token)")
	return cmd
}

func drillCommand() *cobra.Command {
	var file string
	var flood float64
	cmd := &cobra.Command{
		Use:   "drill NAME SCENARIO.yaml",
		Short: "Rehearse an emergency in simulation",
		Long: `Play a scenario's callers, --flood times as many, before the normal policy and
before that of an emergency, and tell what would have happened to each tier. The
callers of both are the same; those of tiers that are shed hear the announcement
and go.`,
		Example: "  hotline drill flood scenario.example.yaml --flood 4",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return drill(cmd.Context(), cmd.OutOrStdout(), args[0], args[1], file, flood)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration; default: the scenario's")
	cmd.Flags().Float64Var(&flood, "flood", 3, "how many times the scenario's calls come")
	return cmd
}

func drill(ctx context.Context, w io.Writer, name, scenario, file string, flood float64) error {
	sc, err := config.LoadScenario(scenario)
	if err != nil {
		return err
	}
	if file == "" {
		file = sc.Config
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	e, ok := cfg.Emergency(name)
	if !ok {
		return fmt.Errorf("there is no emergency %q in %s", name, file)
	}
	if !(flood > 0) {
		return fmt.Errorf("--flood %v: give a number of more than 0", flood)
	}
	for i := range sc.Classes {
		sc.Classes[i].PerHour *= flood
	}
	normal, err := sc.Simulation(cfg.Policy())
	if err != nil {
		return err
	}
	during, err := sc.Simulation(cfg.EmergencyPolicy(name))
	if err != nil {
		return err
	}
	shed := 0.0
	for i := range during.Classes {
		if c := &during.Classes[i]; slices.Contains(e.Shed, c.Tier) {
			shed += c.PerHour * during.Length.Hours()
			c.PerHour = 0
		}
	}
	for _, r := range []struct {
		name string
		sc   simulate.Scenario
	}{{"as usual", normal}, {"emergency " + name, during}} {
		rep, err := simulate.Run(ctx, r.sc, nil)
		if err != nil {
			return err
		}
		printReport(w, simulate.Named{Name: r.name, Report: rep})
		fmt.Fprintln(w)
	}
	if shed > 0 {
		fmt.Fprintf(w, "turned away after the announcement: up to %.0f callers of %v (profiles not counted)\n", shed, e.Shed)
	}
	return nil
}
