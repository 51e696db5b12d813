package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hotline/probe"
)

// dialFlags are those of the dial command.
type dialFlags struct {
	probe.Options
	limits       probe.Limits
	passwordFile string
	transport    string
	codecs       []string
	local        string
	format       string
	output       string
}

func dialCommand() *cobra.Command {
	var f dialFlags
	cmd := &cobra.Command{
		Use:   "dial NUMBER --to sip:HOST:PORT",
		Short: "Make a test call and measure it: set-up, sound both ways, delay, loss, level",
		Long: `Make a test call with a known signal and measure what comes of it (拨测).

The number should lead to an echo: a flow with an echo step, which first plays
1004 Hz at -10 dBm0, gives the levels of both directions, the delay and the losses.
A plain echo gives the delay and the gain there and back, any other far end whether
it answers and is heard, how loud, and with which losses.

With the account of an agent the call is made as that agent, who may dial outside
by right: so a call leaves by a trunk of the hotline and tests the trunk. Nothing
is registered. It must come from an address that isn't a trunk's (--local).

Exit code: 0 all is well; 1 a limit is missed, or sound goes one way only;
2 the call couldn't be made or nobody answered.`,
		Example: `  hotline dial 95590 --to sip:192.0.2.10:5060
  hotline dial 95590 --to sip:192.0.2.10:5060 --max-setup 2s --max-delay 300ms --max-loss 1 --min-level -30
  hotline dial 13800000000 --to sip:192.0.2.10:5060 --user alice --password-file /etc/hotline/alice
  # crontab, every five minutes, for node_exporter's textfile collector:
  */5 * * * * hotline dial 95590 --to sip:192.0.2.10:5060 --format prometheus --output /var/lib/node_exporter/hotline-dial.prom`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Number = args[0]
			code, err := f.dial(cmd)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "hotline:", err)
			}
			if code != 0 {
				return exitError{code}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.To, "to", "", "where to call: sip:HOST:PORT")
	fl.StringVar(&f.From, "from", "", "number that calls (default: the user, or probe)")
	fl.StringVar(&f.Credentials.User, "user", "", "account that answers challenges: a trunk's or an agent's")
	fl.StringVar(&f.passwordFile, "password-file", "", "file with its password in the first line")
	fl.StringVar(&f.transport, "transport", "udp", "udp or tcp")
	fl.StringSliceVar(&f.codecs, "codec", []string{"pcma", "pcmu"}, "pcma, pcmu and g722, the preferred one first")
	fl.StringVar(&f.local, "local", "", "IP address to call from (default: the one that leads there)")
	fl.DurationVar(&f.For, "for", 10*time.Second, "how long the call lasts, 3s to 2m")
	fl.DurationVar(&f.AnswerWithin, "answer-within", 30*time.Second, "how long it may ring")
	fl.StringVar(&f.format, "format", "text", "text, json or prometheus")
	fl.StringVar(&f.output, "output", "", "write to this file, whole or not at all (default: standard output)")
	fl.DurationVar(&f.limits.MaxSetup, "max-setup", 0, "longest time from INVITE to 200 (default: any)")
	fl.DurationVar(&f.limits.MaxDelay, "max-delay", 0, "longest round trip of the voice (default: any)")
	fl.Float64Var(&f.limits.MaxLoss, "max-loss", 0, "most packets lost in either direction, in percent (default: any)")
	fl.Float64Var(&f.limits.MinLevel, "min-level", 0, "lowest level in either direction, in dBm0 of -10 sent (default: any)")
	return cmd
}

// The exit codes of the dial command.
const (
	dialMissed = 1 // a limit, or sound in a direction
	dialFailed = 2 // no call
)

// dial makes the call and writes what came of it.
func (f *dialFlags) dial(cmd *cobra.Command) (code int, err error) {
	write, err := f.prepare()
	if err != nil {
		return dialFailed, err
	}
	report, err := probe.Run(cmd.Context(), f.Options)
	if err != nil {
		return dialFailed, err
	}
	report.Judge(f.limits)
	if f.output == "" {
		err = write(report, cmd.OutOrStdout())
	} else {
		err = writeWhole(f.output, func(w io.Writer) error { return write(report, w) })
	}
	switch {
	case err != nil || !report.Answered:
		return dialFailed, err
	case len(report.Problems) > 0:
		return dialMissed, nil
	}
	return 0, nil
}

// prepare checks the flags and completes the options.
func (f *dialFlags) prepare() (write func(*probe.Report, io.Writer) error, err error) {
	formats := map[string]func(*probe.Report, io.Writer) error{
		"text": (*probe.Report).WriteText, "json": (*probe.Report).WriteJSON, "prometheus": (*probe.Report).WritePrometheus}
	if write = formats[f.format]; write == nil {
		return nil, fmt.Errorf("--format is text, json or prometheus, not %q", f.format)
	}
	if f.To == "" {
		return nil, errors.New("--to is missing: name where to call, sip:HOST:PORT")
	}
	switch f.transport {
	case "udp":
	case "tcp":
		f.To += ";transport=tcp"
	default:
		return nil, fmt.Errorf("--transport is udp or tcp, not %q", f.transport)
	}
	if f.Codecs, err = probe.Codecs(f.codecs); err != nil {
		return nil, fmt.Errorf("--codec: %w", err)
	}
	if f.local != "" {
		if f.Local, err = netip.ParseAddr(f.local); err != nil {
			return nil, fmt.Errorf("--local: %w", err)
		}
	}
	if (f.Credentials.User == "") != (f.passwordFile == "") {
		return nil, errors.New("--user and --password-file go together")
	}
	if f.passwordFile != "" {
		data, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		f.Credentials.Password = strings.TrimSuffix(line, "\r")
	}
	return write, nil
}

// writeWhole writes a file so that a reader sees the old one or the whole new one.
func writeWhole(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".tmp*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = tmp.Write(b.Bytes())
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
