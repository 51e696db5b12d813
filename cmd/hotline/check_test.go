package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys that would be offered in clear are warned of, and the file is fine nevertheless.
func TestCheckWarnsOfKeysInClear(t *testing.T) {
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]bool{"accepted": false, "preferred": true} {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, bytes.ReplaceAll(example, []byte("srtp: accepted"), []byte("srtp: "+policy)), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := checkCommand()
		cmd.SetOut(&out)
		cmd.SetArgs([]string{name})
		if err := cmd.Execute(); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		if got := strings.Contains(out.String(), ": warning: agent "); got != want || !strings.HasSuffix(out.String(), ": ok\n") {
			t.Errorf("srtp: %s\n%s", policy, &out)
		}
	}
}
