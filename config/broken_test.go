package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the broken files give into their first line")

// TestBroken reads files with one fault each. The first line of each says what
// an operator is told: "# want: LINE:COLUMN: what; hint".
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := bytes.Cut(data, []byte("\n"))
			_, err = Load(file)
			var all *Errors
			if !errors.As(err, &all) {
				t.Fatalf("got %v", err)
			}
			got := strings.ReplaceAll(err.Error(), file+":", "")
			if *update {
				text := fmt.Appendf(nil, "# want: %s\n%s", got, rest)
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := strings.TrimPrefix(string(first), "# want: "); got != want && !*update {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if len(all.Problems) != 1 {
				t.Errorf("%d problems for one fault", len(all.Problems))
			}
		})
	}
}

func TestAllProblemsAtOnceInOrder(t *testing.T) {
	_, err := Parse("hotline.yaml", []byte(`sip:
  listen: [{address: "0.0.0.0:5060"}]
  max_cals: 3
trunks: [{name: t, addresses: [127.0.0.1], dids: [{number: "*", flow: mian}]}]
queues: [{name: q}]
agents: [{user: a, password: secret-a, queues: [q, r]}]
flows: {main: {start: q, steps: {q: {queue: q}}}}
`))
	want := `hotline.yaml:2:22: 0.0.0.0:5060 is every address, but a SIP server needs a concrete one; name the address that peers reach, such as 192.0.2.10:5060
hotline.yaml:3:3: "max_cals" is no field of sip; did you mean "max_calls"?
hotline.yaml:4:71: flow "mian" doesn't exist; did you mean "main"?
hotline.yaml:6:52: queue "r" doesn't exist; use q`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNoSecretInAProblem(t *testing.T) {
	t.Setenv("HOTLINE_TEST_SECRET", "s3cret\nline")
	for _, password := range []string{"5566778899", "[s3cret5566778899]", "{a: 5566778899}", `"5566778899\nx"`, "${HOTLINE_TEST_SECRET}"} {
		text := strings.Replace(minimal, "agents: [{user: a, password: secret-a, queues: [q]}]",
			"agents:\n  - user: a\n    queues: [q]\n    password: "+password, 1)
		_, err := Parse("x", []byte(text))
		if err == nil {
			t.Errorf("%s is taken", password)
		} else if strings.Contains(err.Error(), "5566778899") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}

func TestLoadTellsWhyAFileCannotBeRead(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestNeedsRestart(t *testing.T) {
	old, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	if names := NeedsRestart(old, next); names != nil {
		t.Errorf("nothing changed, but %v", names)
	}
	next.Node = "other"
	next.SIP.Listen[0].Advertise = "sip.example.com"
	next.Media.Ports.Max = 39999
	next.Tiers.A1.Target *= 2
	next.HTTP.Listen = Config{}.HTTP.Listen
	next.Directory.Redis.Database = 1
	next.Journal.Dir, next.Records.Dir = "j", "r"
	next.Routing.RingTime, next.Agents, next.Log.Level = 1, nil, "warn" // taken over
	got := strings.Join(NeedsRestart(old, next), " ")
	want := "node sip.listen media.ports tiers.A1.target records.dir journal.dir http.listen"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFlowFor(t *testing.T) {
	cfg := &Config{Trunks: []Trunk{{Name: "t", Region: "CN", DIDs: []DID{
		{"*", "rest"}, {"+861087654321", "beijing"}, {"95599", "main"},
	}}, {Name: "u", Region: "CN", DIDs: []DID{{"95599", "main"}}}}}
	for _, c := range []struct{ trunk, dialled, flow string }{
		{"t", "95599", "main"}, {"t", "+861087654321", "beijing"}, {"t", "01087654321", "beijing"},
		{"t", "4711", "rest"}, {"u", "4711", ""}, {"v", "95599", ""},
	} {
		if flow, ok := cfg.FlowFor(c.trunk, c.dialled); flow != c.flow || ok != (c.flow != "") {
			t.Errorf("%s dialled on %s: %q, %v", c.dialled, c.trunk, flow, ok)
		}
	}
}

// BenchmarkFlowFor looks for numbers as a trunk sends them among a hundred that are configured as one dials them.
func BenchmarkFlowFor(b *testing.B) {
	tr := Trunk{Name: "t", Region: "CN"}
	for i := range 100 {
		tr.DIDs = append(tr.DIDs, DID{fmt.Sprintf("010876543%02d", i), "main"})
	}
	cfg := &Config{Trunks: []Trunk{tr}}
	for _, dialled := range []string{"01087654399", "+861087654399"} {
		b.Run(dialled, func(b *testing.B) {
			for b.Loop() {
				if _, ok := cfg.FlowFor("t", dialled); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	for _, file := range append(files, example) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("fuzz", data)
		var all *Errors
		switch {
		case err == nil:
			policy := cfg.Policy()
			if err := policy.Validate(); err != nil {
				t.Errorf("routing refuses what was taken: %v", err)
			}
			cfg.SIPOptions()
			cfg.MediaConfig()
		case !errors.As(err, &all) || len(all.Problems) == 0:
			t.Errorf("an error without a problem: %v", err)
		default:
			for _, p := range all.Problems {
				if p.Line < 1 || p.Column < 1 || p.What == "" {
					t.Errorf("no place or no words: %+v", p)
				}
			}
		}
	})
}
