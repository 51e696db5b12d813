package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"hotline/routing"
	"hotline/routing/journal"
	"hotline/routing/simulate"
)

// replaying is what `hotline replay` is asked.
type replaying struct {
	config, old  string
	replications int
	seed         uint64
	tolerance    float64
	worst        int
	json         bool
}

// replayed is its answer.
type replayed struct {
	Calls int `json:"calls"`
	// Begins is the first entry that counts: more than 1 when what was before it isn't
	// known any more. Waiting are the calls that waited there already.
	Begins   uint64         `json:"begins_at_entry"`
	Waiting  int            `json:"calls_waiting_at_the_beginning"`
	Modelled string         `json:"modelled"`
	Tiers    []replayedTier `json:"tiers"`
	Worse    []replayedCall `json:"calls_that_got_worse"`
	Passed   bool           `json:"passed"`
}

// replayedTier compares one tier: as recorded, under the old policy simulated,
// and under the new one. The difference to trust is that of the last two.
type replayedTier struct {
	Tier     string     `json:"tier"`
	Calls    int        `json:"calls"`
	Recorded tierResult `json:"recorded"`
	Old      tierResult `json:"old"`
	New      tierResult `json:"new"`
}

type tierResult struct {
	Level    float64 `json:"service_level_neg"`
	Abandons float64 `json:"p_abandon"`
	ASA      float64 `json:"asa_s"`
}

type replayedCall struct {
	Call    string  `json:"call"`
	Tier    string  `json:"tier"`
	OldWait float64 `json:"old_wait_s"`
	NewWait float64 `json:"new_wait_s"`
}

const modelled = "recorded: when callers came, how long they talked, when those who gave up did, when seats were there, how agents took the first offers of each call; " +
	"modelled: " + unknown

const modelledOfRecords = "recorded: when callers came, how long they talked, when those who gave up did; modelled: that every seat was there all the time, " + unknown

const unknown = "how long those answered would have waited (Kaplan-Meier by tier), how long those who gave up would have talked, and how agents take further offers"

func replayCommand() *cobra.Command {
	var r replaying
	cmd := &cobra.Command{
		Use:   "replay JOURNAL|RECORDS --config NEW",
		Short: "Yesterday's calls under a new config",
		Long: `Put the callers and seats of a journal before the policy of another config, and
say what each tier gains or loses and which calls got worse. What is recorded and
what is modelled is printed with the result. A journal whose oldest segments were
dropped begins with its oldest snapshot, which holds the policy, the seats and the
calls that were waiting. Call records (the directory records.dir) do, too: they
need the --old config, and every seat counts as there all the time. The exit code is 3 when the service level of a tier falls
by more than --tolerance percent points.`,
		Example: `  hotline replay data/journal --config new.yaml --tolerance 1
  hotline replay data/records --old config.yaml --config new.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := newPolicy(r.config)
			if err != nil {
				return err
			}
			out, err := r.run(cmd.Context(), args[0], policy)
			if err != nil {
				return err
			}
			if r.json {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(out)
			} else {
				out.print(cmd.OutOrStdout())
			}
			if err == nil && !out.Passed {
				return exitError{3}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&r.config, "config", "c", "config.yaml", "the new configuration")
	f.StringVar(&r.old, "old", "", "the configuration that was in force, for call records")
	f.IntVar(&r.replications, "replications", 10, "how often what is modelled is drawn")
	f.Uint64Var(&r.seed, "seed", 1, "of the random numbers")
	f.Float64Var(&r.tolerance, "tolerance", 1, "percent points that a tier's service level may fall")
	f.IntVar(&r.worst, "worst", 10, "how many of the calls that got worse to name")
	f.BoolVar(&r.json, "json", false, "print JSON")
	return cmd
}

func (r *replaying) run(ctx context.Context, dir string, policy routing.Policy) (*replayed, error) {
	rec, from, err := r.traffic(dir)
	if err != nil {
		return nil, err
	}
	play := func(p routing.Policy) (*simulate.Report, error) {
		sc, err := rec.Scenario(p, r.seed, r.replications)
		if err != nil {
			return nil, err
		}
		return simulate.Run(ctx, sc, nil)
	}
	old, err := play(rec.Policy)
	if err != nil {
		return nil, fmt.Errorf("under the old policy: %w", err)
	}
	after, err := play(policy)
	if err != nil {
		return nil, fmt.Errorf("under the new policy: %w", err)
	}
	out := &replayed{Calls: len(rec.Calls), Begins: from, Waiting: rec.Waiting(), Modelled: modelled, Passed: true}
	if len(rec.Seats) == 0 {
		out.Modelled = modelledOfRecords
	}
	for _, t := range routing.Tiers() {
		row, ok := compareTier(rec, t, policy, old, after)
		if !ok {
			continue
		}
		out.Tiers = append(out.Tiers, row)
		if 100*(row.Old.Level-row.New.Level) > r.tolerance {
			out.Passed = false
		}
	}
	out.Worse = worseCalls(rec, old, after, r.worst)
	return out, nil
}

// traffic reads a journal, or call records with the policy of the old config.
func (r *replaying) traffic(dir string) (*simulate.Recorded, uint64, error) {
	if !hasRecords(dir) {
		return recorded(dir)
	}
	if r.old == "" {
		return nil, 0, fmt.Errorf("%s holds call records, which don't say what policy was in force: name its config with --old", dir)
	}
	policy, err := newPolicy(r.old)
	if err != nil {
		return nil, 0, err
	}
	rec, err := recordedCalls(dir)
	if err != nil {
		return nil, 0, err
	}
	rec.Policy = policy
	return rec, 1, nil
}

// recorded reads the traffic of a journal from the oldest entry before which the
// state is known, and returns the number of that.
func recorded(dir string) (*simulate.Recorded, uint64, error) {
	state, from, err := journal.StateDir(dir, 0)
	if err != nil {
		return nil, 0, err
	}
	rec, err := simulate.FromJournal(state, func(fn func(routing.Entry) error) error { return journal.ReadDirFrom(dir, from, fn) })
	return rec, from, err
}

func compareTier(rec *simulate.Recorded, t routing.Tier, policy routing.Policy, old, after *simulate.Report) (replayedTier, bool) {
	row := replayedTier{Tier: t.String()}
	target := 0.0
	for _, p := range policy.Tiers {
		if p.Tier == t {
			target = float64(p.TargetMS) / 1000
		}
	}
	served := 0.0
	for _, c := range rec.Calls {
		if c.Tier != t {
			continue
		}
		row.Calls++
		if !c.Answered {
			row.Recorded.Abandons++
			continue
		}
		served++
		row.Recorded.ASA += c.Waited().Seconds()
		if c.Waited().Seconds() <= target {
			row.Recorded.Level++
		}
	}
	if row.Calls == 0 {
		return row, false
	}
	row.Recorded.Level /= float64(row.Calls)
	row.Recorded.Abandons /= float64(row.Calls)
	row.Recorded.ASA /= math.Max(1, served)
	row.Old, row.New = tierOf(old, t), tierOf(after, t)
	return row, true
}

func tierOf(rep *simulate.Report, t routing.Tier) tierResult {
	for _, f := range rep.Tiers {
		if f.Name == t.String() {
			return tierResult{Level: f.Neg.Mean, Abandons: f.PAbandon.Mean, ASA: f.ASA.Mean}
		}
	}
	return tierResult{}
}

// worseCalls are those whose wait grew most.
func worseCalls(rec *simulate.Recorded, old, after *simulate.Report, most int) []replayedCall {
	var out []replayedCall
	for i, c := range rec.Calls {
		_, a := old.Call(i)
		_, b := after.Call(i)
		if b.Mean > a.Mean+1 {
			out = append(out, replayedCall{c.ID, c.Tier.String(), a.Mean, b.Mean})
		}
	}
	slices.SortStableFunc(out, func(a, b replayedCall) int { return cmp.Compare(b.NewWait-b.OldWait, a.NewWait-a.OldWait) })
	return out[:min(len(out), most)]
}

func (r *replayed) print(w io.Writer) {
	fmt.Fprintf(w, "%d calls. %s.\n\n", r.Calls, r.Modelled)
	if r.Begins > 1 {
		fmt.Fprintf(w, "%s. %d of the calls were waiting there already; their simulated waits count from there.\n\n", beginsAt(r.Begins), r.Waiting)
	}
	fmt.Fprintf(w, "%-5s %6s   %-30s %-30s %-30s\n", "tier", "calls", "recorded", "old policy, simulated", "new policy, simulated")
	cell := func(t tierResult) string {
		return fmt.Sprintf("%5.1f%% in time %4.1f%% left %4.0fs", 100*t.Level, 100*t.Abandons, t.ASA)
	}
	for _, t := range r.Tiers {
		fmt.Fprintf(w, "%-5s %6d   %-30s %-30s %-30s %+.1f points\n", t.Tier, t.Calls, cell(t.Recorded), cell(t.Old), cell(t.New), 100*(t.New.Level-t.Old.Level))
	}
	if len(r.Worse) > 0 {
		fmt.Fprintln(w, "\ncalls that would have waited longer:")
	}
	for _, c := range r.Worse {
		fmt.Fprintf(w, "  %s %s: %.1f s instead of %.1f s\n", c.Call, c.Tier, c.NewWait, c.OldWait)
	}
}

// beginsAt says where a journal begins that has lost its beginning.
func beginsAt(entry uint64) string {
	return fmt.Sprintf("The journal begins at entry %d with a snapshot; what was before it isn't known any more (journal.keep_segments)", entry)
}
