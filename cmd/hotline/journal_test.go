package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// journalSays runs a journal command and returns what it printed.
func journalSays(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := journalCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestJournalExport(t *testing.T) {
	dir, _ := oneDay(t)
	file := filepath.Join(t.TempDir(), "bug.jsonl")
	said, err := journalSays(t, "export", "--redact", "--journal", dir, "-o", file)
	if err != nil || !strings.Contains(said, "entries exported") {
		t.Fatalf("%s, error %v", said, err)
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(data), `{"format":"hotline-journal-export","version":1,"redacted":"hmac-sha256","from":1}`) {
		t.Errorf("%s, error %v", data, err)
	}
	if said, err := journalSays(t, "export", "--redact", "--journal", dir, "--from", "5"); err != nil || !strings.Contains(said, `{"state":{"version":2,`) || !strings.Contains(said, `{"seq":5,`) || strings.Contains(said, `{"seq":4,`) {
		t.Errorf("from 5: %s, error %v", said, err)
	}
	for want, args := range map[string][]string{
		"say --redact":         {"export", "--journal", dir},
		"there is no entry 99": {"export", "--redact", "--journal", dir, "--from", "99", "-o", file + "2"},
		"where is the journal": {"export", "--redact", "--config", filepath.Join(dir, "none.yaml")},
	} {
		if said, err := journalSays(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %s, error %v", args, said, err)
		}
	}
	if left, _ := filepath.Glob(file + "2*"); len(left) > 0 {
		t.Errorf("an export that failed left %v", left)
	}
}

func TestJournalVerify(t *testing.T) {
	dir, _ := oneDay(t)
	said, err := journalSays(t, "verify", dir)
	if err != nil || !strings.Contains(said, "good: it can be read back") || !strings.Contains(said, "segments   1,") {
		t.Errorf("%s, error %v", said, err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "journal-*.log"))
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[0], data[:len(data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := journalSays(t, "verify", dir); err != nil || !strings.Contains(said, "torn tail") {
		t.Errorf("torn: %s, error %v", said, err)
	}
	data[100] ^= 1
	if err := os.WriteFile(names[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := journalSays(t, "verify", dir); err == nil || err.Error() != "exit code 3" || !strings.Contains(said, "corrupt at byte") {
		t.Errorf("corrupt: %s, error %v", said, err)
	}
}
