package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/journal"
	"hotline/routing/simulate"
)

func whyCommand() *cobra.Command {
	var file, dir string
	cmd := &cobra.Command{
		Use:   "why CALL",
		Short: "Explain why a call went where it went",
		Long: `Replay the journal and print the call's time line; at each offer the seats that
could have been rung in their order, those that could not and by which rule, and
the calls that wanted the same seat. Then the settings that would have changed the
call's wait, found by playing the recorded traffic with each change.

The call's id stands in the log, in the call record and in what agents' phones
show as X-Hotline-Call. A journal whose oldest segments were dropped begins with its
oldest snapshot. A running hotline isn't disturbed.`,
		Example: `  hotline why node-1-m5x0-0042
  hotline why node-1-m5x0-0042 --journal /var/lib/hotline/journal`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				cfg, err := loadConfig(file)
				if err != nil {
					return fmt.Errorf("where is the journal? Name it with --journal, or a config: %w", err)
				}
				dir = cfg.Journal.Dir
			}
			return why(cmd.Context(), cmd.OutOrStdout(), dir, routing.CallID(args[0]))
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "config.yaml", "configuration file that names the journal")
	cmd.Flags().StringVar(&dir, "journal", "", "directory of the journal, in place of --config")
	return cmd
}

// story collects what the journal says of one call.
type story struct {
	call  routing.CallID
	lines []string
	start routing.Time
	found bool
}

func (s *story) say(at routing.Time, format string, args ...any) {
	if s.start == 0 {
		s.start = at
	}
	s.lines = append(s.lines, fmt.Sprintf("%s  +%7.3fs  %s", clock(at), float64(at-s.start)/1e6, fmt.Sprintf(format, args...)))
}

func (s *story) more(format string, args ...any) {
	s.lines = append(s.lines, strings.Repeat(" ", 27)+fmt.Sprintf(format, args...))
}

func clock(t routing.Time) string { return time.UnixMicro(int64(t)).Format("15:04:05.000") }

func why(ctx context.Context, w io.Writer, dir string, id routing.CallID) error {
	s := &story{call: id}
	state, from, err := journal.StateDir(dir, 0)
	if err != nil {
		return err
	}
	if c, ok := state.Call(id); ok {
		s.begin(state.Now(), &c, from)
	}
	state.Watch(func(c routing.Choice) {
		if c.Call.ID == id {
			s.choice(c)
		}
	})
	err = journal.ReadDirFrom(dir, from, func(e routing.Entry) error {
		s.event(e)
		for _, d := range state.Apply(e) {
			s.decision(state.Now(), d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !s.found && from > 1 {
		return fmt.Errorf("no call %s in the journal %s, which begins at entry %d: what was before it isn't known any more (journal.keep_segments)", id, dir, from)
	}
	if !s.found {
		return fmt.Errorf("no call %s in the journal %s; its id stands in the log and in the call records", id, dir)
	}
	for _, l := range s.lines {
		fmt.Fprintln(w, l)
	}
	if from > 1 {
		fmt.Fprintf(w, "\n%s.\n", beginsAt(from))
	}
	gaps, err := journal.Gaps(dir)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		fmt.Fprintf(w, "\nThe journal has a gap: %d entries before entry %d could not be written. What is said of later calls may be wrong.\n", g.Lost, g.Before)
	}
	return s.whatIf(ctx, w, dir)
}

// begin tells what a snapshot knows of a call that is older than the journal.
func (s *story) begin(at routing.Time, c *routing.CallView, entry uint64) {
	s.found, s.start = true, c.Arrived
	s.say(at, "the journal begins here, at entry %d, with a snapshot: tier %s, customer %s, manager %s, team %s, language %s", entry,
		c.Tier, orNone(c.Customer), orNone(c.Manager), orNone(c.Team), orNone(c.Language))
	s.more("%s, queue %s, %s in the queue so far, %d offers", c.Phase, orNone(c.Queue), span(c.QueueWait), c.Rings)
}

// signed tells what came with the caller's number; whose numbers they were is for the
// record.
func (s *story) signed(ev routing.CallArrived) {
	if ev.Attestation != "" {
		s.more("the caller's number is attested: %s", ev.Attestation)
	}
	for _, d := range ev.Diversions {
		s.more("diverted: %s", d.Reason)
	}
}

// event tells what happened to the call.
func (s *story) event(e routing.Entry) {
	switch ev := e.Event.(type) {
	case routing.CallArrived:
		if ev.Call == s.call {
			s.found = true
			s.say(e.At, "arrived by trunk %s for %s, node %s", ev.Trunk, ev.DID, e.Node)
			s.signed(ev)
		}
	case routing.CallIdentified:
		if ev.Call == s.call {
			s.say(e.At, "identified: tier %s, customer %s, manager %s, team %s, language %s (from %s)", ev.Tier, orNone(ev.Customer), orNone(ev.Manager), orNone(ev.Team), orNone(ev.Language), ev.Source)
		}
	case routing.CallQueued:
		if ev.Call == s.call {
			s.say(e.At, "entered queue %s", ev.Queue)
		}
	case routing.OfferRinging:
		if ev.Call == s.call {
			s.say(e.At, "%s's phone rings", ev.Seat)
		}
	case routing.OfferAnswered:
		if ev.Call == s.call {
			s.say(e.At, "%s picked up", ev.Seat)
		}
	case routing.OfferFailed:
		if ev.Call == s.call {
			s.say(e.At, "%s: %s; the call goes back to its place, or rings on elsewhere", ev.Seat, ev.Cause)
		}
	case routing.CallTaken:
		if ev.Call == s.call {
			s.say(e.At, "taken by %s: transferred, or picked up", ev.Seat)
		}
	case routing.CallForwarded:
		if ev.Call == s.call {
			s.say(e.At, "forwarded to %s; the agent wraps up", ev.To)
		}
	case routing.HoldChanged:
		if ev.Call == s.call {
			s.say(e.At, "hold: %t", ev.Held)
		}
	}
}

func orNone[T ~string](v T) string {
	if v == "" {
		return "none"
	}
	return string(v)
}

// decision tells what routing decided about the call.
func (s *story) decision(at routing.Time, d routing.Decision) {
	switch d := d.(type) {
	case *routing.Withdraw:
		if d.Call == s.call {
			s.say(at, "offer to %s withdrawn: %s", d.Seat, d.Cause)
		}
	case *routing.Overflow:
		if d.Call == s.call && d.To != "" {
			s.say(at, "moved from queue %s to %s: %s; the place stays", d.From, d.To, d.Cause)
		} else if d.Call == s.call {
			s.say(at, "turned away from queue %s: %s", d.From, d.Cause)
		}
	case *routing.Transferred:
		if d.Call == s.call {
			s.say(at, "sent back by %s into queue %s", d.Seat, d.Queue)
		}
	case *routing.PolicyApplied:
		s.say(at, "policy changed: %s", strings.Join(d.Changes, "; "))
	case *routing.Disconnect:
		if d.Call == s.call {
			s.say(at, "disconnected: %s", d.Cause)
		}
	case *routing.Connected:
		if d.Call.ID == s.call {
			s.say(at, "talks to %s after %s in the queue", d.Call.Seat, span(d.Call.QueueWait))
		}
	case *routing.Ended:
		if d.Call.ID == s.call {
			s.say(at, "ended: %s, %s; talk %s, hold %s", d.Call.Outcome, d.Call.Cause, span(d.Call.Talk), span(d.Call.Hold))
		}
	case *routing.Closed:
		if d.Call.ID == s.call && d.Call.WrapUp > 0 {
			s.say(at, "wrap-up over after %s", span(d.Call.WrapUp))
		}
	}
}

func span(d routing.Duration) string {
	return (time.Duration(d) * time.Microsecond).Round(time.Millisecond).String()
}

// choice tells an offer with all who were considered.
func (s *story) choice(c routing.Choice) {
	s.say(c.At, "OFFERED to %s by rule %s (order %s, step %s), after %s", c.Seat, c.Rule, c.Order, c.Call.Step, span(c.Call.QueueWait))
	excluded := map[string][]string{}
	rank := 0
	for _, x := range c.Seats {
		if x.Excluded != "" {
			excluded[x.Excluded] = append(excluded[x.Excluded], string(x.Seat))
			continue
		}
		rank++
		of := ""
		if x.Rank > 0 {
			of = fmt.Sprintf(" of rank %d", x.Rank)
		}
		s.more("%d. %s%s, idle for %s", rank, x.Seat, of, span(x.Idle))
	}
	for _, rule := range []string{routing.ExcludedOffline, routing.ExcludedNotReady, routing.ExcludedBusy, routing.ExcludedResting,
		routing.ExcludedQueue, routing.ExcludedLanguage, routing.ExcludedSkill, routing.ExcludedStep, routing.ExcludedReserved} {
		if len(excluded[rule]) > 0 {
			s.more("not %s: %s", strings.Join(excluded[rule], ", "), ruleText[rule])
		}
	}
	for i, r := range c.Rivals {
		if i == 5 {
			s.more("... and %d more calls wanted %s", len(c.Rivals)-5, c.Seat)
			break
		}
		s.more("before call %s of tier %s, which had waited %s of its target %s", r.Call, r.Tier, span(r.Waited), span(r.Target))
	}
}

var ruleText = map[string]string{
	routing.ExcludedOffline: "no phone registered", routing.ExcludedNotReady: "agent on break or logged out",
	routing.ExcludedBusy: "on offer, talking or in wrap-up", routing.ExcludedResting: "resting after a failed offer",
	routing.ExcludedQueue: "neither serves the queue nor is manager or team", routing.ExcludedLanguage: "doesn't speak the caller's language",
	routing.ExcludedSkill: "below the level that the queue asks for",
	routing.ExcludedStep:  "the call had not reached that step", routing.ExcludedReserved: "VIP seat kept for A and B",
}

// whatIf prints the changes that would have made a difference.
func (s *story) whatIf(ctx context.Context, w io.Writer, dir string) error {
	rec, from, err := recorded(dir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rec.Calls, func(c simulate.RecordedCall) bool { return c.ID == string(s.call) })
	if i < 0 {
		before := ""
		if from > 1 {
			before = "was answered before the journal begins, "
		}
		fmt.Fprintf(w, "\nThe call %swas answered from no queue, or is not over: nothing to vary.\n", before)
		return nil
	}
	base, effects, err := rec.WhatIf(ctx, i, rec.PolicyAt(rec.Calls[i].At))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "\nWhat would have changed it (the recorded callers and seats, played with one setting changed):")
	fmt.Fprintf(w, "  without a change   %s\n", map[bool]string{true: "answered", false: "given up"}[base.Answered]+
		fmt.Sprintf(" after %.1fs", base.Wait))
	if b := rec.Calls[i].Before; b > 0 {
		fmt.Fprintf(w, "  counted from the beginning of the journal, where it had waited %v\n", b.Round(time.Millisecond))
	}
	if len(effects) == 0 {
		fmt.Fprintln(w, "  nothing that was tried: order, keep_idle, manager_time, team_time, VIP seats")
	}
	for _, e := range effects {
		fmt.Fprintf(w, "  with %-18s %s\n", e.Change, effectText(e))
	}
	return nil
}

func effectText(e simulate.Effect) string {
	earlier := e.Earlier().Round(100 * time.Millisecond)
	when := fmt.Sprintf("%v earlier", earlier)
	if earlier < 0 {
		when = fmt.Sprintf("%v later", -earlier)
	}
	switch {
	case e.Answered && !e.BaseAnswered:
		return "answered after " + e.Wait.Round(100*time.Millisecond).String() + ", not given up"
	case !e.Answered && e.BaseAnswered:
		return "given up after " + e.Wait.Round(100*time.Millisecond).String()
	case e.Answered:
		return "answered " + when
	default:
		return "given up " + when
	}
}

func newPolicy(file string) (routing.Policy, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return routing.Policy{}, err
	}
	return cfg.Policy(), nil
}
