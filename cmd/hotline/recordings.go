package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/recording"
)

// recordingFiles are where recordings are, and their keys.
type recordingFiles struct {
	config, dir string
	keys        []string
}

func recordingsCommand() *cobra.Command {
	var f recordingFiles
	cmd := &cobra.Command{
		Use: "recordings", Short: "List, hear, verify and erase recordings of calls",
		Example: `  hotline recordings list --number +8613900000001
  hotline recordings show n1-m1abc-0001-1
  hotline recordings decrypt n1-m1abc-0001-1 --out talk.wav
  hotline recordings verify
  hotline recordings erase +8613900000001`,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.config, "config", "", "config file to take the directory, the keys and the store from")
	flags.StringVar(&f.dir, "dir", "data/recordings", "directory of the recordings, without --config")
	flags.StringArrayVar(&f.keys, "key", nil, "file with a key, besides those of the config; may be given again")
	cmd.AddCommand(f.listCommand(), f.showCommand(), f.decryptCommand(), f.verifyCommand(), f.eraseCommand())
	return cmd
}

// open finds out where the recordings are, and reads the keys.
func (f *recordingFiles) open() (dir string, keys []*recording.Key, opt recording.Options, err error) {
	dir = f.dir
	if f.config != "" {
		cfg, err := config.Load(f.config)
		if err != nil {
			return "", nil, opt, err
		}
		if opt, err = cfg.RecordingOptions(); err != nil {
			return "", nil, opt, err
		}
		dir = cfg.Recording.Dir
		if opt.Key != nil {
			keys = append(keys, opt.Key)
		}
		keys = append(keys, opt.OldKeys...)
	}
	for _, name := range f.keys {
		k, err := recording.ReadKey(name)
		if err != nil {
			return "", nil, opt, err
		}
		keys = append(keys, k)
	}
	return dir, keys, opt, nil
}

func (f *recordingFiles) listCommand() *cobra.Command {
	var number, call, since string
	var lines bool
	cmd := &cobra.Command{
		Use: "list", Short: "List recordings, the oldest day first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _, _, err := f.open()
			if err != nil {
				return err
			}
			var from time.Time
			if since != "" {
				if from, err = time.ParseInLocation(time.DateOnly, since, time.Local); err != nil {
					return fmt.Errorf("--since %s is no day; write it such as 2026-11-22", since)
				}
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			if !lines {
				fmt.Fprintln(out, "ID\tSTART\tSECONDS\tLEG\tNUMBER\tQUEUE\tAGENT\tTIER\tENDED\tWHERE")
			}
			err = recording.Each(dir, func(in recording.Info) error {
				if number != "" && in.Number != number || call != "" && in.Call != call || in.Start.Before(from) {
					return nil
				}
				if lines {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(in)
				}
				_, err := fmt.Fprintf(out, "%s\t%s\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", in.ID, in.Start.Local().Format(time.DateTime), in.Seconds,
					in.Leg, in.Number, in.Queue, in.Agent, in.Tier, in.Ended, whereIs(&in))
				return err
			})
			return errors.Join(out.Flush(), err)
		},
	}
	cmd.Flags().StringVar(&number, "number", "", "only those of this caller, as call records write the number")
	cmd.Flags().StringVar(&call, "call", "", "only those of this call")
	cmd.Flags().StringVar(&since, "since", "", "only those from this day on (2026-11-22)")
	cmd.Flags().BoolVar(&lines, "json", false, "one JSON line each")
	return cmd
}

// whereIs says where the sound is: here, in the store, or both.
func whereIs(in *recording.Info) string {
	var at []string
	if in.File != "" {
		at = append(at, "here")
	}
	if in.Stored != nil {
		at = append(at, in.Stored.Bucket+"/"+in.Stored.Key)
	}
	return strings.Join(at, ", ")
}

func (f *recordingFiles) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what is known of a recording", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _, _, err := f.open()
			if err != nil {
				return err
			}
			in, err := recording.Find(dir, args[0])
			if err != nil {
				return err
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(in)
		},
	}
}

func (f *recordingFiles) decryptCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "decrypt ID|FILE", Short: "Write a recording as a WAV file, decrypted if need be",
		Long: `decrypt writes a recording as a WAV file. One that was cut by the end of a process or by
somebody is written up to there, and the command fails.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, keys, _, err := f.open()
			if err != nil {
				return err
			}
			path := args[0]
			if in, err := recording.Find(dir, path); err == nil {
				path = in.Path(dir)
			}
			if out == "" {
				out = strings.TrimSuffix(strings.TrimSuffix(path, ".enc"), ".wav") + ".plain.wav"
			}
			seconds, err := writePlain(path, out, keys)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %.1f s\n", out, seconds)
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write, which must not be there (default beside the recording, NAME.plain.wav)")
	return cmd
}

func writePlain(path, out string, keys []*recording.Key) (seconds float64, err error) {
	r, c, err := recording.OpenSound(path, keys...)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	to, err := os.OpenFile(out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	seconds, err = recording.CopyWAV(to, r)
	return seconds, errors.Join(err, to.Close())
}

func (f *recordingFiles) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify [ID]...", Short: "Check that recordings are as they were written", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, keys, _, err := f.open()
			if err != nil {
				return err
			}
			var good, bad, away int
			check := func(in recording.Info) error {
				switch {
				case in.Ended == "" || in.File == "":
					away++
					return nil
				}
				if err := recording.Verify(dir, in, keys...); err != nil {
					bad++
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %v\n", in.ID, err)
					return nil
				}
				good++
				return nil
			}
			err = eachOf(dir, args, check)
			fmt.Fprintf(cmd.OutOrStdout(), "%d as written, %d not, %d not here or not whole yet\n", good, bad, away)
			if err == nil && bad > 0 {
				return exitError{1}
			}
			return err
		},
	}
}

// eachOf calls fn with the recordings named, or with all.
func eachOf(dir string, ids []string, fn func(recording.Info) error) error {
	if len(ids) == 0 {
		return recording.Each(dir, fn)
	}
	for _, id := range ids {
		in, err := recording.Find(dir, id)
		if err == nil {
			err = fn(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *recordingFiles) eraseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "erase NUMBER", Short: "Erase all recordings of a caller, also where they were uploaded to",
		Long: `erase erases all recordings of a caller's number, written as call records have it (+8613900000001),
with their sidecars, also in the store of the config. Those that are being made are left and
named; the command then fails, and is to be given again when they have ended.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _, opt, err := f.open()
			if err != nil {
				return err
			}
			erased, busy, err := recording.Erase(cmd.Context(), dir, args[0], opt.Remote)
			report(cmd.OutOrStdout(), "erased", erased)
			report(cmd.OutOrStdout(), "still being made, not erased", busy)
			fmt.Fprintf(cmd.OutOrStdout(), "%d erased, %d left\n", len(erased), len(busy))
			if err == nil && len(busy) > 0 {
				return exitError{1}
			}
			return err
		},
	}
}

func report(w io.Writer, what string, list []recording.Info) {
	for _, in := range list {
		fmt.Fprintf(w, "%s: %s\n", what, in.ID)
	}
}
