package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hotline/demo"
)

func demoCommand() *cobra.Command {
	var length time.Duration
	var asJSON bool
	var logFile, keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a hotline on loopback with built-in callers and agents",
		Long: `Run the example configuration on loopback, on free ports, with built-in callers
of all tiers and agents that make real SIP calls with real RTP. Nothing else is
needed. It ends after --for, or on Ctrl-C, with a summary by tier; the exit code
is 0 only if every call made has its call record.`,
		Example: `  hotline demo
  hotline demo --for 20s --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o := demo.Options{For: length, Out: cmd.OutOrStdout(), Version: version(), Keep: keep}
			if asJSON {
				o.Out = io.Discard
			} else {
				o.Terminal = isTerminal(os.Stdout)
			}
			if logFile != "" {
				f, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
				if err != nil {
					return fmt.Errorf("--log: %w", err)
				}
				defer f.Close()
				o.LogFile = f
			}
			sum, err := demo.Run(ctx, o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(sum)
			}
			sum.Print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().DurationVar(&length, "for", 0, "how long it lasts, such as 20s; 0 until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print nothing but the summary, as JSON")
	cmd.Flags().StringVar(&keep, "keep", "", "leave journal and call records in this new directory, for hotline why and replay")
	cmd.Flags().StringVar(&logFile, "log", "", "write the server's log to this file")
	return cmd
}

// isTerminal tells whether a table can be drawn in place.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
