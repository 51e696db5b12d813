package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hotline/server"
)

func trunksCommand() *cobra.Command {
	var c apiClient
	cmd := &cobra.Command{
		Use:     "trunks",
		Short:   "List the trunks of a running hotline: calls, gateways, registration",
		Example: `  hotline trunks`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var trunks []server.TrunkStatus
			if err := c.do("GET", "/api/trunks", &trunks); err != nil {
				return err
			}
			return printTrunks(cmd.OutOrStdout(), trunks, time.Now())
		},
	}
	c.flags(cmd)
	return cmd
}

// printTrunks writes one line for each gateway; a trunk without one has a line, too.
func printTrunks(w io.Writer, trunks []server.TrunkStatus, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "TRUNK\tIN\tOUT\tREFUSED\tREGISTERED\tGATEWAY\tSTATE\tADDRESSES")
	for _, tr := range trunks {
		head := fmt.Sprintf("%s\t%d\t%d\t%d\t%s", tr.Name, tr.CallsIn, tr.CallsOut, tr.RefusedIn+tr.RefusedOut, registered(tr.Registration, now))
		if len(tr.Gateways) == 0 {
			fmt.Fprintf(t, "%s\t-\t-\t-\n", head)
		}
		for _, g := range tr.Gateways {
			state := "down"
			if g.Up {
				state = "up"
			}
			var at []string
			for _, a := range g.Addresses {
				at = append(at, strings.ToLower(a.Network)+" "+a.Address+" "+a.State)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", head, g.Gateway, state, strings.Join(at, ", "))
			head = "\t\t\t\t"
		}
	}
	return t.Flush()
}

// registered says in a few words whether we are registered with a trunk.
func registered(r *server.RegistrationStatus, now time.Time) string {
	switch {
	case r == nil:
		return "-"
	case r.Registered && r.Failures == 0:
		return "for " + r.Expires.Sub(now).Round(time.Second).String()
	case r.Registered:
		return fmt.Sprintf("for %s, but %d failures: %s", r.Expires.Sub(now).Round(time.Second), r.Failures, r.Problem)
	case r.Failures > 0:
		return fmt.Sprintf("no, %d failures: %s", r.Failures, r.Problem)
	default:
		return "not yet"
	}
}
