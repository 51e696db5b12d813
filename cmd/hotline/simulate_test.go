package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSimulateTheExample(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	s := simulating{config: "../../config.example.yaml", versus: "../../config.example.yaml", page: page, json: true}
	var out, progress bytes.Buffer
	if err := s.run(context.Background(), "../../scenario.example.yaml", &out, &progress); err != nil {
		t.Fatal(err)
	}
	var got map[string]struct {
		Replications int
		Tiers        []struct {
			Name    string
			Offered struct{ Mean float64 }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	a, b := got["config"], got["vs"]
	if a.Replications != 10 || len(a.Tiers) != 3 || a.Tiers[0].Name != "A1" || a.Tiers[0].Offered.Mean < 30 {
		t.Errorf("%+v", a)
	}
	for i := range a.Tiers {
		if a.Tiers[i] != b.Tiers[i] {
			t.Errorf("the same config met other callers: %+v and %+v", a.Tiers[i], b.Tiers[i])
		}
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(html), "<svg") != 2 || strings.Contains(string(html), "NaN") || strings.Contains(string(html), "src=") {
		t.Error("the page wants two plots, no NaN, and nothing from outside")
	}
	s = simulating{quiet: true}
	s.config = "../../config.example.yaml"
	out.Reset()
	if err := s.run(context.Background(), "../../scenario.example.yaml", &out, &progress); err != nil || !strings.Contains(out.String(), "operator") {
		t.Errorf("%v\n%s", err, &out)
	}
}
