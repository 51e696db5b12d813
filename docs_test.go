package hotline

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/sip.md and docs/voice.md name only tests that are there, in the folder before them if there is one; docs/sip.md names
// every section of the RFCs with call flows.
func TestDocsNameTests(t *testing.T) {
	sources := testSources(t)
	for _, name := range []string{"docs/sip.md", "docs/voice.md"} {
		for cell := range strings.FieldsFuncSeq(read(t, name), func(r rune) bool { return r == '|' || r == '\n' }) {
			checkNames(t, name, cell, sources)
		}
	}
	doc := read(t, "docs/sip.md")
	for rfc, sections := range map[string][]string{"RFC 3665": numbered(2, 5, 3, 11), "RFC 5359": numbered(2, 18)} {
		_, part, ok := strings.Cut(doc, "\n## "+rfc)
		if !ok {
			t.Fatalf("%s isn't there", rfc)
		}
		part, _, _ = strings.Cut(part, "\n## ")
		for _, s := range sections {
			if strings.Count(part, "\n| "+s+" ") != 1 {
				t.Errorf("%s: section %s isn't named once", rfc, s)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var named = regexp.MustCompile("(?:([a-z0-9/]+) )?`((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")

// checkNames looks for the tests that a line, or a cell of a table, names: "sip `TestThis`, `TestThat/a_case`".
func checkNames(t *testing.T, doc, text string, sources map[string]map[string]string) {
	t.Helper()
	room := ""
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		before, name, sub := m[1], m[2], m[3]
		if name == "TestDocsNameTests" {
			continue
		}
		if slices.Contains(rooms, before) {
			room = before
		}
		source, ok := sources[name][room]
		if room == "" {
			for _, source = range sources[name] {
				ok = true
			}
		}
		if !ok {
			t.Errorf("%s: %s %s doesn't exist", doc, room, name)
		} else if sub != "" && !strings.Contains(source, `"`+strings.ReplaceAll(sub, "_", " ")+`"`) {
			t.Errorf("%s: %s has no case %q", doc, name, sub)
		}
	}
}

// numbered lists sections: pairs of a chapter and how many it has.
func numbered(pairs ...int) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		for n := range pairs[i+1] {
			out = append(out, fmt.Sprintf("%d.%d", pairs[i], n+1))
		}
	}
	return out
}

// rooms have tests that the docs name.
var rooms = []string{"sip", "server", "e2e", "media", "media/kernel", "sound", "playout", "recording", "probe"}

// testSources are the files of the tests, by their names and rooms.
func testSources(t *testing.T) map[string]map[string]string {
	t.Helper()
	out := make(map[string]map[string]string)
	for _, room := range rooms {
		files, err := filepath.Glob(filepath.Join(room, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text := read(t, f)
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`).FindAllStringSubmatch(text, -1) {
				if out[m[1]] == nil {
					out[m[1]] = make(map[string]string)
				}
				out[m[1]][room] = text
			}
		}
	}
	return out
}
