// Command hotline is a call-routing and IVR server for customer hotlines.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

// exitError ends the program with a code of its own; its text was printed.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:   "hotline",
		Short: "Call routing and IVR for customer hotlines that treat customers by tier",
		Long: `hotline answers calls, asks Redis who is calling, plays a menu, and gives each
caller a place by tier: a VIP seat, the account manager, or the queue. Agents
answer on any softphone. Every figure is in Prometheus.`,
		Example: `  hotline demo                       see it work, nothing else needed
  hotline check config.yaml          what is wrong with a config
  hotline serve --config config.yaml run it`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), checkCommand(), demoCommand(), seatsCommand(), callsCommand(), traceCommand(), trunksCommand(), dialCommand(), customersCommand(), whyCommand(), replayCommand(), journalCommand(), simulateCommand(), emergencyCommand(), drillCommand(), staffCommand(), recordingsCommand(), versionCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	default:
		fmt.Fprintln(os.Stderr, "hotline:", err)
		return 1
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "hotline", version()) },
	}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") && len(s.Value) >= 12 {
			v = "commit " + s.Value[:12]
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
