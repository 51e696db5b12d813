package main

import (
	"bytes"
	"context"
	"hotline/routing"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// salesConfig is the example's config with its inquiry queue called sales, as in the
// records of fortnight.
func salesConfig(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sales.yaml")
	text := strings.ReplaceAll(string(data), "inquiry", "sales")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A fortnight of call records under the config that was in force and under the same one
// again: all calls are there, nobody gains or loses, and what is modelled is said.
func TestReplayCallRecords(t *testing.T) {
	r := replaying{replications: 2, seed: 1, tolerance: 1, worst: 3}
	if _, err := r.run(context.Background(), fortnight(t), mustPolicy(t)); err == nil || !strings.Contains(err.Error(), "--old") {
		t.Fatalf("without the old config: %v", err)
	}
	r.old = salesConfig(t)
	out, err := r.run(context.Background(), fortnight(t), mustPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	if out.Calls != 14*90 || !out.Passed || len(out.Tiers) != 2 || !strings.Contains(out.Modelled, "every seat was there") {
		t.Errorf("%d calls, passed %t, %d tiers: %s", out.Calls, out.Passed, len(out.Tiers), out.Modelled)
	}
	for _, row := range out.Tiers {
		if row.Old != row.New || row.Calls < 250 || row.Recorded.ASA < 10 {
			t.Errorf("%+v", row)
		}
	}
}

// The callers of call records in place of the scenario's, under two configs.
func TestSimulateCallRecords(t *testing.T) {
	s := simulating{config: salesConfig(t), records: fortnight(t), quiet: true}
	file := filepath.Join(t.TempDir(), "scenario.yaml")
	if err := os.WriteFile(file, []byte("replications: 2\nclasses: [{name: a, queue: sales, per_hour: 1, service: constant 1s}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.run(context.Background(), file, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	last := out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n")+1:]
	if w := strings.Fields(last); len(w) < 2 || w[0] != "all" || w[1] != "1260" {
		t.Errorf("%s", &out)
	}
	s.records = t.TempDir()
	if err := s.run(context.Background(), file, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "no call records") {
		t.Errorf("an empty directory: %v", err)
	}
}

func mustPolicy(t *testing.T) routing.Policy {
	t.Helper()
	p, err := newPolicy(salesConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
