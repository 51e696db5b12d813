package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDrillTellsBothPolicies(t *testing.T) {
	var out bytes.Buffer
	if err := drill(context.Background(), &out, "flood", "../../scenario.example.yaml", "../../config.example.yaml", 4); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"as usual: 10 replications", "emergency flood: 10 replications", "turned away after the announcement: up to 1120 callers of [C]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if err := drill(context.Background(), &out, "quake", "../../scenario.example.yaml", "../../config.example.yaml", 4); err == nil {
		t.Error("an unknown emergency was rehearsed")
	}
	if err := drill(context.Background(), &out, "flood", "../../scenario.example.yaml", "../../config.example.yaml", 0); err == nil {
		t.Error("a flood of nothing was rehearsed")
	}
}

// The commands that ask a running hotline send what the API wants, with the token,
// and show its errors.
func TestCommandsThatAskTheAPI(t *testing.T) {
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			problem := `{"error":"give the API token"}`
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(problem))
		case r.URL.Path == "/api/seats":
			_, _ = w.Write([]byte(`[{"id":"carol","state":"idle","status":"ready"}]`))
		case r.URL.Path == "/api/seats/carol/free":
			_, _ = w.Write([]byte(`{"id":"carol","state":"idle","status":"ready"}`))
		default:
			_, _ = w.Write([]byte(`{"emergency":"flood"}`))
		}
	}))
	defer api.Close()
	for _, args := range [][]string{
		{"seats"}, {"seats", "free", "carol"}, {"emergency", "on", "flood"}, {"emergency", "off"},
	} {
		if code := run(context.Background(), append(args, "--url", api.URL, "--token", "secret")); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if code := run(context.Background(), append(args, "--url", api.URL)); code != 1 {
			t.Errorf("%v without the token: exit code %d, want 1", args, code)
		}
	}
	want := "GET /api/seats|POST /api/seats/carol/free|POST /api/emergency/flood|DELETE /api/emergency"
	var got []string
	for i := 0; i < len(asked); i += 2 {
		got = append(got, asked[i])
	}
	if strings.Join(got, "|") != want {
		t.Errorf("asked %q, want %q", strings.Join(got, "|"), want)
	}
	for _, args := range [][]string{{"emergency", "on"}, {"emergency", "maybe"}, {"seats", "--url", "http://127.0.0.1:1"}} {
		if code := run(context.Background(), args); code != 1 {
			t.Errorf("%v: exit code %d, want 1", args, code)
		}
	}
}

// Importing fills the file that the config names; one bad line stops it, unless it
// may be left out.
func TestCustomersImport(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	people := write("people.csv", "number,name,tier\n+8613800000001,Old,C\n")
	cfg := write("config.yaml", strings.Replace(string(example), "file: customers.example.csv", "file: "+people, 1))
	bad := write("bad.csv", "number,name,tier\n+8613800000001,New,A1\nnonsense,X,Z9\n")
	if code := run(context.Background(), []string{"customers", "import", bad, "-c", cfg}); code != 1 {
		t.Errorf("a bad line: exit code %d, want 1", code)
	}
	if have, _ := os.ReadFile(people); !strings.Contains(string(have), "Old") {
		t.Errorf("something was imported: %s", have)
	}
	if code := run(context.Background(), []string{"customers", "import", bad, "-c", cfg, "--skip-bad"}); code != 0 {
		t.Errorf("with --skip-bad: exit code %d", code)
	}
	if have, _ := os.ReadFile(people); !strings.Contains(string(have), "New") || strings.Contains(string(have), "Old") || strings.Contains(string(have), "Z9") {
		t.Errorf("imported: %s", have)
	}
}

func TestCheckCommand(t *testing.T) {
	if code := run(context.Background(), []string{"check", "../../config.example.yaml"}); code != 0 {
		t.Errorf("the example: exit code %d", code)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("node: 7 8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{bad, "/nowhere.yaml"} {
		if code := run(context.Background(), []string{"check", name}); code != 1 {
			t.Errorf("%s: exit code %d, want 1", name, code)
		}
	}
}
