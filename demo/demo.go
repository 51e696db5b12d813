// Package demo runs a hotline on loopback with built-in callers of all tiers and
// built-in agents. They make real SIP calls with real RTP; at the end every call
// the callers made must be found in the call records.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hotline"
	"hotline/config"
	"hotline/server"
)

// Options say how the demo runs.
type Options struct {
	// For is how long the demo lasts: no calls come in during its last third, at
	// most 8 s. 0 means until ctx ends.
	For time.Duration
	// Out gets the table and the summary; nil discards them.
	Out io.Writer
	// Terminal draws the table in place instead of printing plain lines.
	Terminal bool
	// Keep is a directory to leave the journal and the call records in; empty
	// leaves nothing.
	Keep string
	// LogFile gets the server's log; nil discards it.
	LogFile io.Writer
	// Version is shown in the table.
	Version string
}

// lastCallsWithin is how long the callers still in the hotline get at the end.
const lastCallsWithin = 8 * time.Second

// Run runs the demo. The error says which calls are not accounted for, or what
// could not be started.
func Run(ctx context.Context, o Options) (sum Summary, err error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.LogFile == nil {
		o.LogFile = io.Discard
	}
	dir := o.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "hotline-demo-"); err != nil {
			return sum, fmt.Errorf("make a place for the demo's files: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := emptyDir(dir); err != nil {
		return sum, err
	}
	cfg, err := demoConfig(dir)
	if err != nil {
		return sum, err
	}
	log := slog.New(slog.NewTextHandler(o.LogFile, nil))
	srv, err := server.Start(server.Options{Config: cfg, Version: o.Version, Logger: log})
	if err != nil {
		return sum, err
	}
	placed, err := play(ctx, o, cfg, srv, log)
	err = errors.Join(err, srv.Close())
	if err != nil {
		return sum, err
	}
	return account(placed, cfg.Records.Dir)
}

// emptyDir makes a directory, or takes one with nothing in it: the summary counts
// all records that are there.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make a place for the demo's files: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%s is not empty; name a new directory", dir)
	}
	return err
}

// play lets agents and callers work and returns what the callers saw.
func play(ctx context.Context, o Options, cfg *config.Config, srv *server.Server, log *slog.Logger) (*tally, error) {
	t := newTally()
	agents, err := openAgents(ctx, cfg, srv.SIPAddr(), log)
	if err != nil {
		return t, err
	}
	defer agents.close()
	callers, err := openCallers(cfg, srv.SIPAddr(), t, log)
	if err != nil {
		return t, err
	}
	defer callers.close()

	fmt.Fprintf(o.Out, "hotline demo: SIP on %s, metrics on http://%s/metrics, 5 agents, callers of all tiers\n", srv.SIPAddr(), srv.HTTPAddr())
	show := newTable(o.Out, o.Terminal, srv, t)
	shown := make(chan struct{})
	showCtx, stopShow := context.WithCancel(context.Background())
	go func() { defer close(shown); show.run(showCtx) }()

	calling, cancel := ctx, context.CancelFunc(func() {})
	ending := lastCallsWithin
	if o.For > 0 {
		ending = min(ending, o.For/3)
		calling, cancel = context.WithTimeout(ctx, o.For-ending)
	}
	defer cancel()
	callers.run(calling)
	last, stopLast := context.WithTimeout(context.Background(), ending)
	defer stopLast()
	callers.finish(last)
	stopShow()
	<-shown
	return t, nil
}

// demoConfig is the example config on ports chosen by the kernel, with its files
// in dir and with times that suit a demo.
func demoConfig(dir string) (*config.Config, error) {
	cfg, err := config.Parse("config.example.yaml", hotline.ExampleConfig)
	if err != nil {
		return nil, fmt.Errorf("the example config is wrong: %w", err)
	}
	people := filepath.Join(dir, "customers.csv")
	if err := os.WriteFile(people, hotline.ExampleCustomers, 0o600); err != nil {
		return nil, fmt.Errorf("write the demo's customers: %w", err)
	}
	cfg.Node = "demo"
	for i := range cfg.SIP.Listen {
		cfg.SIP.Listen[i].Address = loopback
	}
	cfg.HTTP.Listen = loopback
	cfg.Media.Address = loopback.Addr()
	cfg.Media.Ports = config.Ports{}
	cfg.Directory.File = people
	cfg.Directory.Redis = config.Redis{}
	cfg.Records.Dir = filepath.Join(dir, "records")
	cfg.Journal.Dir = filepath.Join(dir, "journal")
	cfg.SIP.Register.File = filepath.Join(dir, "registrations.json")
	for i := range cfg.Queues {
		cfg.Queues[i].WrapUp = time.Second
	}
	cfg.Routing.ManagerTime, cfg.Routing.TeamTime = 3*time.Second, 3*time.Second
	cfg.Routing.RingTime = 4 * time.Second
	cfg.Routing.RejectDelay, cfg.Routing.BusyDelay, cfg.Routing.NoAnswerDelay = time.Second, time.Second, time.Second
	cfg.Routing.MaxMisses = 0
	return cfg, nil
}
