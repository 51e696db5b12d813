package main

import (
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hotline/routing"
)

func callsCommand() *cobra.Command {
	var c apiClient
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "List the calls of a running hotline",
		Example: `  hotline calls
  hotline calls tier node-1-m5x0-0042 A1     counts at once, the place in the line stays`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var calls []routing.CallView
			if err := c.do("GET", "/api/calls", &calls); err != nil {
				return err
			}
			return printCalls(cmd.OutOrStdout(), calls)
		},
	}
	c.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use:   "tier CALL TIER",
		Short: "Give a caller who waits another tier",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var call routing.CallView
			if err := c.do("POST", "/api/calls/"+url.PathEscape(args[0])+"/tier?tier="+url.QueryEscape(args[1]), &call); err != nil {
				return err
			}
			return printCalls(cmd.OutOrStdout(), []routing.CallView{call})
		},
	})
	return cmd
}

func printCalls(w io.Writer, calls []routing.CallView) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "CALL\tTIER\tPHASE\tQUEUE\tSTEP\tSINCE\tAGENT")
	for _, v := range calls {
		since := v.Arrived
		for _, at := range []routing.Time{v.Answered, v.Queued, v.Connected, v.Ended} {
			since = max(since, at)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Tier, v.Phase, v.Queue, v.Step, time.UnixMicro(int64(since)).Format(time.TimeOnly), v.Agent)
	}
	return t.Flush()
}
