package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hotline/records"
	"hotline/routing"
	"hotline/routing/simulate"
	"hotline/routing/staffing"
)

// hasRecords says whether dir is one of call records.
func hasRecords(dir string) bool {
	names, err := filepath.Glob(filepath.Join(dir, "calls-*.jsonl"))
	return err == nil && len(names) > 0
}

// eachRecord calls fn with the call records of a directory that entered a queue and
// were answered or abandoned.
func eachRecord(dir string, fn func(r *records.Record, tier routing.Tier, answered bool)) error {
	if !hasRecords(dir) {
		return fmt.Errorf("no call records in %s: name the directory records.dir", dir)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "calls-*.jsonl"))
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			var r records.Record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				_ = f.Close()
				return fmt.Errorf("%s:%d: %w", name, n, err)
			}
			tier, err := routing.ParseTier(r.Tier)
			answered := r.Outcome == string(routing.OutcomeAnswered)
			if err == nil && r.Queue != "" && (answered || r.Outcome == string(routing.OutcomeAbandoned)) {
				fn(&r, tier, answered)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// readHistory is what staffing learns from call records.
func readHistory(dir string) (out []staffing.Call, err error) {
	secs := func(s records.Seconds) float64 { return float64(s) / 1e6 }
	err = eachRecord(dir, func(r *records.Record, tier routing.Tier, answered bool) {
		out = append(out, staffing.Call{At: r.Queued.Time, Tier: tier, Queue: routing.QueueID(r.Queue), Wait: secs(r.QueueWait),
			Answered: answered, Talk: secs(r.Talk) + secs(r.Hold), WrapUp: secs(r.WrapUp)})
	})
	return out, err
}

// recordedCalls is the traffic of call records. They don't tell when seats were there.
// A call that was sent on by a limit is one of the queue that it waited in last.
func recordedCalls(dir string) (*simulate.Recorded, error) {
	span := func(s records.Seconds) time.Duration { return time.Duration(s) * time.Microsecond }
	var calls []simulate.RecordedCall
	err := eachRecord(dir, func(r *records.Record, tier routing.Tier, answered bool) {
		calls = append(calls, simulate.RecordedCall{
			ID: r.Call, At: routing.Time(r.Queued.UnixMicro()), Tier: tier, Queue: routing.QueueID(r.Queue),
			Manager: routing.AgentID(r.Manager), Team: r.Team, Language: r.Language,
			Wait: span(r.QueueWait), Answered: answered, Service: span(r.Talk) + span(r.Hold),
		})
	})
	return simulate.FromCalls(calls), err
}
