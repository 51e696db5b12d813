package customers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hotline/routing"
)

const header = "number,id,name,tier,manager,team,language\n"

func TestReadCSV(t *testing.T) {
	text := "\ufeffTier, Number,name\nA1,+8613800000001,\"Harbour, Bank\"\nC,+8613800000002,\n"
	rows, skipped, err := ReadCSV(strings.NewReader(text), false)
	if err != nil || skipped != nil {
		t.Fatal(err, skipped)
	}
	want := []Row{
		{"+8613800000001", Customer{Tier: routing.TierA1, Name: "Harbour, Bank"}},
		{"+8613800000002", Customer{}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestBadLines(t *testing.T) {
	good := "+8613800000001,1,Bank,A1,alice,east,zh\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty file", "", "line 1: the file is empty; the first line names the columns: number,id,name,tier,manager,team,language"},
		{"unknown column", "number,tier,vip\n", `line 1: "vip" is no column; use number, id, name, tier, manager, team, language`},
		{"column twice", "number,tier,tier\n", "line 1: column tier is there twice"},
		{"no header", good, `line 1: "+8613800000001" is no column`},
		{"no number column", "id,tier\n", "line 1: there is no column number"},
		{"national number", header + good + "13800000002,2,X,C,,,\n", "line 3: the number is not in E.164; write it such as +8613800000001"},
		{"number twice", header + good + "+8613800000002,2,X,C,,,\n" + good, "line 4: the number is at line 2 already"},
		{"no tier", header + "+8613800000001,1,X,,,,\n", "line 2: tier is missing; use A1, A2, B1, B2 or C"},
		{"unknown tier", header + "+8613800000001,1,X,a1,,,\n", `line 2: tier "a1" is none; use A1, A2, B1, B2 or C`},
		{"bad manager", header + "+8613800000001,1,X,C,Alice Chen,,\n", `line 2: manager "Alice Chen" is no name; use letters, digits, '.', '_' and '-', at most 64`},
		{"bad language", header + "+8613800000001,1,X,C,,,Chinese\n", `line 2: language "Chinese" is none; use an ISO 639 code, such as zh or en`},
		{"too few fields", header + "+8613800000001,1,X,C\n", "line 2: 4 fields where the header has 7"},
		{"quote inside", header + "+8613800000001,1,X \"Y,C,,,\n" + "+8613800000002,2,X,D,,,\n", "line 2: column 20: bare \" in non-quoted-field\nline 3: tier \"D\" is none; use A1, A2, B1, B2 or C"},
		{"control character", header + "+8613800000001,1,\"X\nY\",C,,,\n", "line 2: name holds a control character"},
		{"GB 18030", header + "+8613800000001,1,\xd6\xd0,C,,,\n", "line 2: name is no UTF-8; save the file as UTF-8"},
		{"long name", header + "+8613800000001,1," + strings.Repeat("x", 201) + ",C,,,\n", "line 2: name is longer than 200 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, _, err := ReadCSV(strings.NewReader(c.text), false)
			var lines LineErrors
			if !errors.As(err, &lines) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if rows != nil {
				t.Errorf("%d rows beside an error", len(rows))
			}
		})
	}
}

func TestSkipBadLines(t *testing.T) {
	text := header + "+8613800000001,1,X,A1,,,\n1,2,3\n+8613800000003,3,Y,Z,,,\n+8613800000004,4,Z,B2,,,\n"
	rows, skipped, err := ReadCSV(strings.NewReader(text), true)
	if err != nil || len(rows) != 2 || rows[1].Tier != routing.TierB2 {
		t.Fatal(rows, err)
	}
	if len(skipped) != 2 || skipped[0].Line != 3 || skipped[1].Line != 4 {
		t.Errorf("skipped %v", skipped)
	}
	if _, _, err := ReadCSV(strings.NewReader("id\n"), true); err == nil {
		t.Error("a file without numbers is taken")
	}
}

func TestExampleFile(t *testing.T) {
	f, err := OpenFile("../../customers.example.csv")
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Lookup(context.Background(), "+8613800000001")
	if err != nil || c.Tier != routing.TierA1 || c.Manager != "alice" || f.Len() < 12 {
		t.Errorf("%+v, %v, %d numbers", c, err, f.Len())
	}
	if _, err := f.Lookup(context.Background(), "+8613999999999"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestReloadKeepsTheOldWhenTheNewIsBad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.csv")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(header + "+8613800000001,1,X,A1,,,\n")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(header + "+8613800000002,1,X,A9,,,\n")
	if err := f.Reload(); err == nil || !strings.Contains(err.Error(), "line 2: tier") {
		t.Errorf("got %v", err)
	}
	if _, err := f.Lookup(context.Background(), "+8613800000001"); err != nil {
		t.Error(err)
	}
	write(header + "+8613800000002,1,X,A2,,,\n")
	if err := f.Reload(); err != nil || f.Len() != 1 {
		t.Error(err, f.Len())
	}
}

func TestWriteFileIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.csv")
	rows := []Row{{"+8613800000001", Customer{ID: "1", Name: "A \"B\", C", Tier: routing.TierB1}}}
	if err := os.WriteFile(path, nil, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o604 {
		t.Errorf("mode is %v", info.Mode())
	}
	if err := WriteFile(filepath.Join(dir, "none", "c.csv"), rows); err == nil {
		t.Error("written into no directory")
	}
	if err := os.Mkdir(filepath.Join(dir, "busy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "busy"), rows); err == nil {
		t.Error("written over a directory")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func genRow(t *rapid.T) Row {
	return Row{
		Number: rapid.StringMatching(`\+[1-9][0-9]{7,14}`).Draw(t, "number"),
		Customer: Customer{
			ID:   routing.CustomerID(rapid.StringMatching(`[0-9]{0,8}`).Draw(t, "id")),
			Name: rapid.StringMatching(`([A-Za-z,"'#;]([A-Za-z ,"'#;]{0,20}[a-z"])?)?`).Draw(t, "name"),
			Tier: rapid.SampledFrom(routing.Tiers()).Draw(t, "tier"),

			Manager:  routing.AgentID(rapid.SampledFrom([]string{"", "alice", "bob"}).Draw(t, "manager")),
			Team:     rapid.SampledFrom([]string{"", "east"}).Draw(t, "team"),
			Language: rapid.SampledFrom([]string{"", "zh", "en"}).Draw(t, "language"),
		},
	}
}

func genRows(t *rapid.T, label string) []Row {
	return rapid.SliceOfNDistinct(rapid.Custom(genRow), 0, 12, func(r Row) string { return r.Number }).Draw(t, label)
}

// TestWhatIsWrittenIsRead: a file that was written reads as the same customers.
func TestWhatIsWrittenIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.csv")
	rapid.Check(t, func(t *rapid.T) {
		rows := genRows(t, "rows")
		if err := WriteFile(path, rows); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, _, err := ReadCSV(f, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			rows = nil
		}
		if diff := cmp.Diff(rows, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestMerge: all numbers are there once, with the added customer where there is one.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, add := genRows(t, "old"), genRows(t, "add")
		if len(old) > 0 && len(add) > 0 {
			add[0].Number = old[0].Number
		}
		want := map[string]Customer{}
		for _, r := range append(append([]Row{}, old...), add...) {
			want[r.Number] = r.Customer
		}
		merged := Merge(old, add)
		got := map[string]Customer{}
		for _, r := range merged {
			got[r.Number] = r.Customer
		}
		if diff := cmp.Diff(want, got); diff != "" || len(merged) != len(want) {
			t.Fatalf("%d rows for %d numbers\n%s", len(merged), len(want), diff)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	example, err := os.ReadFile("../../customers.example.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), false)
	f.Add(header+"+8613800000001,1,\"X", true)
	f.Add("\ufeffnumber;tier\n", true)
	f.Fuzz(func(t *testing.T, text string, skipBad bool) {
		rows, skipped, err := ReadCSV(strings.NewReader(text), skipBad)
		if err != nil && (rows != nil || skipped != nil) {
			t.Errorf("rows beside an error: %v", err)
		}
		if err == nil && !skipBad && skipped != nil {
			t.Error("skipped unasked")
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if seen[r.Number] || !numberForm.MatchString(r.Number) || clean(r.Name) != nil {
				t.Errorf("took %+v", r)
			}
			seen[r.Number] = true
		}
	})
}
