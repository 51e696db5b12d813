package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hotline/routing"
	"hotline/routing/journal"
)

func journalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "Check the journal, or export it for a bug report",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(journalExportCommand(), journalVerifyCommand())
	return cmd
}

// journalDir is the directory that a flag or argument names, or the config.
func journalDir(dir, file string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	cfg, err := loadConfig(file)
	if err != nil {
		return "", fmt.Errorf("where is the journal? Name its directory, or a config: %w", err)
	}
	return cfg.Journal.Dir, nil
}

func journalExportCommand() *cobra.Command {
	var file, dir, out string
	var from uint64
	var redact bool
	cmd := &cobra.Command{
		Use:   "export --redact",
		Short: "Write the journal for a bug report, without anybody's number",
		Long: `Write the entries of the journal as JSON lines. Numbers of callers and ids of
customers leave only as keyed hashes (HMAC-SHA-256 with a key that is drawn for
each export and forgotten): the same caller stays recognisable within one export,
and nobody can compute who it is. The export leads to the same decisions. Names of
agents, seats, teams and queues, and the numbers dialled, stay.

A running hotline isn't disturbed.`,
		Example: `  hotline journal export --redact -o bug.jsonl
  hotline journal export --redact --journal /var/lib/hotline/journal --from 120000 | gzip > bug.jsonl.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !redact {
				return errors.New("numbers of callers leave a journal only as keyed hashes: say --redact")
			}
			dir, err := journalDir(dir, file)
			if err != nil {
				return err
			}
			n, err := exportTo(cmd.OutOrStdout(), out, dir, from)
			if err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), n, "entries exported")
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "config.yaml", "configuration file that names the journal")
	cmd.Flags().StringVar(&dir, "journal", "", "directory of the journal, in place of --config")
	cmd.Flags().BoolVar(&redact, "redact", false, "replace numbers of callers and ids of customers (required)")
	cmd.Flags().Uint64Var(&from, "from", 0, "number of the first entry; 0 is the oldest")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write; standard output when empty")
	return cmd
}

// exportTo writes to the file, which is there whole or not at all, or to w when
// no file is named.
func exportTo(w io.Writer, file, dir string, from uint64) (int, error) {
	if file == "" {
		return journal.Export(w, dir, from)
	}
	temp := file + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := journal.Export(f, dir, from)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(temp))
	}
	return n, nil
}

func journalVerifyCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Say what is in a journal and whether it can be read back",
		Long: `Read every segment and snapshot of the journal and say how much there is, over
which time, where entries are missing, and what is damaged. Nothing is changed, and
a running hotline isn't disturbed. The exit code is 3 when something can't be
trusted. A torn tail is no damage: the next start cuts it off.`,
		Example: "  hotline journal verify data/journal",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			dir, err := journalDir(dir, file)
			if err != nil {
				return err
			}
			r, err := journal.Verify(dir)
			if err != nil {
				return err
			}
			printVerified(cmd.OutOrStdout(), r)
			if len(r.Corrupt) > 0 {
				return exitError{3}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "config.yaml", "configuration file that names the journal, when no directory is given")
	return cmd
}

func printVerified(w io.Writer, r *journal.Report) {
	fmt.Fprintf(w, "entries    %d, numbers %d to %d\n", r.Entries, r.First, r.Last)
	fmt.Fprintf(w, "segments   %d, %d bytes\n", r.Segments, r.Bytes)
	if r.Entries > 0 {
		fmt.Fprintf(w, "time       %s to %s (%v)\n", date(r.From), date(r.To), (time.Duration(r.To-r.From) * time.Microsecond).Round(time.Second))
	}
	for _, s := range r.Snapshots {
		state := "good"
		if s.Err != nil {
			state = fmt.Sprintf("can't be used: %v", s.Err)
		}
		fmt.Fprintf(w, "snapshot   of entry %d, %d bytes: %s\n", s.Seq, s.Bytes, state)
	}
	for _, g := range r.Gaps {
		switch {
		case g.Missing > 0:
			fmt.Fprintf(w, "gap        entries %d to %d are not there\n", g.Before-g.Missing, g.Before-1)
		default:
			fmt.Fprintf(w, "gap        %d entries before %d could not be written\n", g.Lost, g.Before)
		}
	}
	if r.TornBytes > 0 {
		fmt.Fprintf(w, "torn tail  %d bytes behind entry %d, cut off by the next start\n", r.TornBytes, r.Last)
	}
	for _, err := range r.Corrupt {
		fmt.Fprintf(w, "corrupt    %v\n", err)
	}
	if len(r.Corrupt) == 0 {
		fmt.Fprintln(w, "good: it can be read back")
	}
}

func date(t routing.Time) string { return time.UnixMicro(int64(t)).Format("2006-01-02 15:04:05.000") }
