package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/server"
)

func serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the hotline",
		Long: `Run the hotline by a configuration file.

SIGHUP reads the file again and takes over what can be changed at run time; what
needs a restart is named in the log, and a file that is wrong changes nothing.
SIGTERM and SIGINT drain: no new calls, those in progress end by themselves, at
most for drain.timeout. A second one stops at once.`,
		Example: "  hotline serve --config config.example.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), file, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "config.yaml", "configuration file")
	return cmd
}

func serve(ctx context.Context, file string, logTo io.Writer) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	cfg, err := loadConfig(file)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	log := newLogger(cfg, level, logTo)
	s, err := server.Start(server.Options{Config: cfg, Version: version(), Logger: log})
	if err != nil {
		return err
	}
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				reload(s, file, level, log)
				continue
			}
			return stop(ctx, s, signals, log)
		case <-ctx.Done():
			return s.Close()
		}
	}
}

// reload takes over the file again; what is wrong with it is logged, a line for
// each problem.
func reload(s *server.Server, file string, level *slog.LevelVar, log *slog.Logger) {
	cfg, err := config.Load(file)
	if err != nil {
		s.ReloadRefused()
		var all *config.Errors
		if errors.As(err, &all) {
			for _, p := range all.Problems {
				log.Error("config refused, the old one stays", "file", file, "line", p.Line, "column", p.Column, "problem", p.What, "hint", p.Hint)
			}
			return
		}
		log.Error("config refused, the old one stays", "error", err)
		return
	}
	if _, err := s.Reload(cfg); err != nil {
		log.Error("config not taken over, the old one stays", "error", err)
		return
	}
	setLevel(level, cfg)
}

// stop drains until the calls have ended, the time is over, or a second signal
// comes.
func stop(ctx context.Context, s *server.Server, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, s.DrainTimeout())
	defer cancel()
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig != syscall.SIGHUP {
					log.Warn("second signal: stopping at once")
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := s.Drain(ctx); err != nil {
		log.Warn("drain ended early", "error", err)
	}
	err := s.Close()
	log.Info("hotline is down")
	return err
}

func loadConfig(file string) (*config.Config, error) {
	cfg, err := config.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no configuration file %s: copy config.example.yaml there, or name one with --config", file)
	}
	return cfg, err
}

func newLogger(cfg *config.Config, level *slog.LevelVar, w io.Writer) *slog.Logger {
	setLevel(level, cfg)
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

func setLevel(level *slog.LevelVar, cfg *config.Config) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(cfg.Log.Level)); err == nil {
		level.Set(l)
	}
}
