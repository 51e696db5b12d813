package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/routing/customers"
	"hotline/server"
)

func customersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "customers", Short: "Fill the directory that says who calls",
		Args: cobra.NoArgs,
	}
	var file string
	var skipBad bool
	imp := &cobra.Command{
		Use:   "import FILE",
		Short: "Import customers from a CSV file into the directory of the config",
		Long: `Import customers from a CSV file into the Redis, or the file, that the config
names as its directory. The first line names the columns: number and tier, and as
wanted id, name, manager, team, language. A number that is there already gets the
new values; others stay. When any line is bad, each is named and nothing is
imported, unless --skip-bad leaves them out.`,
		Example: "  hotline customers import customers.csv --config config.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			rows, skipped, err := readCustomers(args[0], skipBad)
			if err != nil {
				return err
			}
			for _, s := range skipped {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: left out: %s\n", args[0], s.Line, s.What)
			}
			where, err := importCustomers(cmd.Context(), cfg, rows)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d customers imported into %s, %d lines left out\n", len(rows), where, len(skipped))
			return nil
		},
	}
	imp.Flags().StringVarP(&file, "config", "c", "config.yaml", "configuration file")
	imp.Flags().BoolVar(&skipBad, "skip-bad", false, "leave bad lines out instead of importing nothing")
	cmd.AddCommand(imp)
	return cmd
}

func readCustomers(name string, skipBad bool) ([]customers.Row, customers.LineErrors, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rows, skipped, err := customers.ReadCSV(f, skipBad)
	var lines customers.LineErrors
	if errors.As(err, &lines) {
		for _, l := range lines {
			fmt.Fprintf(os.Stderr, "%s:%d: %s\n", name, l.Line, l.What)
		}
		return nil, nil, fmt.Errorf("%s: %d bad lines, nothing imported; correct them, or leave them out with --skip-bad", name, len(lines))
	}
	return rows, skipped, err
}

// importCustomers fills the directory of a config and says which that is.
func importCustomers(ctx context.Context, cfg *config.Config, rows []customers.Row) (string, error) {
	d := cfg.Directory
	if d.Redis.Address != "" {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		r := server.OpenRedis(cfg)
		defer r.Close()
		return "redis " + d.Redis.Address, r.Import(ctx, rows)
	}
	if d.File == "" {
		return "", errors.New("the config names no directory: set directory.redis.address or directory.file")
	}
	var old []customers.Row
	f, err := os.Open(d.File)
	switch {
	case err == nil:
		old, _, err = customers.ReadCSV(f, false)
		_ = f.Close()
		if err != nil {
			return "", fmt.Errorf("%s, which is to be added to, is bad: %w", d.File, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return "file " + d.File + " (a running hotline reads it on SIGHUP)", customers.WriteFile(d.File, customers.Merge(old, rows))
}
